"""What a producer is told about its fragments, and every reason that one can be refused."""

from dataclasses import dataclass
from enum import Enum, IntEnum


class AckEventType(Enum):
    """How far a fragment got."""

    BUFFERING = "BUFFERING"
    RECEIVED = "RECEIVED"
    PERSISTED = "PERSISTED"
    ERROR = "ERROR"
    IDLE = "IDLE"


class AckErrorCode(IntEnum):
    """Why a connection was ended; names and numbers as on the wire.

    Source: Kinesis Video Streams Developer Guide, "PutMedia", those that can happen here.
    """

    STREAM_READ_ERROR = 4000
    MAX_FRAGMENT_SIZE_REACHED = 4001
    MAX_FRAGMENT_DURATION_REACHED = 4002
    MAX_CONNECTION_DURATION_REACHED = 4003
    FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS = 4004
    MORE_THAN_ALLOWED_TRACKS_FOUND = 4005
    INVALID_MKV_DATA = 4006
    INVALID_PRODUCER_TIMESTAMP = 4007
    STREAM_NOT_ACTIVE = 4008
    FRAGMENT_METADATA_LIMIT_REACHED = 4009
    TRACK_NUMBER_MISMATCH = 4010
    FRAMES_MISSING_FOR_TRACK = 4011
    INVALID_FRAGMENT_METADATA = 4012
    INTERNAL_ERROR = 5000
    ARCHIVAL_ERROR = 5001


@dataclass(frozen=True, slots=True)
class FragmentAck:
    """One message to the producer. Times and numbers are absent where no fragment is meant."""

    kind: AckEventType
    timecode_ms: int | None = None
    """The Cluster's timecode, since the Segment's zero."""
    number: str | None = None
    error_code: AckErrorCode | None = None
    """Why, for an ERROR."""
