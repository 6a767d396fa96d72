"""Call audio that we hold ourselves: an embedded Kinesis Video Streams.

Knows streams, fragments, acknowledgements and how long to keep things; knows nothing of HTTP, and nothing of what the
audio is for. Start reading at `streams.py`, the one object that others use; then `ingest.py` (bytes to fragments),
`recording.py` (one PutMedia connection), `tail.py` (one GetMedia connection), `store.py` (what can be read). Behind it
`writer.py`, `archive.py` and `retention.py` add to, query and clear what stays, in files or objects: `segments/`.
"""

from carillon.streams.acknowledgements import AckKind, Acknowledgement, Refusal
from carillon.streams.archive import Position, Span, StoredFragment, Time
from carillon.streams.catalog import Page, Stream
from carillon.streams.errors import (
    FragmentUnreadable,
    InvalidPage,
    InvalidRetention,
    InvalidStart,
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
from carillon.streams.recording import Recording
from carillon.streams.replay import Replay
from carillon.streams.segments import StorageFailed
from carillon.streams.settings import Settings
from carillon.streams.starts import After, AtProducerTime, AtServerTime, Earliest, Newest, Start
from carillon.streams.streams import Streams
from carillon.streams.tail import Tail

__all__ = [
    "AckKind",
    "Acknowledgement",
    "After",
    "AtProducerTime",
    "AtServerTime",
    "Earliest",
    "FragmentNumber",
    "FragmentUnreadable",
    "InvalidPage",
    "InvalidRetention",
    "InvalidStart",
    "Newest",
    "NotAFragmentNumber",
    "Page",
    "Position",
    "ProducerConnected",
    "Recording",
    "Refusal",
    "Replay",
    "Settings",
    "Span",
    "StaleVersion",
    "Start",
    "StorageFailed",
    "StoredFragment",
    "Stream",
    "StreamNameTaken",
    "StreamNotFound",
    "StreamNotNamed",
    "StreamThrottled",
    "Streams",
    "Tail",
    "Time",
    "TooManyReaders",
    "TooManyReplays",
    "TooManyTags",
]
