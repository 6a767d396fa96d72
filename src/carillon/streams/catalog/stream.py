"""A stream, as the catalog has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from carillon.storage import WrappedKey


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream as it was when it was read."""

    id: str
    name: str
    arn: str
    version: str
    created_at: datetime
    retention_hours: int
    """0 keeps fragments in memory for a few minutes only."""
    device_name: str | None
    media_type: str | None
    kms_key_id: str | None
    tags: Mapping[str, str]
    data_key: WrappedKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamPage:
    """Some of the streams, by name, and how to ask for the rest."""

    streams: Sequence[Stream]
    next_token: str | None
