"""API keys; agents and their versions, and which of them each call ran."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="api_keys_pkey"),
    )
    op.create_table(
        "agents",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("latest_version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("name", name="agents_pkey"),
    )
    op.create_table(
        "agent_versions",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name="agent_versions_pkey"),
        sa.ForeignKeyConstraint(["name"], ["agents.name"], name="agent_versions_name_fkey"),
    )
    # Defaults, so that a worker of the version before may go on writing rows during a deployment.
    op.add_column("calls", sa.Column("agent_name", sa.Text, nullable=False, server_default=""))
    op.add_column(
        "calls", sa.Column("agent_version", sa.Integer, nullable=False, server_default=sa.text("0"))
    )


def downgrade() -> None:
    op.drop_column("calls", "agent_version")
    op.drop_column("calls", "agent_name")
    op.drop_table("agent_versions")
    op.drop_table("agents")
    op.drop_table("api_keys")
