"""A task keeps the language that it was told: only English words are understood."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("tasks", sa.Column("language", sa.String(16), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("tasks", "language")
