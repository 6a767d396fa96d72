"""A client of Kinesis Video Streams: the embedded one, the real one, or anything that speaks like them."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from anyio import fail_after
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.parsers import ResponseParserError

from carillon import __version__
from carillon.clock import Clock, SystemClock
from carillon.media.clients import ClientPool, MediaClient, Peer
from carillon.media.refusals import (
    NotAuthorized,
    RemoteStreamNotFound,
    RequestRefused,
    StreamBusy,
    StreamUnavailable,
    translated,
)
from carillon.media.settings import MediaSettings

ApiName = Literal["GET_MEDIA", "PUT_MEDIA"]

_CHUNK_BYTES: Final = 65_536
_CONNECTIONS: Final = 10_000  # botocore's default of 10 would let the eleventh stream wait for ever
_MOST_REMEMBERED: Final = 10_000

# botocore's parsers trust the peer, and break on what is not UTF-8, not an object, not of the service's shape.
_UNPARSED: Final = (ResponseParserError, ValueError, LookupError, TypeError, AttributeError)


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
        if (access_key_id is None) != (secret_access_key is None):
            raise ValueError("An access key is an id and a secret; give both or neither.")
        settings = settings or MediaSettings()
        self._endpoint_url = endpoint_url
        self._data_endpoint_url = data_endpoint_url
        self._region = region
        self._ca_bundle = ca_bundle
        self._clock = clock or SystemClock()
        self._answer_seconds = settings.answer_seconds
        self._remembered = timedelta(minutes=settings.endpoint_minutes).total_seconds()
        self._session = get_session()
        if access_key_id is not None:
            self._session.set_credentials(access_key_id, secret_access_key)
        self._config = AioConfig(
            connect_timeout=settings.connect_seconds,
            read_timeout=settings.read_seconds,
            max_pool_connections=_CONNECTIONS,
            retries={"total_max_attempts": 1},  # the reader retries, and knows where to go on
            user_agent_extra=f"carillon/{__version__}",
            warm_up_loader_caches=True,  # reads the service's model in a thread, not in the event loop
        )
        self._clients = ClientPool(self._made, settings.most_endpoints)
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
            async with self._client(stream_arn, "kinesisvideo", self._endpoint_url) as control:
                opening = control.describe_stream(StreamARN=stream_arn)
                await self._answer(stream_arn, self._endpoint_url, opening, "StreamInfo")
        except RemoteStreamNotFound:
            return False
        return True

    async def retention_hours(self, stream_name: str) -> int:
        """Return for how many hours a stream keeps what is sent to it; 0 means that it keeps nothing.

        Raises:
            RemoteStreamNotFound, NotAuthorized, RequestRefused, StreamUnavailable: as the endpoint answered.
        """
        async with self._client(stream_name, "kinesisvideo", self._endpoint_url) as control:
            asking = control.describe_stream(StreamName=stream_name)
            found = await self._answer(stream_name, self._endpoint_url, asking, "StreamInfo")
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
        async with self._client(stream, "kinesisvideo", self._endpoint_url) as control:
            asking = control.get_data_endpoint(APIName=api, **address)
            found = await self._answer(stream, self._endpoint_url, asking, "DataEndpoint")
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
                opening = media.get_media(StreamARN=stream_arn, StartSelector=dict(selector))
                payload = await self._answer(stream_arn, url, opening, "Payload")
            except StreamBusy:
                raise
            except (RemoteStreamNotFound, StreamUnavailable):
                self.forget_endpoint(stream_arn, "GET_MEDIA")
                raise
            async with payload as body, aclosing(_pieces(stream_arn, body)) as pieces:
                yield pieces

    def trust(self) -> ssl.SSLContext:
        """Return by which authorities an https endpoint is trusted."""
        bundle = self._ca_bundle or self._session.get_config_variable("ca_bundle")
        return ssl.create_default_context(cafile=None if bundle is None else str(bundle))

    async def sign(self, method: str, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers of a request with a body that is not hashed, signed.

        Raises:
            NotAuthorized, StreamUnavailable: there are no credentials to sign with, or they cannot be had now.
        """
        stream = headers.get("x-amzn-stream-name", url)
        with translated(stream), fail_after(self._answer_seconds):
            credentials = await self._session.get_credentials()
            if credentials is None:
                raise _no_credentials(stream)
            frozen = await credentials.get_frozen_credentials()
        request = AWSRequest(method, url, headers={**headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        signer = SigV4Auth(
            Credentials(frozen.access_key, frozen.secret_key, frozen.token), "kinesisvideo", self._region
        )
        signer.add_auth(request)
        return dict(request.headers.items())

    def _remember(self, stream: str, api: ApiName, url: str) -> None:
        self.forget_endpoint(stream, api)
        self._endpoints[stream, api] = _Endpoint(url, self._clock.monotonic() + self._remembered)
        if len(self._endpoints) > _MOST_REMEMBERED:
            del self._endpoints[next(iter(self._endpoints))]

    async def _answer(self, stream: str, url: str | None, call: Awaitable[Mapping[str, Any]], member: str) -> Any:  # noqa: ANN401 - botocore has no types
        """Return a member that every true answer has: a wrong endpoint may well answer 200."""
        with translated(stream, url):
            try:
                with fail_after(self._answer_seconds):
                    return (await call)[member]
            except _UNPARSED as error:
                raise StreamUnavailable(stream, "what answers is not Kinesis Video Streams") from error

    @asynccontextmanager
    async def _client(self, stream: str, service: str, endpoint_url: str | None) -> AsyncIterator[MediaClient]:
        async with AsyncExitStack() as stack:
            with translated(stream), fail_after(self._answer_seconds):
                if await self._session.get_credentials() is None:  # a client would remember that there were none
                    raise _no_credentials(stream)
                try:
                    client = await stack.enter_async_context(self._clients.use(Peer(service, endpoint_url)))
                except ValueError as error:
                    raise RequestRefused(stream, "a bad endpoint", str(error)) from error
            yield client

    @asynccontextmanager
    async def _made(self, peer: Peer) -> AsyncIterator[MediaClient]:
        async with self._session.create_client(
            peer.service,
            region_name=self._region,
            endpoint_url=peer.endpoint_url,
            verify=None if self._ca_bundle is None else str(self._ca_bundle),
            config=self._config,
        ) as client:
            yield client


def _no_credentials(stream: str) -> NotAuthorized:
    return NotAuthorized(stream, "no credentials in the AWS environment")


async def _pieces(stream: str, body: Any) -> AsyncGenerator[bytes]:  # noqa: ANN401 - botocore has no types
    """Yield a body as it comes, at most so much at once."""
    with translated(stream):
        async for data in body.iter_chunks(_CHUNK_BYTES):
            yield data
