"""A client of Kinesis Video Streams: the embedded one, the real one, or anything that speaks like them."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from anyio import fail_after

from carillon.aws_clients import AwsClients, Client, ClientLimits, Peer, call
from carillon.clock import Clock, SystemClock
from carillon.media.refusals import RemoteStreamNotFound, StreamBusy, StreamUnavailable, translated
from carillon.media.settings import MediaSettings

ApiName = Literal["GET_MEDIA", "PUT_MEDIA"]

_CHUNK_BYTES: Final = 65_536
_CONNECTIONS: Final = 10_000  # botocore's default of 10 would let the eleventh stream wait for ever
_MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Endpoint:
    url: str
    expires_at: float  # monotonic


class KinesisVideoClient:
    """Reads streams and tells where to send to. An async context manager; safe to share.

    Args:
        endpoint_url: control plane; None means what the AWS environment says, by default the real service.
        region: Region to sign for.
        access_key_id, secret_access_key: None means the AWS environment's own.
        data_endpoint_url: where media is read and sent, whatever GetDataEndpoint would say: through a tunnel, say.
        ca_bundle: file of the authorities to trust over https; None means those of AWS_CA_BUNDLE, or the usual ones.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None,
        region: str,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        clock: Clock | None = None,
        settings: MediaSettings | None = None,
        data_endpoint_url: str | None = None,
        ca_bundle: Path | None = None,
    ) -> None:
        access_key = None
        if access_key_id is not None and secret_access_key is not None:
            access_key = (access_key_id, secret_access_key)
        elif access_key_id is not secret_access_key:
            raise ValueError("An access key is an id and a secret; give both or neither.")
        settings = settings or MediaSettings()
        self._endpoint_url = endpoint_url
        self._data_endpoint_url = data_endpoint_url
        self._region = region
        self._clock = clock or SystemClock()
        self._answer_seconds = settings.answer_seconds
        self._remembered = timedelta(minutes=settings.endpoint_minutes).total_seconds()
        # The reader tries again itself, and knows where to go on.
        self._clients = AwsClients(
            ClientLimits(settings.connect_seconds, settings.read_seconds, _CONNECTIONS),
            most=settings.most_endpoints,
            access_key=access_key,
            ca_bundle=ca_bundle,
        )
        self._endpoints: dict[tuple[str, ApiName], _Endpoint] = {}  # the first to expire first

    def __repr__(self) -> str:
        return f"KinesisVideoClient(endpoint_url={self._endpoint_url!r}, region={self._region!r})"

    async def __aenter__(self) -> Self:
        """Return itself; nothing is connected yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._clients.aclose()

    async def has_stream(self, stream_arn: str) -> bool:
        """Return whether a stream exists.

        Raises:
            NotAuthorized, RequestRefused, StreamUnavailable: nobody could say.
        """
        try:
            await self._ask(stream_arn, "describe_stream", "StreamInfo", StreamARN=stream_arn)
        except RemoteStreamNotFound:
            return False
        return True

    async def retention_hours(self, stream_name: str) -> int:
        """Return for how many hours a stream keeps what is sent to it; 0 means that it keeps nothing.

        Raises:
            RemoteStreamNotFound, NotAuthorized, RequestRefused, StreamUnavailable: as the endpoint answered.
        """
        found = await self._ask(stream_name, "describe_stream", "StreamInfo", StreamName=stream_name)
        return int(found.get("DataRetentionInHours", 0))

    async def data_endpoint(self, stream: str, api: ApiName) -> str:
        """Return the base URL that serves one API of a stream, by name or ARN, without a trailing slash.

        Raises:
            RemoteStreamNotFound, NotAuthorized, RequestRefused, StreamUnavailable: as the endpoint answered.
        """
        if self._data_endpoint_url is not None:
            return self._data_endpoint_url.rstrip("/")
        known = self._endpoints.get((stream, api))
        if known is not None and known.expires_at > self._clock.monotonic():
            return known.url
        address = {"StreamARN": stream} if stream.startswith("arn:") else {"StreamName": stream}
        found = await self._ask(stream, "get_data_endpoint", "DataEndpoint", APIName=api, **address)
        url = str(found).rstrip("/")
        self._remember(stream, api, url)
        return url

    def forget_endpoint(self, stream: str, api: ApiName) -> None:
        """Ask anew, next time, which endpoint serves a stream: the one that was remembered did not."""
        self._endpoints.pop((stream, api), None)

    @asynccontextmanager
    async def get_media(self, stream_arn: str, selector: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream at a StartSelector; yield its body, which may end at any time.

        Raises:
            RemoteStreamNotFound, NotAuthorized, RequestRefused, StreamUnavailable: on opening.
            StreamUnavailable: also while the body is read.
        """
        url = await self.data_endpoint(stream_arn, "GET_MEDIA")
        async with self._client(stream_arn, "kinesis-video-media", url) as media:
            try:
                with translated(stream_arn, url), fail_after(self._answer_seconds):
                    opening = {"StreamARN": stream_arn, "StartSelector": dict(selector)}
                    opened = await call(media, "get_media", opening, "Payload")
            except StreamBusy:
                raise
            except (RemoteStreamNotFound, StreamUnavailable):
                self.forget_endpoint(stream_arn, "GET_MEDIA")
                raise
            async with opened["Payload"] as body, aclosing(_pieces(stream_arn, body)) as pieces:
                yield pieces

    def trust(self) -> ssl.SSLContext:
        """Return by which authorities an https endpoint is trusted."""
        return self._clients.trust()

    async def sign(self, method: str, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers of a request with a body that is not hashed, signed.

        Raises:
            NotAuthorized, StreamUnavailable: there are no credentials to sign with, or they cannot be had now.
        """
        with translated(headers.get("x-amzn-stream-name", url)), fail_after(self._answer_seconds):
            return await self._clients.sign(method, url, headers, Peer("kinesisvideo", self._region))

    def _remember(self, stream: str, api: ApiName, url: str) -> None:
        self.forget_endpoint(stream, api)
        self._endpoints[stream, api] = _Endpoint(url, self._clock.monotonic() + self._remembered)
        if len(self._endpoints) > _MOST_REMEMBERED:
            del self._endpoints[next(iter(self._endpoints))]

    async def _ask(self, stream: str, operation: str, member: str, **parameters: object) -> Any:  # noqa: ANN401 - botocore has no types
        """Return a member that every true answer of the control plane has."""
        url = self._endpoint_url
        async with self._client(stream, "kinesisvideo", url) as control:
            with translated(stream, url), fail_after(self._answer_seconds):
                return (await call(control, operation, parameters, member))[member]

    @asynccontextmanager
    async def _client(self, stream: str, service: str, url: str | None) -> AsyncIterator[Client]:
        async with AsyncExitStack() as stack:
            with translated(stream), fail_after(self._answer_seconds):
                client = await stack.enter_async_context(self._clients.use(Peer(service, self._region, url)))
            yield client


async def _pieces(stream: str, body: Any) -> AsyncGenerator[bytes]:  # noqa: ANN401 - botocore has no types
    """Yield a body as it comes, at most so much at once."""
    with translated(stream):
        async for data in body.iter_chunks(_CHUNK_BYTES):
            yield data
