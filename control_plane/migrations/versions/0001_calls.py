"""Calls, their transcripts, turns and media summaries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("phone_number", sa.Text, nullable=False),
        sa.Column("greeting", sa.Text, nullable=False),
        sa.Column("system_prompt", sa.Text, nullable=False),
        sa.Column("max_duration_seconds", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_reason", sa.Text, nullable=False, server_default=""),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
        sa.Column("call_sid", sa.Text, nullable=False, server_default=""),
        sa.Column("stream_sid", sa.Text, nullable=False, server_default=""),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("duration_seconds", sa.Double, nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("workflow_id", name="calls_pkey"),
    )
    op.create_index("calls_created_at_idx", "calls", ["created_at"])
    op.create_table(
        "transcript_segments",
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("segment_id", sa.BigInteger, nullable=False),
        sa.Column("speaker", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("end_ms", sa.BigInteger, nullable=False),
        sa.Column("interrupted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "source", "segment_id", name="transcript_segments_pkey"),
    )
    op.create_table(
        "turns",
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("caller_stopped_ms", sa.BigInteger, nullable=False),
        sa.Column("first_audio_ms", sa.BigInteger, nullable=False),
        sa.Column("response_ms", sa.BigInteger, nullable=False),
        sa.Column("audio_ms", sa.BigInteger, nullable=False),
        sa.Column("interrupted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "source", "turn", name="turns_pkey"),
    )
    op.create_table(
        "media_summaries",
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("summary", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", name="media_summaries_pkey"),
    )


def downgrade() -> None:
    op.drop_table("media_summaries")
    op.drop_table("turns")
    op.drop_table("transcript_segments")
    op.drop_index("calls_created_at_idx", "calls")
    op.drop_table("calls")
