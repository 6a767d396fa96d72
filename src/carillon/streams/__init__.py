"""Call audio that we hold ourselves: an embedded Kinesis Video Streams.

Knows streams, fragments, acknowledgements and how long to keep things; knows nothing of HTTP, and nothing of what the
audio is for. Start reading at `streams.py`, the one object that others use; then `parser.py` (bytes to fragments),
`session.py` (one PutMedia connection), `tail.py` (one GetMedia connection), `store.py` (what can be read). Behind it
`writer.py`, `archive.py` and `retention.py` add to, query and clear what stays, in files or objects: `segments/`.
"""

from carillon.streams.acknowledgements import AckErrorCode, AckEventType, FragmentAck
from carillon.streams.archive import FragmentSelectorType, ListPosition, StoredFragment, TimestampRange
from carillon.streams.catalog import Stream, StreamPage
from carillon.streams.errors import (
    FragmentUnreadable,
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
from carillon.streams.replay import Replay
from carillon.streams.segments import StorageFailed
from carillon.streams.session import PutMediaSession
from carillon.streams.settings import StreamSettings
from carillon.streams.starts import AfterFragment, AtProducerTime, AtServerTime, Earliest, Now, StartSelector
from carillon.streams.streams import Streams
from carillon.streams.tail import Tail

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
    "FragmentUnreadable",
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
    "StreamPage",
    "StreamSettings",
    "StreamThrottled",
    "Streams",
    "Tail",
    "TimestampRange",
    "TooManyReaders",
    "TooManyReplays",
    "TooManyTags",
]
