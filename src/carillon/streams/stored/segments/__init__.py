"""Where fragments stay: one file for each technology. Start reading at `protocol.py`.

Fragments come here sealed and leave sealed; nothing in here can open one. `choose` does so by the settings.
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
