"""Call audio that we hold ourselves: an embedded Kinesis Video Streams.

Knows streams, fragments, acknowledgements and how long to keep things; knows nothing of HTTP, and nothing of what the
audio is for. Start reading at `streams.py`, the one object that others use. Behind it are four folders, by what they
are for: `catalog/` (streams as things), `ingest/` (PutMedia), `live/` (memory and GetMedia) and `stored/` (what stays).
"""

from carillon.streams.catalog.stream import Stream
from carillon.streams.errors import (
    InvalidPage,
    InvalidRetention,
    InvalidStartSelector,
    NotAFragmentNumber,
    ProducerConnected,
    StaleVersion,
    StreamNameTaken,
    StreamNotFound,
    StreamNotNamed,
    StreamThrottled,
    TooManyReaders,
    TooManyReplays,
    TooManyTags,
)
from carillon.streams.fragment_numbers import FragmentNumber
from carillon.streams.ingest.acknowledgements import AckErrorCode, AckEventType, FragmentAck
from carillon.streams.ingest.session import PutMediaSession
from carillon.streams.live.starts import AfterFragment, AtProducerTime, AtServerTime, Earliest, Now, StartSelector
from carillon.streams.live.tail import Tail
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.archive import FragmentSelectorType, ListPosition, StoredFragment, TimestampRange
from carillon.streams.stored.replay import Replay
from carillon.streams.stored.segments import StorageFailed
from carillon.streams.streams import Streams

__all__ = [
    "AckErrorCode",
    "AckEventType",
    "AfterFragment",
    "AtProducerTime",
    "AtServerTime",
    "Earliest",
    "FragmentAck",
    "FragmentNumber",
    "FragmentSelectorType",
    "InvalidPage",
    "InvalidRetention",
    "InvalidStartSelector",
    "ListPosition",
    "NotAFragmentNumber",
    "Now",
    "ProducerConnected",
    "PutMediaSession",
    "Replay",
    "StaleVersion",
    "StartSelector",
    "StorageFailed",
    "StoredFragment",
    "Stream",
    "StreamNameTaken",
    "StreamNotFound",
    "StreamNotNamed",
    "StreamSettings",
    "StreamThrottled",
    "Streams",
    "Tail",
    "TimestampRange",
    "TooManyReaders",
    "TooManyReplays",
    "TooManyTags",
]
