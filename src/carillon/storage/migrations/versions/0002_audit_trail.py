"""The audit trail, append-only."""

import sqlalchemy as sa
from alembic import op

from carillon.storage.database import Timestamp

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQLITE_TRIGGERS = (
    (
        "CREATE TRIGGER audit_trail_no_update BEFORE UPDATE ON audit_trail "
        "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
    ),
    (
        "CREATE TRIGGER audit_trail_no_delete BEFORE DELETE ON audit_trail "
        "WHEN OLD.at > (CAST(strftime('%s', 'now') AS INTEGER) - 86400) * 1000000 "
        "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
    ),
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audit_trail",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.Column("access_key_id", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=128), nullable=False),
        sa.Column("resource", sa.String(length=1024), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=128), nullable=True),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_trail")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("audit_trail", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_trail_at"), ["at"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        for statement in _SQLITE_TRIGGERS:
            op.get_bind().exec_driver_sql(statement)
