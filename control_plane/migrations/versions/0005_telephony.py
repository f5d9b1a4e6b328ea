"""Which stored agent answers which of our numbers; who called whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "numbers",
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("agent_name", sa.Text(collation="C"), nullable=False),
        sa.Column("variables", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="numbers_pkey"),
        sa.ForeignKeyConstraint(["agent_name"], ["agents.name"], name="numbers_agent_name_fkey"),
    )
    # Defaults, so that a worker of the version before may go on writing rows during a deployment.
    op.add_column("calls", sa.Column("direction", sa.Text, nullable=False, server_default="outbound"))
    op.add_column("calls", sa.Column("own_number", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("calls", "own_number")
    op.drop_column("calls", "direction")
    op.drop_table("numbers")
