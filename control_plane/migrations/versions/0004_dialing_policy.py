"""The do-not-call list and the dialing audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# What was refused, and who changed the rules, stays written: the table takes inserts alone.
_APPEND_ONLY = """
CREATE FUNCTION dialing_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'dialing_audit is append-only';
END
$$
"""
_TRIGGER = """
CREATE TRIGGER dialing_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dialing_audit
FOR EACH STATEMENT EXECUTE FUNCTION dialing_audit_is_append_only()
"""


def upgrade() -> None:
    op.create_table(
        "do_not_call",
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="do_not_call_pkey"),
    )
    op.create_table(
        "dialing_audit",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="dialing_audit_pkey"),
    )
    op.create_index("dialing_audit_at_idx", "dialing_audit", ["at"])
    op.execute(_APPEND_ONLY)
    op.execute(_TRIGGER)


def downgrade() -> None:
    op.drop_index("dialing_audit_at_idx", "dialing_audit")
    op.drop_table("dialing_audit")
    op.execute("DROP FUNCTION dialing_audit_is_append_only()")
    op.drop_table("do_not_call")
