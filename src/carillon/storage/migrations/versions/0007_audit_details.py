"""The audit trail says what an answer was made from."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("audit_trail", sa.Column("details", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("audit_trail", "details")
