"""The streams, where each of their fragments lies, and what is still to be deleted."""

import sqlalchemy as sa

from carillon.storage import Timestamp, metadata

streams = sa.Table(
    "streams",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(256), nullable=False, unique=True),
    sa.Column("arn", sa.String(1024), nullable=False, unique=True),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("retention_hours", sa.Integer, nullable=False),
    sa.Column("device_name", sa.String(128)),
    sa.Column("media_type", sa.String(128)),
    sa.Column("kms_key_id", sa.String(2048)),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("data_key", sa.LargeBinary, nullable=False),  # wrapped; deleting the row makes the fragments unreadable
    sa.Column("reserved_sequence", sa.BigInteger, nullable=False),  # no fragment number goes beyond it
    sa.Column("stored_bytes", sa.BigInteger, nullable=False, server_default="0"),  # sum of its fragments' sizes
)

fragments = sa.Table(
    "fragments",
    metadata,
    # No foreign key: a stream is deleted at once, however many fragments it has; without its row nobody finds them.
    sa.Column("stream_id", sa.String(32), primary_key=True),
    sa.Column("number", sa.String(47), primary_key=True),
    sa.Column("server_at", Timestamp, nullable=False),
    sa.Column("producer_at", Timestamp, nullable=False),
    sa.Column("received_at", Timestamp, nullable=False),
    sa.Column("timecode_ms", sa.BigInteger, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("head_bytes", sa.Integer, nullable=False),  # of the opened record; the rest is the body
    sa.Column("segment", sa.String(47), nullable=False),  # the name of its file or object
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),  # as sealed
    sa.Index(None, "stream_id", "server_at"),
    sa.Index(None, "stream_id", "producer_at"),
    sa.Index(None, "stream_id", "segment"),
)

segment_tombstones = sa.Table(
    "segment_tombstones",
    metadata,
    sa.Column("stream_id", sa.String(32), primary_key=True),
    sa.Column("segment", sa.String(47), primary_key=True),  # empty: all that there is of the stream, its rows too
)
"""What no row knows any more and may still be there; a row goes when the segment has gone."""
