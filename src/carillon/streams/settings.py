"""What an operator may decide about streams; the defaults are what AWS documents."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits, time spans and buffers of the embedded Kinesis Video Streams."""

    max_fragment_bytes: int = 50_000_000
    """The largest fragment; a larger one ends the connection with MAX_FRAGMENT_SIZE_REACHED."""
    max_fragment_seconds: float = 20.0
    """The longest fragment; a longer one ends the connection with MAX_FRAGMENT_DURATION_REACHED."""
    max_header_bytes: int = 256 * 1024
    """The most that may stand before the first Cluster; it is kept with every fragment."""
    max_readers: int = 3
    """GetMedia connections that may read one stream at the same time."""
    max_stream_tags: int = 50
    """Tags that one stream may carry."""
    end_seconds: float = 3.0
    """GetMedia ends its answer when no fragment came for this long."""
    now_seconds: float = 5.0
    """GetMedia from NOW starts with the newest fragment if it arrived within this time, else with the next."""
    settle_seconds: float = 0.05
    """A complete Cluster is a complete fragment when no tags followed it for this long."""
    ring_seconds: float = 300.0
    """How long fragments of a stream without retention stay readable, in memory."""
    ring_bytes: int = 200_000_000
    """How much of one stream without retention stays readable, in memory."""
    cache_bytes: int = 4_000_000
    """How much of one stream with retention stays in memory besides what is still to be written."""
    memory_bytes: int = 1_000_000_000
    """All fragments in memory together; beyond it the stream that holds most gives up its oldest."""
    unwritten_bytes: int = 64_000_000
    """Fragments waiting for the disk, of all streams together; beyond it producers wait."""
    segment_bytes: int = 64_000_000
    """A segment file is closed at this size and the next one begun."""
    segment_seconds: float = 600.0
    """A segment file is closed at this age; it is deleted once all of its fragments are past retention."""
    sweep_seconds: float = 30.0
    """How often fragments past retention are deleted, and those that stayed long enough in memory."""
    writer_threads: int = 4
    """Streams that are written to disk at the same time."""
    flush_seconds: float = 5.0
    """How long a stopping server may take to write down what is in memory."""
