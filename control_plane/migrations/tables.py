"""The schema as SQLAlchemy metadata: what Alembic compares with. Queries are in adapters/postgres.py."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

calls = Table(
    "calls",
    metadata,
    Column("workflow_id", Text, primary_key=True),
    Column("call_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("phone_number", Text, nullable=False),
    Column("greeting", Text, nullable=False),
    Column("system_prompt", Text, nullable=False),
    Column("max_duration_seconds", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("end_reason", Text, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("call_sid", Text, nullable=False, server_default=""),
    Column("stream_sid", Text, nullable=False, server_default=""),
    Column("answered_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("duration_seconds", Double, nullable=False, server_default=text("0")),
    Column("agent_name", Text, nullable=False, server_default=""),
    Column("agent_version", Integer, nullable=False, server_default=text("0")),
    Column("direction", Text, nullable=False, server_default="outbound"),
    Column("own_number", Text, nullable=False, server_default=""),  # inbound: the number that was called
)
Index(None, calls.c.created_at)
Index(None, calls.c.phone_number, calls.c.created_at)
Index(None, calls.c.agent_name, calls.c.created_at)

# No foreign keys to `calls`: the event stream may be copied before the call's own row is written, and a
# transcript must never be refused for that.
transcript_segments = Table(
    "transcript_segments",
    metadata,
    Column("workflow_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("segment_id", BigInteger, nullable=False),
    Column("speaker", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("interrupted", Boolean, nullable=False),
    Column("unheard_text", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("workflow_id", "source", "segment_id"),
)

turns = Table(
    "turns",
    metadata,
    Column("workflow_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("caller_stopped_ms", BigInteger, nullable=False),
    Column("first_audio_ms", BigInteger, nullable=False),
    Column("response_ms", BigInteger, nullable=False),
    Column("audio_ms", BigInteger, nullable=False),
    Column("interrupted", Boolean, nullable=False),
    PrimaryKeyConstraint("workflow_id", "source", "turn"),
)

# voiceplane.events.v1.MediaSummary as ProtoJSON with original field names: written once, when the media leg
# ends, and read whole.
media_summaries = Table(
    "media_summaries",
    metadata,
    Column("workflow_id", Text, primary_key=True),
    Column("summary", JSONB, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the key
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
)

# Names sort by their bytes, on every server alike: pages begin after a name.
agents = Table(
    "agents",
    metadata,
    Column("name", Text(collation="C"), primary_key=True),
    Column("latest_version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("archived_at", DateTime(timezone=True)),
)

# `profile` and `secrets` are JSON as text: jsonb takes neither U+0000 nor every number that JSON can write.
agent_versions = Table(
    "agent_versions",
    metadata,
    Column("name", Text(collation="C"), ForeignKey("agents.name", name="agent_versions_name_fkey")),
    Column("version", Integer),
    Column("profile", Text, nullable=False),
    Column("secrets", Text, nullable=False),  # the values of tools' headers, which `profile` leaves out
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),  # a principal's id
    PrimaryKeyConstraint("name", "version"),
)

# `variables` is JSON as text, like the profiles they fill.
numbers = Table(
    "numbers",
    metadata,
    Column("number", Text, primary_key=True),
    Column(
        "agent_name",
        Text(collation="C"),
        ForeignKey("agents.name", name="numbers_agent_name_fkey"),
        nullable=False,
    ),
    Column("variables", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("by", Text, nullable=False),
)

do_not_call = Table(
    "do_not_call",
    metadata,
    Column("number", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

# A trigger lets nothing but inserts through.
dialing_audit = Table(
    "dialing_audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("action", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
Index(None, dialing_audit.c.at)

# `body` is the JSON that was signed and sent, byte for byte.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),  # delivered failed
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("last_status", Integer, nullable=False, server_default=text("0")),  # HTTP; 0: no answer
    Column("last_error", Text, nullable=False, server_default=""),
    Column("last_attempt_at", DateTime(timezone=True)),
)
Index(None, webhook_deliveries.c.created_at, webhook_deliveries.c.id)
Index(None, webhook_deliveries.c.workflow_id)
