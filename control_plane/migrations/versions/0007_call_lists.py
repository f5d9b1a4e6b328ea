"""Lists of calls by number and by agent, without reading all the others."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("phone_number", "agent_name"):
        op.create_index(f"calls_{column}_created_at_idx", "calls", [column, "created_at"])


def downgrade() -> None:
    for column in ("agent_name", "phone_number"):
        op.drop_index(f"calls_{column}_created_at_idx", "calls")
