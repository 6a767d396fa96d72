"""Where fragments stay: one file for each technology. Start reading at `protocol.py`.

Fragments come here sealed and leave sealed; nothing in here can open one. `choose` does so by the settings.

A segment is some fragments of one stream that lie together, and go together. A file is begun with the first of them,
appended to, then closed for good: once it is full or old, or an error or a crash may have torn its end. An object is
put once. The database alone knows which records there are, and forgets a record before it goes: a segment that it knows
nothing of is an orphan, one whose records are all forgotten has a tombstone until it is really gone (`retention.py`).

What was decided against. To cut single records out, or to overwrite them: files would be rewritten while they are read
and appended to, which takes locks, and repairs after a crash. To wait until a whole segment may go takes neither;
`segment_seconds` bounds by how much longer audio stays.
"""

from pathlib import Path

from carillon.clock import Clock
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.segments.files import SegmentFiles
from carillon.streams.stored.segments.protocol import BatchLimits, Segment, Segments, StorageFailed
from carillon.streams.stored.segments.s3 import BucketUnusable, SegmentObjects

__all__ = [
    "BatchLimits",
    "BucketUnusable",
    "Segment",
    "SegmentObjects",
    "Segments",
    "StorageFailed",
    "choose",
]


def choose(settings: StreamSettings, directory: Path, owner: str, region: str, clock: Clock) -> Segments:
    """Return where fragments stay.

    Args:
        settings: name a bucket, or none.
        directory: for files, if no bucket is named.
        owner: keeps what several databases put into one bucket apart: the same for all processes that share one.
        region: of the bucket, if the settings do not say.
        clock: tells how old a file is.
    """
    if settings.s3_bucket:
        return SegmentObjects(settings, owner, region)
    return SegmentFiles(directory, settings, clock)
