"""What the agent said but the caller did not hear."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A default, so that a worker of the version before may go on writing rows during a deployment.
    column = sa.Column("unheard_text", sa.Text, nullable=False, server_default="")
    op.add_column("transcript_segments", column)


def downgrade() -> None:
    op.drop_column("transcript_segments", "unheard_text")
