"""A domain that is being deleted says so, until everything in it is overwritten."""

import sqlalchemy as sa
from alembic import op

from carillon.storage.database import Timestamp

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("voice_profile_domains", sa.Column("deleted_at", Timestamp(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("voice_profile_domains", "deleted_at")
