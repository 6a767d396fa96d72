"""AWS clients, made at first use, and the one place where their errors become ours."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import anyio
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from anyio import move_on_after
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError
from botocore.parsers import ResponseParserError

from carillon import __version__
from carillon.arns import Arn
from carillon.errors import InvalidRequest
from carillon.notifications.sending import EventRefused, SendFailed
from carillon.notifications.settings import NotificationSettings

SinkClient: TypeAlias = Any  # botocore makes its clients at run time, so there is no type to name
SinkResponse: TypeAlias = Mapping[str, Any]

_CLOSE_SECONDS: Final = 2.0
_CODE_CHARACTERS: Final = 100  # AWS's longest is well below; a stranger's answer may be anything

_NEVER_TAKEN: Final = frozenset(
    {
        "InvalidArgument",
        "InvalidArgumentException",
        "InvalidMessageContents",
        "InvalidParameter",
        "InvalidParameterException",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "InvalidRequestContentException",
        "MalformedDetail",
        "ParameterValueInvalid",
        "RequestEntityTooLarge",
        "RequestEntityTooLargeException",
        "RequestTooLargeException",
        "SerializationException",
        "UnsupportedMediaTypeException",
        "ValidationError",
        "ValidationException",
    }
)
"""What services call an event that is too large for them or not in order, whatever was called; 413 says so, too."""
_SETUP: Final = (
    "topicarn",
    "streamarn",
    "queueurl",
    "eventbusname",
    "functionname",
    "messagegroupid",
    "parameter source",
)
"""Parameters that are not the event's but the target's: what is wrong with them, an operator mends."""

# botocore's parsers trust the peer, and break on what is not UTF-8, not an object, not of the service's shape.
_UNPARSED: Final = (ResponseParserError, ValueError, LookupError, TypeError, AttributeError)


class Refused(SendFailed):
    """The service answered with an error; `code` is AWS's word for it."""

    def __init__(self, operation: str, code: object) -> None:
        self.code = str(code or "Unknown")[:_CODE_CHARACTERS]
        super().__init__(f"{operation} was refused: {self.code}.")


class Unintelligible(SendFailed):
    """Something answered, but not as the service does: a proxy, a wrong endpoint. Nothing was delivered."""

    def __init__(self, operation: str, service: str) -> None:
        super().__init__(f"{operation} got an answer that is not from {service}. Check AWS_ENDPOINT_URL and proxies.")


class AwsClients:
    """One client for each service and Region; a pool of connections each. Use it as a context.

    There are few: a pipeline's sinks are in the server's own Region, only the event bus may be in another.
    """

    def __init__(self, settings: NotificationSettings) -> None:
        self._session = get_session()
        self._config = AioConfig(
            connect_timeout=settings.connect_seconds,
            read_timeout=settings.send_seconds,
            retries={"total_max_attempts": 1, "mode": "standard"},  # the dispatcher tries again itself, and counts
            max_pool_connections=settings.sends,
            user_agent_extra=f"carillon/{__version__}",
            warm_up_loader_caches=True,  # reads the service's model in a thread, not in the event loop
        )
        self._clients: dict[tuple[str, str], SinkClient] = {}
        self._making: defaultdict[tuple[str, str], anyio.Lock] = defaultdict(anyio.Lock)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Return itself; nothing is connected yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection, also while being canceled."""
        with move_on_after(_CLOSE_SECONDS, shield=True):
            await self._stack.aclose()

    async def call(self, service: str, region: str, operation: str, proof: str, **parameters: object) -> SinkResponse:
        """Call an operation and return its answer.

        Args:
            service: in botocore's spelling, `sqs`.
            region: where the target is.
            operation: in botocore's spelling, `send_message`.
            proof: a member that every true answer has, `MessageId`: a wrong endpoint may well answer 200.
            parameters: in AWS's spelling, `QueueUrl`.

        Raises:
            EventRefused: the service will never take what it was given.
            Refused: the service answered with another error.
            Unintelligible: what answered is not the service.
            SendFailed: it could not be reached, or there are no credentials.
        """
        with _told(operation):
            client = await self._client(service, region)
            answer = await _call(client, service, operation, parameters)
        if proof not in answer:
            raise Unintelligible(operation, service)
        return answer

    async def endpoint(self, service: str, region: str) -> str:
        """Return the base URL that a service is called at, without a trailing slash.

        Raises:
            SendFailed: there are no credentials, or settings that make no client.
        """
        with _told(f"A client for {service}"):
            return str((await self._client(service, region)).meta.endpoint_url).rstrip("/")

    async def _client(self, service: str, region: str) -> SinkClient:
        key = (service, region)
        async with self._making[key]:
            if key not in self._clients:
                if await self._session.get_credentials() is None:  # ask again next time: a client would remember
                    raise SendFailed("No AWS credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
                making = self._session.create_client(service, region_name=region, config=self._config)
                try:
                    self._clients[key] = await self._stack.enter_async_context(making)
                except (ValueError, OSError) as error:  # an endpoint that is no URL, a file that cannot be read
                    raise SendFailed(f"The AWS settings do not make a client for {service}: {error}") from error
        return self._clients[key]


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Make botocore's errors ours, about an operation or what comes before it."""
    try:
        yield
    except ClientError as error:
        said, about = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        raise refusal(what, said.get("Code"), said.get("Message"), about.get("HTTPStatusCode")) from error
    except CredentialRetrievalError as error:  # its text quotes the program that was asked for them
        raise SendFailed("AWS credentials could not be retrieved. Check the AWS profile and its source.") from error
    except BotoCoreError as error:
        raise SendFailed(f"{what} failed: {error}") from error


def refusal(operation: str, code: object, message: object, status: int | None = None) -> Refused | EventRefused:
    """Return the error that an error of AWS is: of the event itself, or of anything that may be over another time."""
    refused = Refused(operation, code)
    text = str(message).lower()
    is_never_taken = refused.code in _NEVER_TAKEN and not any(parameter in text for parameter in _SETUP)
    if is_never_taken or status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return EventRefused(f"{operation} will not take it: {refused.code}.")
    return refused


async def _call(client: SinkClient, service: str, operation: str, parameters: Mapping[str, object]) -> SinkResponse:
    try:
        answer: SinkResponse = await getattr(client, operation)(**parameters)
    except _UNPARSED as error:
        raise Unintelligible(operation, service) from error
    return answer


def parsed(arn: str) -> Arn:
    """Return a target's ARN in parts.

    Raises:
        SendFailed: it is none. Pipelines check theirs when they are configured.
    """
    try:
        return Arn.parse(arn)
    except InvalidRequest as error:
        raise SendFailed(str(error)) from error
