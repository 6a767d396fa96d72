"""Objects in a bucket of Amazon S3, or of anything that speaks like it; several processes may share one.

A segment is one object, put once and never changed: the fragments of one stream that gathered for a few seconds, so
that what a request costs is shared by several. Its key is PREFIX OWNER/STREAM/NUMBER. Because readers mostly go on to
the next fragment, a request reads some way ahead, and what it got is kept for a while.
"""

from base64 import b64encode
from collections import OrderedDict
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http import HTTPStatus
from itertools import accumulate, groupby
from types import TracebackType
from typing import Any, Final, Self

from anyio import CapacityLimiter, fail_after

from carillon.aws_clients import (
    AwsAnswer,
    AwsCallFailed,
    AwsClients,
    Client,
    ClientLimits,
    FailureKind,
    Peer,
    call,
    translated,
)
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.segments.protocol import AppendResult, BatchLimits, Segment, StorageFailed
from carillon.telemetry import get_logger

_log: Final = get_logger()

_ATTEMPTS: Final = 3
_OBJECTS_PER_REQUEST: Final = 1_000
"""Source: Amazon S3 API Reference, "DeleteObjects", "ListObjectsV2"."""


class BucketUnusable(StorageFailed):
    """The bucket of the settings is not there, or would keep what is deleted."""


@dataclass(slots=True)
class _Recent:
    """Spans of objects that were read lately, up to so many bytes."""

    most: int
    spans: OrderedDict[Segment, tuple[int, bytes]] = field(default_factory=OrderedDict, repr=False)
    size: int = 0

    def find(self, segment: Segment, offset: int, size: int) -> bytes | None:
        start, span = self.spans.get(segment, (0, b""))
        if not start <= offset <= offset + size <= start + len(span):
            return None
        self.spans.move_to_end(segment)
        return span[offset - start : offset - start + size]

    def keep(self, segment: Segment, start: int, span: bytes) -> None:
        self.forget(segment)
        self.spans[segment] = (start, span)
        self.size += len(span)
        while self.size > self.most:
            self.forget(next(iter(self.spans)))

    def forget(self, segment: Segment) -> None:
        self.size -= len(self.spans.pop(segment, (0, b""))[1])


class SegmentObjects:
    """Keeps segments as objects.

    Args:
        settings: which bucket and where, and how long to gather. Credentials are those of the AWS environment.
        owner: the part of each key that keeps several databases apart.
        region: if the settings do not say.
    """

    def __init__(self, settings: StreamSettings, owner: str, region: str) -> None:
        self.batch_limits = BatchLimits(
            settings.s3_batch_seconds, settings.s3_object_bytes, settings.s3_object_fragments
        )
        self.is_ours_alone = False
        self._settings = settings
        self._root = f"{settings.s3_prefix}{owner}/"
        self._peer = Peer("s3", settings.s3_region or region, settings.s3_endpoint_url or None)
        self._requests = CapacityLimiter(settings.s3_connections)
        self._recent = _Recent(settings.s3_cache_bytes)
        self._client: Client = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            BucketUnusable: it is not there, or keeps versions of what is deleted.
            StorageFailed: it cannot be reached, or there are no credentials.
        """
        try:
            await self._connect()
            await self._check()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection, also while being canceled."""
        await self._stack.aclose()

    async def append(self, stream_id: str, name: str, records: Sequence[bytes]) -> AppendResult:
        """Put an object: what is appended is always a segment of its own."""
        *offsets, _ = accumulate(map(len, records), initial=0)
        await self._call("put_object", Key=self._key(Segment(stream_id, name)), Body=b"".join(records))
        return AppendResult(name, offsets)

    async def read(self, segment: Segment, offset: int, size: int) -> bytes:
        """Return a record, of a span that was read before if there is one."""
        record = self._recent.find(segment, offset, size)
        if record is None:
            span = await self._get(segment, offset, max(size, self._settings.s3_object_bytes))
            self._recent.keep(segment, offset, span)
            record = span[:size]
        if len(record) != size:
            raise StorageFailed(f"Object {self._key(segment)} ends before byte {offset + size}.")
        return record

    def close(self, segments: Collection[Segment]) -> None:
        """Do nothing: an object is closed once it is put."""

    async def delete(self, segments: Sequence[Segment]) -> None:
        """Delete objects, many with one request."""
        for segment in segments:
            self._recent.forget(segment)
        for start in range(0, len(segments), _OBJECTS_PER_REQUEST):
            await self._delete(self._key(segment) for segment in segments[start : start + _OBJECTS_PER_REQUEST])

    async def delete_stream(self, stream_id: str) -> None:
        """Delete all objects of a stream."""
        for segment in [segment for segment in self._recent.spans if segment.stream_id == stream_id]:
            self._recent.forget(segment)
        async for keys in self._pages(f"{self._root}{stream_id}/"):
            await self._delete(keys)

    async def listing(self) -> AsyncGenerator[tuple[str, Sequence[str]], None]:
        """Yield what lies under our part of the bucket; objects that are not named as ours are left alone."""
        async for keys in self._pages(self._root):
            paths = [path for key in keys if len(path := key.removeprefix(self._root).split("/")) == 2]
            for stream_id, group in groupby(paths, key=lambda path: path[0]):
                yield stream_id, [name for _, name in group]

    async def tidy(self) -> None:
        """Do nothing: an object is whole once it is put."""

    async def _connect(self) -> None:
        clients = _clients(self._settings)
        self._stack.push_async_callback(clients.aclose)
        with _told("A client", self._settings):
            self._client = await self._stack.enter_async_context(clients.use(self._peer))
        self._client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)

    async def _check(self) -> None:
        """See that the bucket is there and forgets what is deleted."""
        bucket = self._settings.s3_bucket
        try:
            versioning = await self._call("get_bucket_versioning")
        except _Refused as refused:
            if refused.kind is FailureKind.NOT_FOUND:
                raise BucketUnusable(f"Bucket {bucket} does not exist; make it, or correct s3_bucket.") from refused
            if refused.status == HTTPStatus.FORBIDDEN:  # may be forbidden, and writing not
                _log.warning("streams.bucket_versioning_unknown", bucket=bucket, error=refused.code)
            elif refused.status != HTTPStatus.NOT_IMPLEMENTED:  # then it has no versions
                raise
            return
        if versioning.get("Status") == "Enabled":
            raise BucketUnusable(
                f"Bucket {bucket} keeps versions of what is deleted, so audio would outlive its retention. "
                "Suspend its versioning, or name another bucket."
            )

    async def _get(self, segment: Segment, offset: int, size: int) -> bytes:
        answer = await self._call("get_object", Key=self._key(segment), Range=f"bytes={offset}-{offset + size - 1}")
        span: bytes = answer["Body"]
        return span

    async def _delete(self, keys: Iterable[str]) -> None:
        objects = [{"Key": key} for key in keys]
        answer = await self._call("delete_objects", Delete={"Objects": objects, "Quiet": True})
        if errors := answer.get("Errors"):
            raise StorageFailed(f"{len(errors)} objects could not be deleted: {str(errors[0].get('Code'))[:100]}.")

    async def _pages(self, prefix: str) -> AsyncGenerator[Sequence[str], None]:
        token: dict[str, str] = {}
        while True:
            answer = await self._call("list_objects_v2", Prefix=prefix, MaxKeys=_OBJECTS_PER_REQUEST, **token)
            if contents := answer.get("Contents"):
                yield [str(item["Key"]) for item in contents]
            if not answer.get("IsTruncated"):
                return
            token = {"ContinuationToken": str(answer["NextContinuationToken"])}

    async def _call(self, operation: str, **parameters: object) -> AwsAnswer:
        """Return an answer, with the bytes of its body instead of a stream.

        Raises:
            StorageFailed: with a message that tells why.
        """
        with _told(operation, self._settings), translated():
            async with self._requests:
                with fail_after(self._settings.s3_seconds):
                    answer = await call(self._client, operation, {"Bucket": self._settings.s3_bucket, **parameters})
                    return {**answer, "Body": await _body(answer)} if "Body" in answer else answer

    def _key(self, segment: Segment) -> str:
        return f"{self._root}{segment.stream_id}/{segment.name}"


class _Refused(StorageFailed):
    """S3 answered with an error."""

    def __init__(self, operation: str, failed: AwsCallFailed) -> None:
        self.kind, self.code, self.status = failed.kind, failed.code, failed.status
        super().__init__(f"S3 refused {operation}: {failed.code}.")


@contextmanager
def _told(operation: str, settings: StreamSettings) -> Iterator[None]:
    try:
        yield
    except AwsCallFailed as failed:
        if failed.status is not None:
            raise _Refused(operation, failed) from failed
        if failed.kind is FailureKind.TIMED_OUT:
            raise StorageFailed(f"S3 did not answer {operation} within {settings.s3_seconds:g} s.") from failed
        if failed.kind is FailureKind.UNINTELLIGIBLE:
            raise StorageFailed(f"What answers {operation} is not S3. Check s3_endpoint_url and proxies.") from failed
        raise StorageFailed(f"S3 {operation} failed: {failed}") from failed


async def _body(answer: AwsAnswer) -> bytes:
    async with answer["Body"] as body:
        return bytes(await body.read())


def _clients(settings: StreamSettings) -> AwsClients:
    return AwsClients(
        ClientLimits(
            settings.s3_seconds / _ATTEMPTS, settings.s3_seconds / _ATTEMPTS, settings.s3_connections, _ATTEMPTS
        ),
        options={
            # Stores that are not Amazon's have no host name for each bucket, and not all know its checksums.
            "s3": {"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
    )


def _add_md5(params: dict[str, Any], **_: object) -> None:
    """Add what DeleteObjects needed before S3 had other checksums, and many stores still want."""
    body = params["body"]
    digest = md5(body if isinstance(body, bytes) else body.encode(), usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = b64encode(digest).decode()
