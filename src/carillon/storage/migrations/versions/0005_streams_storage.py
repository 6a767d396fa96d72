"""How much is stored of each stream, what is still to be deleted; streams are deleted without their fragments."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("fragments", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_fragments_stream_id_streams"), type_="foreignkey")

    with op.batch_alter_table("streams", schema=None) as batch_op:
        batch_op.add_column(sa.Column("stored_bytes", sa.BigInteger(), server_default="0", nullable=False))
    streams, fragments = _tables()
    stored = sa.select(sa.func.coalesce(sa.func.sum(fragments.c.size), 0)).where(fragments.c.stream_id == streams.c.id)
    op.get_bind().execute(sa.update(streams).values(stored_bytes=stored.scalar_subquery()))

    op.create_table(
        "segment_tombstones",
        sa.Column("stream_id", sa.String(length=32), nullable=False),
        sa.Column("segment", sa.String(length=47), nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "segment", name=op.f("pk_segment_tombstones")),
    )


def _tables() -> tuple[sa.TableClause, sa.TableClause]:
    streams = sa.table("streams", sa.column("id"), sa.column("stored_bytes"))
    return streams, sa.table("fragments", sa.column("stream_id"), sa.column("size"))
