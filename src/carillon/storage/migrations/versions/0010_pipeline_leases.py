"""Which process runs a pipeline."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "pipeline_leases",
        sa.Column("pipeline_id", sa.String(36), nullable=False),
        sa.Column("owner", sa.String(36), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("renewals", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pipeline_id", name=op.f("pk_pipeline_leases")),
    )
    op.create_index(op.f("ix_pipeline_leases_owner"), "pipeline_leases", ["owner"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("pipeline_leases")
