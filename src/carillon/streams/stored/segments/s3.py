"""Objects in a bucket of Amazon S3, or of anything that speaks like it; several processes may share one.

A segment is one object, put once and never changed: the fragments of one stream that gathered for a few seconds, so
that what a request costs is shared by several. Its key is PREFIX OWNER/STREAM/NUMBER. Because readers mostly go on to
the next fragment, a request reads some way ahead, and what it got is kept for a while.
"""

from base64 import b64encode
from collections import OrderedDict
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import md5
from itertools import accumulate, groupby
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from anyio import CapacityLimiter, fail_after, move_on_after
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError
from botocore.parsers import ResponseParserError

from carillon import __version__
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.segments.protocol import AppendResult, BatchLimits, Segment, StorageFailed
from carillon.telemetry import get_logger

_log: Final = get_logger()

S3Client: TypeAlias = Any  # botocore makes its clients at run time, so there is no type to name
S3Response: TypeAlias = Mapping[str, Any]

_ATTEMPTS: Final = 3
_OBJECTS_PER_REQUEST: Final = 1_000
"""Source: Amazon S3 API Reference, "DeleteObjects", "ListObjectsV2"."""
_CLOSE_SECONDS: Final = 2.0

# botocore's parsers trust the peer, and break on what is not XML or not of the service's shape.
_UNPARSED: Final = (ResponseParserError, ValueError, LookupError, TypeError, AttributeError)


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
        self._region = settings.s3_region or region
        self._requests = CapacityLimiter(settings.s3_connections)
        self._recent = _Recent(settings.s3_cache_bytes)
        self._client: S3Client = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            BucketUnusable: it is not there, or keeps versions of what is deleted.
            StorageFailed: it cannot be reached, or there are no credentials.
        """
        url = self._settings.s3_endpoint_url or None
        making = get_session().create_client(
            "s3", region_name=self._region, endpoint_url=url, config=_config(self._settings)
        )
        try:
            self._client = await self._stack.enter_async_context(making)
        except (ValueError, OSError) as error:  # an endpoint that is no URL, a file that cannot be read
            raise StorageFailed(f"The S3 settings do not make a client: {error}") from error
        self._client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
        try:
            await self._check()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection, also while being canceled."""
        await self._close()

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

    async def _check(self) -> None:
        """See that the bucket is there and forgets what is deleted."""
        bucket = self._settings.s3_bucket
        try:
            versioning = await self._call("get_bucket_versioning")
        except _Refused as error:
            if error.code == "NoSuchBucket":
                raise BucketUnusable(f"Bucket {bucket} does not exist; make it, or correct s3_bucket.") from error
            if error.status == 403:  # may be forbidden, and writing not
                _log.warning("streams.bucket_versioning_unknown", bucket=bucket, error=error.code)
            elif error.status != 501:  # then it has no versions
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

    async def _call(self, operation: str, **parameters: object) -> S3Response:
        """Return an answer, with the bytes of its body instead of a stream.

        Raises:
            StorageFailed: with a message that tells why.
        """
        try:
            async with self._requests:
                with fail_after(self._settings.s3_seconds):
                    return await _call(self._client, operation, {"Bucket": self._settings.s3_bucket, **parameters})
        except ClientError as error:
            raise _Refused(operation, error.response) from error
        except TimeoutError as error:
            raise StorageFailed(f"S3 did not answer {operation} within {self._settings.s3_seconds:g} s.") from error
        except CredentialRetrievalError as error:  # its text quotes the program that was asked for them
            raise StorageFailed("AWS credentials could not be retrieved. Check the profile and its source.") from error
        except (BotoCoreError, OSError) as error:
            raise StorageFailed(f"S3 {operation} failed: {error}") from error

    async def _close(self) -> None:
        with move_on_after(_CLOSE_SECONDS, shield=True):
            await self._stack.aclose()

    def _key(self, segment: Segment) -> str:
        return f"{self._root}{segment.stream_id}/{segment.name}"


class _Refused(StorageFailed):
    """S3 answered with an error."""

    def __init__(self, operation: str, response: Mapping[str, Any]) -> None:
        self.code = str(response.get("Error", {}).get("Code") or "Unknown")[:100]
        self.status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        super().__init__(f"S3 refused {operation}: {self.code}.")


async def _call(client: S3Client, operation: str, parameters: Mapping[str, object]) -> S3Response:
    try:
        answer: dict[str, Any] = await getattr(client, operation)(**parameters)
        if "Body" in answer:
            async with answer["Body"] as body:
                answer["Body"] = await body.read()
    except _UNPARSED as error:
        raise StorageFailed(f"What answers {operation} is not S3. Check s3_endpoint_url and proxies.") from error
    return answer


def _config(settings: StreamSettings) -> AioConfig:
    return AioConfig(
        connect_timeout=settings.s3_seconds / _ATTEMPTS,
        read_timeout=settings.s3_seconds / _ATTEMPTS,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        max_pool_connections=settings.s3_connections,
        user_agent_extra=f"carillon/{__version__}",
        warm_up_loader_caches=True,  # reads the service's model in a thread, not in the event loop
        # Stores that are not Amazon's have no host name for each bucket, and not all know its checksums.
        s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _add_md5(params: dict[str, Any], **_: object) -> None:
    """Add what DeleteObjects needed before S3 had other checksums, and many stores still want."""
    body = params["body"]
    digest = md5(body if isinstance(body, bytes) else body.encode(), usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = b64encode(digest).decode()
