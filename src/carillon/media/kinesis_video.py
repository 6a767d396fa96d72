"""A client of Kinesis Video Streams: the embedded one, the real one, or anything that speaks like them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Literal, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as AiohttpError
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from carillon.clock import Clock, SystemClock
from carillon.errors import CarillonError, NotFound, Transient
from carillon.media.settings import Settings

ApiName = Literal["GET_MEDIA", "PUT_MEDIA"]

_CHUNK_BYTES: Final = 65_536
_CONNECTIONS: Final = 10_000  # botocore's default of 10 would let the eleventh stream wait for ever
_DENIED: Final = frozenset(
    {
        "NotAuthorizedException",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
    }
)


class StreamNotFound(NotFound):
    """The endpoint has no such stream."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"Kinesis video stream {stream} does not exist.")


class NotAuthorized(CarillonError):
    """The endpoint refuses our credentials."""

    def __init__(self, stream: str, code: str) -> None:
        super().__init__(f"Reading Kinesis video stream {stream} was refused ({code}). Check credentials and policy.")


class StreamUnavailable(Transient):
    """The endpoint cannot be reached, or asks to come back later."""

    def __init__(self, stream: str, reason: str) -> None:
        super().__init__(f"Kinesis video stream {stream} is not available now: {reason}.")


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
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None,
        region: str,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        self._endpoint_url = endpoint_url
        self._region = region
        self._clock = clock or SystemClock()
        self._remembered = timedelta(minutes=settings.endpoint_minutes).total_seconds()
        self._session = get_session()
        if access_key_id is not None and secret_access_key is not None:
            self._session.set_credentials(access_key_id, secret_access_key)
        self._config = AioConfig(
            connect_timeout=settings.connect_seconds,
            read_timeout=settings.read_seconds,
            max_pool_connections=_CONNECTIONS,
            retries={"total_max_attempts": 1},  # the reader retries, and knows where to go on
        )
        self._stack = AsyncExitStack()
        self._control: Any = None
        self._media: dict[str, Any] = {}
        self._endpoints: dict[tuple[str, ApiName], _Endpoint] = {}

    def __repr__(self) -> str:
        return f"KinesisVideoClient(endpoint_url={self._endpoint_url!r}, region={self._region!r})"

    async def __aenter__(self) -> Self:
        self._control = await self._client("kinesisvideo", self._endpoint_url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._media.clear()
        await self._stack.aclose()

    async def has_stream(self, stream_arn: str) -> bool:
        """Tell whether a stream exists.

        Raises:
            NotAuthorized, StreamUnavailable: nobody could say.
        """
        try:
            with _translated(stream_arn):
                await self._control.describe_stream(StreamARN=stream_arn)
        except StreamNotFound:
            return False
        return True

    async def data_endpoint(self, stream: str, api: ApiName) -> str:
        """Return the base URL that serves one API of a stream, by name or ARN, without a trailing slash.

        Raises:
            StreamNotFound, NotAuthorized, StreamUnavailable: as the endpoint answered.
        """
        known = self._endpoints.get((stream, api))
        if known is not None and known.expires_at > self._clock.monotonic():
            return known.url
        address = {"StreamARN": stream} if stream.startswith("arn:") else {"StreamName": stream}
        with _translated(stream):
            answer = await self._control.get_data_endpoint(APIName=api, **address)
        url: str = answer["DataEndpoint"].rstrip("/")
        now = self._clock.monotonic()
        self._endpoints = {key: item for key, item in self._endpoints.items() if item.expires_at > now}
        self._endpoints[stream, api] = _Endpoint(url, now + self._remembered)
        return url

    @asynccontextmanager
    async def get_media(self, stream_arn: str, selector: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream at a StartSelector; yield its body, which may end at any time.

        Raises:
            StreamNotFound, NotAuthorized, StreamUnavailable: on opening, or while the body is read.
        """
        url = await self.data_endpoint(stream_arn, "GET_MEDIA")
        if url not in self._media:
            self._media[url] = await self._client("kinesis-video-media", url)
        with _translated(stream_arn):
            try:
                answer = await self._media[url].get_media(StreamARN=stream_arn, StartSelector=dict(selector))
            except BaseException:
                self._endpoints.pop((stream_arn, "GET_MEDIA"), None)  # it may have moved
                raise
            async with answer["Payload"] as body:
                yield body.iter_chunks(_CHUNK_BYTES)  # what has come, at most so much

    async def sign(self, method: str, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers of a request with a body that is not hashed, signed.

        Raises:
            NotAuthorized: there are no credentials to sign with.
        """
        credentials = await self._session.get_credentials()
        if credentials is None:
            raise NotAuthorized(url, "no credentials in the AWS environment")
        frozen = await credentials.get_frozen_credentials()
        request = AWSRequest(method, url, headers={**headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        signer = SigV4Auth(
            Credentials(frozen.access_key, frozen.secret_key, frozen.token), "kinesisvideo", self._region
        )
        signer.add_auth(request)
        return dict(request.headers.items())

    async def _client(self, service: str, endpoint_url: str | None) -> Any:  # noqa: ANN401 - botocore has no types
        return await self._stack.enter_async_context(
            self._session.create_client(
                service, region_name=self._region, endpoint_url=endpoint_url, config=self._config
            )
        )


class _translated:  # noqa: N801 - reads as a statement
    """Turns botocore's errors into ours."""

    def __init__(self, stream: str) -> None:
        self._stream = stream

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> Literal[False]:
        if isinstance(error, ClientError):
            code: str = error.response.get("Error", {}).get("Code", "Unknown")
            if code == "ResourceNotFoundException":
                raise StreamNotFound(self._stream) from error
            if code in _DENIED:
                raise NotAuthorized(self._stream, code) from error
            raise StreamUnavailable(self._stream, code) from error
        if isinstance(error, BotoCoreError | AiohttpError | OSError):
            raise StreamUnavailable(self._stream, type(error).__name__) from error
        return False
