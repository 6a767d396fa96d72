"""What an operator may decide about streams; the defaults are what AWS documents."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from carillon.bounds import Bytes, Count, Limit, OptionalSeconds, Rate, Seconds, Url


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Limits, time spans and buffers of the embedded Kinesis Video Streams."""

    max_fragment_bytes: Bytes = 50_000_000
    """The largest fragment; a larger one ends the connection with MAX_FRAGMENT_SIZE_REACHED."""
    max_fragment_seconds: Seconds = 20.0
    """The longest fragment; a longer one ends the connection with MAX_FRAGMENT_DURATION_REACHED."""
    max_fragment_blocks: Count = 50_000
    """Frames of one fragment; more end the connection with MAX_FRAGMENT_SIZE_REACHED. 20 s of Opus have 8,000."""
    max_header_bytes: Bytes = 256 * 1024
    """The most that may stand before the first Cluster; it is kept with every fragment."""
    max_tracks: Count = 3
    """Tracks that a producer may declare; more end the connection with MORE_THAN_ALLOWED_TRACKS_FOUND."""
    max_fragment_tags: Annotated[int, Meta(ge=0, le=1_000)] = 10
    """Tags that a producer may give to one fragment; more end the connection with FRAGMENT_METADATA_LIMIT_REACHED,"""
    max_tag_name_bytes: Bytes = 128
    """as does a tag with a longer name,"""
    max_tag_value_bytes: Bytes = 256
    """or with a longer value."""
    calls_per_second: Rate = 0.0
    """PutMedia requests, and likewise GetMedia requests, for one stream (AWS: 5); 0 means as many as come."""
    written_bytes_per_second: Rate = 0.0
    """What one stream takes in (AWS: 12,500,000); beyond it its producer waits. 0 means no limit."""
    written_fragments_per_second: Rate = 0.0
    """Fragments that one stream takes in (AWS: 5); beyond it its producer waits. 0 means no limit."""
    read_bytes_per_second: Rate = 0.0
    """What one GetMedia connection gives out (AWS: 25,000,000); 0 means no limit."""
    read_fragments_per_second: Rate = 0.0
    """Fragments that one GetMedia connection gives out (AWS: 5); 0 means no limit."""
    handover_seconds: OptionalSeconds = 10.0
    """How long a second producer may wait for the first to leave: AWS's SDKs connect ahead to rotate credentials."""
    takeover_seconds: OptionalSeconds = 0.0
    """A second producer takes a stream over, and the first has this long to leave; 0 lets it stay, as AWS does."""
    max_readers: Count = 3
    """GetMedia connections that may read one stream at the same time."""
    max_stream_tags: Annotated[int, Meta(ge=0, le=1_000)] = 50
    """Tags that one stream may carry."""
    end_seconds: Seconds = 3.0
    """GetMedia ends its answer when no fragment came for this long."""
    now_seconds: OptionalSeconds = 5.0
    """GetMedia from NOW starts with the newest fragment if it arrived within this time, else with the next."""
    finalize_seconds: OptionalSeconds = 0.05
    """A complete Cluster is a complete fragment when no tags followed it for this long."""
    ring_seconds: Seconds = 300.0
    """How long fragments of a stream without retention stay readable, in memory."""
    ring_bytes: Bytes = 200_000_000
    """How much of one stream without retention stays readable, in memory."""
    cache_bytes: Bytes = 4_000_000
    """How much of one stream with retention stays in memory besides what is still to be written."""
    memory_bytes: Bytes = 1_000_000_000
    """All fragments in memory together; beyond it the stream that holds most gives up its oldest."""
    unwritten_bytes: Bytes = 64_000_000
    """Fragments waiting to be stored, of all streams together; beyond it producers wait."""
    commit_seconds: OptionalSeconds = 0.05
    """Fragments that are stored within this time after others wait for it, so that they share what a commit costs."""
    max_stream_bytes: Limit = 0
    """Stored fragments of one stream; beyond it the oldest are deleted, whatever its retention. 0 means no limit."""
    max_total_bytes: Limit = 0
    """Stored fragments of all streams together; beyond it the oldest of all are deleted. 0 means no limit."""
    segment_bytes: Bytes = 64_000_000
    """A segment file is closed at this size and the next one begun; sooner where `max_stream_bytes` is small."""
    segment_seconds: Seconds = 600.0
    """A segment file is closed at this age; it is deleted once all of its fragments are past retention."""
    sweep_seconds: Seconds = 30.0
    """How often fragments past retention are deleted, and those that stayed long enough in memory."""
    orphan_seconds: Seconds = 21_600.0
    """How often what a crash left behind is looked for; what nobody knows at two such times is deleted."""
    delete_seconds: OptionalSeconds = 5.0
    """How long a deletion may hold up the request for it; what takes longer goes on after the answer."""
    max_replays: Count = 5
    """GetMediaForFragmentList connections that may read one stream at the same time."""
    writer_threads: Annotated[int, Meta(ge=1, le=1_024)] = 4
    """Streams that are written to disk at the same time."""
    s3_bucket: Annotated[
        str, Meta(pattern=r"^([a-zA-Z0-9._-]{1,255}|arn:\S+)?\Z", description="empty, or the name of a bucket")
    ] = ""
    """Keep fragments in this bucket, not in the data folder. Several servers with one database may share it."""
    s3_prefix: str = "carillon/"
    """What the keys of all objects begin with."""
    s3_endpoint_url: Url = ""
    """An S3-compatible store; empty means Amazon S3, or what AWS_ENDPOINT_URL_S3 says."""
    s3_region: Annotated[str, Meta(pattern=r"^[a-z0-9-]*\Z", description="empty, or a Region")] = ""
    """Region of the bucket; empty means our own."""
    s3_batch_seconds: OptionalSeconds = 5.0
    """Fragments of one stream are put into one object for so long; PERSISTED is that much later,"""
    s3_object_bytes: Bytes = 4_000_000
    """or until they are so large together (which is also how far a reader reads ahead),"""
    s3_object_fragments: Count = 32
    """or so many, or their producer is done."""
    s3_cache_bytes: Bytes = 32_000_000
    """How much of what was read from the bucket is kept for the next reads, sealed as it is."""
    s3_connections: Count = 32
    """Requests to the bucket at the same time."""
    s3_seconds: Seconds = 30.0
    """How long a request to the bucket may take, repetitions included."""
    flush_seconds: Seconds = 5.0
    """How long a stopping server may take to write down what is in memory."""
