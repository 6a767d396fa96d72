"""What is particular to objects: how few requests there are, and what is said when there is no S3."""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest

from carillon.clock import ManualClock
from carillon.streams import (
    AckErrorCode,
    AckEventType,
    FragmentAck,
    PutMediaSession,
    StorageFailed,
    Stream,
    Streams,
    StreamSettings,
)
from carillon.streams.stored.segments import BucketUnusable, Segment, SegmentObjects
from carillon.streams.stored.segments import s3 as module

pytestmark = pytest.mark.anyio
Make = Callable[[StreamSettings], Streams]


def objects(settings: StreamSettings, **changed: Any) -> SegmentObjects:
    return SegmentObjects(replace(settings, **changed), "owner", "us-east-1")


@pytest.fixture
async def opened(settings: StreamSettings, bucket: Any) -> AsyncIterator[SegmentObjects]:
    async with objects(settings, **bucket.settings) as segments:
        yield segments


def note_requests(segments: SegmentObjects) -> list[str]:
    """Return a list that will hold the operations of all requests from now on."""
    made: list[str] = []
    segments._client.meta.events.register("before-send.s3", lambda request, **_: made.append(request.method))
    return made


async def send(streams: Streams, stream: Stream, body: bytes) -> list[FragmentAck]:
    told: list[FragmentAck] = []

    async def listen(recording: PutMediaSession) -> None:
        async for acknowledgement in recording.acknowledgements:
            told.append(acknowledgement)  # noqa: PERF401 - asynchronous

    async with streams.record(stream, None) as recording, anyio.create_task_group() as group:
        group.start_soon(listen, recording)
        await recording.feed(body)
        await recording.end()
    return told


def of(told: list[FragmentAck], kind: AckEventType) -> int:
    return sum(one.kind is kind for one in told)


async def test_an_object_lies_under_prefix_owner_stream_and_number(opened: SegmentObjects, bucket: Any) -> None:
    await opened.append("stream", "42", [b"one", b"two"])
    assert bucket.names() == ["carillon/owner/stream/42"]
    assert bucket.client.get_object(Bucket=bucket.name, Key=bucket.names()[0])["Body"].read() == b"onetwo"


async def test_fragments_that_gather_share_an_object(
    make_streams: Make, settings: StreamSettings, bucket: Any, producer: Any
) -> None:
    patient = replace(settings, **{**bucket.settings, "s3_batch_seconds": 60}, s3_object_fragments=8)
    async with make_streams(patient) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        told = await send(streams, stream, producer.body(20))
        assert of(told, AckEventType.PERSISTED) == 20  # the last four because the producer is done
        assert len(bucket.names()) <= 3


async def test_when_too_much_waits_nobody_gathers(
    make_streams: Make, settings: StreamSettings, bucket: Any, producer: Any
) -> None:
    patient = replace(settings, **{**bucket.settings, "s3_batch_seconds": 60}, unwritten_bytes=100_000)
    async with make_streams(patient) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        assert of(await send(streams, stream, producer.body(30)), AckEventType.PERSISTED) == 30


async def test_a_stopping_server_stores_what_gathers(
    make_streams: Make, settings: StreamSettings, bucket: Any, producer: Any
) -> None:
    patient = replace(settings, **{**bucket.settings, "s3_batch_seconds": 60})
    async with make_streams(patient) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        async with streams.record(stream, None) as recording:
            await recording.feed(producer.body(3))
            await recording.finalize()
            assert bucket.names() == []
    assert len(bucket.names()) == 1


async def test_reading_on_takes_few_requests(opened: SegmentObjects) -> None:
    records = [bytes([number]) * 1_000 for number in range(20)]
    written = await opened.append("a", "1", records)
    made = note_requests(opened)
    for record, offset in zip(records, written.offsets, strict=True):
        assert await opened.read(Segment("a", "1"), offset, 1_000) == record
    assert made == ["GET"]


async def test_what_is_kept_of_what_was_read_is_bounded(settings: StreamSettings, bucket: Any) -> None:
    async with objects(settings, **bucket.settings, s3_cache_bytes=2_500, s3_object_bytes=1_000) as segments:
        for number in range(5):
            await segments.append("a", str(number), [bytes(1_000)])
            await segments.read(Segment("a", str(number)), 0, 1_000)
        assert segments._recent.size == 2_000
        made = note_requests(segments)
        await segments.read(Segment("a", "4"), 500, 500)
        assert made == []
        await segments.read(Segment("a", "0"), 0, 1_000)
        assert made == ["GET"]


async def test_lists_and_deletions_go_on_page_by_page(
    opened: SegmentObjects, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_OBJECTS_PER_REQUEST", 3)
    for number in range(8):
        await opened.append("a", f"{number}", [b"x"])
    bucket.client.put_object(Bucket=bucket.name, Key="carillon/owner/README", Body=b"not ours")
    names = [name async for _, some in opened.listing() for name in some]
    assert sorted(names) == [str(number) for number in range(8)]
    await opened.delete([Segment("a", str(number)) for number in range(4)])
    assert len(bucket.names()) == 5
    await opened.delete_stream("a")
    assert bucket.names() == ["carillon/owner/README"]


async def test_a_deletion_proves_its_body_in_the_way_that_all_stores_know(opened: SegmentObjects) -> None:
    seen: list[Any] = []
    opened._client.meta.events.register("before-send.s3.DeleteObjects", lambda request, **_: seen.append(request))
    await opened.delete([Segment("a", "1")])
    assert seen[0].headers["Content-MD5"]


async def test_a_bucket_that_is_not_there_is_told_at_start(settings: StreamSettings, bucket: Any) -> None:
    with pytest.raises(BucketUnusable, match="does not exist"):
        async with objects(settings, **{**bucket.settings, "s3_bucket": "no-such-bucket"}):
            pass


async def test_a_bucket_that_keeps_what_is_deleted_is_refused(settings: StreamSettings, bucket: Any) -> None:
    for status in ("Enabled", "Suspended"):
        bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": status})
        if status == "Enabled":
            with pytest.raises(BucketUnusable, match="versions"):
                async with objects(settings, **bucket.settings):
                    pass
        else:
            async with objects(settings, **bucket.settings):
                pass


async def test_no_credentials_are_told_at_start(
    settings: StreamSettings, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageFailed, match="credentials"):
        async with objects(settings, **bucket.settings):
            pass


async def test_nobody_there_is_told_at_start(settings: StreamSettings, aws_keys: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(StorageFailed, match="Could not connect"):
        async with objects(settings, s3_bucket="b", s3_endpoint_url=f"http://127.0.0.1:{port}"):
            pass


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://"])
async def test_an_endpoint_that_is_none_is_told_at_start(settings: StreamSettings, aws_keys: None, url: str) -> None:
    with pytest.raises(StorageFailed):
        async with objects(settings, s3_bucket="b", s3_endpoint_url=url):
            pass


class _Stranger(BaseHTTPRequestHandler):
    """Answers everything with the same page."""

    page = (200, b"<html><body>Welcome")

    def do_GET(self) -> None:
        status, body = self.page
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as inherited
        pass


@pytest.fixture
def stranger() -> Iterator[str]:
    """A web server that is not S3."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(120)


async def test_a_stranger_is_told_at_start(settings: StreamSettings, aws_keys: None, stranger: str) -> None:
    with pytest.raises(StorageFailed, match="S3"):
        async with objects(settings, s3_bucket="b", s3_endpoint_url=stranger):
            pass


async def test_a_store_that_does_not_answer_is_given_up(settings: StreamSettings, bucket: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(StorageFailed, match=r"did not answer|timeout"):
            async with objects(settings, s3_bucket="b", s3_endpoint_url=url, s3_seconds=0.3):
                pass


async def test_an_outage_is_told_to_the_producer_and_the_next_one_is_served(
    make_streams: Make, settings: StreamSettings, bucket: Any, producer: Any, clock: ManualClock
) -> None:
    async with make_streams(replace(settings, **bucket.settings)) as streams:
        stream = await streams.catalog.create("call", retention_hours=1)
        bucket.client.delete_bucket(Bucket=bucket.name)
        told = await send(streams, stream, producer.body(2))
        assert (told[-1].kind, told[-1].error_code) == (AckEventType.ERROR, AckErrorCode.ARCHIVAL_ERROR)
        assert of(told, AckEventType.PERSISTED) == 0
        bucket.client.create_bucket(Bucket=bucket.name)
        assert of(await send(streams, stream, producer.body(2)), AckEventType.PERSISTED) == 2
