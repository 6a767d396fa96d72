"""The rows of this room: what happened, and where it must still be delivered."""

from typing import Final

import sqlalchemy as sa

from carillon.storage import RowNumber, Timestamp, metadata

_PENDING: Final = sa.text("finished_at IS NULL")

events: Final = sa.Table(
    "notification_events",
    metadata,
    sa.Column("sequence", RowNumber, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.String(64), nullable=False, unique=True),
    sa.Column("detail_type", sa.String(64), nullable=False),
    sa.Column("task_id", sa.String(64), index=True),
    sa.Column("pipeline_id", sa.String(64), nullable=False),
    sa.Column("at", Timestamp, nullable=False),
    sa.Column("posted_at", Timestamp, nullable=False, index=True),
    sa.Column("body", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
"""`sequence` is the order of posting, never used twice. `body` is the JSON text that goes over the wire."""

deliveries: Final = sa.Table(
    "notification_deliveries",
    metadata,
    sa.Column("delivery_id", RowNumber, primary_key=True, autoincrement=True),
    sa.Column(
        "sequence",
        RowNumber,
        sa.ForeignKey("notification_events.sequence", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("target_arn", sa.String(1024), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", Timestamp, nullable=False),
    sa.Column("finished_at", Timestamp),
    sa.Column("outcome", sa.String(16)),
    sa.Column("reason", sa.String(512)),
    sa.Index(
        "ix_notification_deliveries_pending",
        "kind",
        "target_arn",
        "delivery_id",
        sqlite_where=_PENDING,
        postgresql_where=_PENDING,
    ),
    sqlite_autoincrement=True,
)
"""One event on its way to one target; pending until `finished_at`. `outcome`: delivered or set_aside."""
