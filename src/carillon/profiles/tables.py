"""The rows of this room. Whatever tells of a voice is sealed with its domain's data key; the rest is plain.

`voice_profile_domains.data_key` is wrapped by the root key and is the only way to open what the domain holds: with the
row, everything sealed goes. Every change that a search must see takes the next `revision` of its domain, so an index,
in this process or in another, can tell that it is behind and which rows it lacks.
"""

from typing import Final

import sqlalchemy as sa

from carillon.storage import RowNumber, Timestamp, metadata

_NOT_WIPED: Final = sa.text("embedding IS NOT NULL")  # a sweep looks only at rows that still hold something


def _domain_id(*, index: bool = True) -> sa.Column[str]:
    """Return a column that makes its row part of a domain: it goes when the domain goes."""
    return sa.Column(
        "domain_id",
        sa.String(64),
        sa.ForeignKey("voice_profile_domains.domain_id", ondelete="CASCADE"),
        nullable=False,
        index=index,
    )


domains: Final = sa.Table(
    "voice_profile_domains",
    metadata,
    sa.Column("domain_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("description", sa.String(1024)),
    sa.Column("kms_key_arn", sa.String(1024), nullable=False),
    sa.Column("data_key", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("compacted_revision", sa.BigInteger, nullable=False),
    sa.Column("deleted_at", Timestamp),
)
"""`compacted_revision`: removals up to here are listed no more; an index that is older must be built anew.
`deleted_at`: deleted then, its key destroyed, and found by nobody; only its rows are still being overwritten."""

voice_profiles: Final = sa.Table(
    "voice_profiles",
    metadata,
    sa.Column("number", RowNumber, primary_key=True, autoincrement=True),
    sa.Column("profile_id", sa.String(64), nullable=False, unique=True),
    _domain_id(index=False),
    sa.Column("enrolled_task_id", sa.String(256), nullable=False, unique=True),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Index("ix_voice_profiles_domain_id_profile_id", "domain_id", "profile_id"),
    sqlite_autoincrement=True,
)

enrolled_voices: Final = sa.Table(
    "enrolled_voices",
    metadata,
    sa.Column("number", RowNumber, primary_key=True, autoincrement=True),
    sa.Column(
        "profile_number",
        RowNumber,
        sa.ForeignKey("voice_profiles.number", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    _domain_id(index=False),
    sa.Column("label", sa.String(64), nullable=False),
    sa.Column("band", sa.String(8), nullable=False),
    sa.Column("model_id", sa.String(128), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False, index=True),
    sa.Column("embedding", sa.LargeBinary, nullable=False),
    sa.Column("narrowband", sa.LargeBinary),
    sa.Index("ix_enrolled_voices_domain_id_revision", "domain_id", "revision", "number"),
    sqlite_autoincrement=True,
)
"""What a profile is recognized by: one voice for each label, "" for the one that the API knows. Never changed: a newer
one is a new row, and the old one is listed as removed. `number` is what an index knows it by, never used twice.
`narrowband` is the embedding of the same speech as a telephone would carry it, for wideband speech."""

enrollment_speech: Final = sa.Table(
    "enrollment_speech",
    metadata,
    sa.Column(
        "number", RowNumber, sa.ForeignKey("enrolled_voices.number", ondelete="CASCADE"), primary_key=True,
        autoincrement=False,
    ),
    sa.Column("speech", sa.LargeBinary, nullable=False),
)  # fmt: skip
"""The speech behind each enrolled voice; apart from it, so that loading an index reads embeddings only."""

removed_voices: Final = sa.Table(
    "removed_voices",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    _domain_id(),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("removed_at", Timestamp, nullable=False, index=True),
)
"""Which enrolled voices are gone, for indexes elsewhere that still have them. Kept for a day."""

voiceprints: Final = sa.Table(
    "voiceprints",
    metadata,
    sa.Column("task_id", sa.String(256), primary_key=True),
    _domain_id(),
    sa.Column("made_at", Timestamp, nullable=False),
    sa.Column("call_ended_at", Timestamp),
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Column("enrolled_profile_id", sa.String(64), index=True),
    sa.Column("refreshed_profile_id", sa.String(64), index=True),
    sa.Column("model_id", sa.String(128), nullable=False),
    sa.Column("band", sa.String(8), nullable=False),
    sa.Column("embedding", sa.LargeBinary),
    sa.Column("narrowband", sa.LargeBinary),
    sa.Column("speech", sa.LargeBinary),
    sa.Index("ix_voiceprints_expires_at", "expires_at"),
    sa.Index("ix_voiceprints_to_wipe", "expires_at", sqlite_where=_NOT_WIPED, postgresql_where=_NOT_WIPED),
)
"""What tasks made of speakers, to enroll from. Embeddings and speech are null once 24 h have passed since the call."""
