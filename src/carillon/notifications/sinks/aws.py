"""Calls to AWS in the words of sinks: what may be over another time, and what is never taken."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

from carillon.arns import Arn
from carillon.aws_clients import AwsAnswer, AwsCallFailed, AwsClients, ClientLimits, FailureKind, Peer, call
from carillon.errors import InvalidRequest
from carillon.notifications.sending import EventRefused, SendFailed
from carillon.notifications.settings import NotificationSettings

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


class Refused(SendFailed):
    """The service answered with an error; `code` is AWS's word for it."""

    def __init__(self, operation: str, code: object) -> None:
        self.code = str(code or "Unknown")
        super().__init__(f"{operation} was refused: {self.code}.")


class Unintelligible(SendFailed):
    """Something answered, but not as the service does: a proxy, a wrong endpoint. Nothing was delivered."""

    def __init__(self, operation: str, service: str) -> None:
        super().__init__(f"{operation} got an answer that is not from {service}. Check AWS_ENDPOINT_URL and proxies.")


class SinkClients:
    """One client for each service and Region. Use it as a context.

    There are few: a pipeline's sinks are in the server's own Region, only the event bus may be in another.
    """

    def __init__(self, settings: NotificationSettings) -> None:
        # The dispatcher tries again itself, and counts.
        self._clients = AwsClients(ClientLimits(settings.connect_seconds, settings.send_seconds, settings.sends))

    async def __aenter__(self) -> Self:
        """Return itself; nothing is connected yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection, also while being canceled."""
        await self._clients.aclose()

    async def call(self, service: str, region: str, operation: str, proof: str, **parameters: object) -> AwsAnswer:
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
        with _told(operation, service):
            async with self._clients.use(Peer(service, region)) as client:
                return await call(client, operation, parameters, proof)

    async def endpoint(self, service: str, region: str) -> str:
        """Return the base URL that a service is called at, without a trailing slash.

        Raises:
            SendFailed: there are no credentials, or settings that make no client.
        """
        with _told(f"A client for {service}", service):
            async with self._clients.use(Peer(service, region)) as client:
                return str(client.meta.endpoint_url).rstrip("/")


@contextmanager
def _told(what: str, service: str) -> Iterator[None]:
    """Make of a failed call, or of one that could not be made, a failed send."""
    try:
        yield
    except AwsCallFailed as failed:
        if failed.status is not None:
            raise refusal(what, failed.code, failed.message, failed.status) from failed
        if failed.kind is FailureKind.UNINTELLIGIBLE:
            raise Unintelligible(what, service) from failed
        raise SendFailed(f"{what} failed: {failed}") from failed


def refusal(operation: str, code: object, message: object, status: int | None = None) -> Refused | EventRefused:
    """Return the error that an error of AWS is: of the event itself, or of anything that may be over another time."""
    refused = Refused(operation, code)
    text = str(message).lower()
    is_never_taken = refused.code in _NEVER_TAKEN and not any(parameter in text for parameter in _SETUP)
    if is_never_taken or status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return EventRefused(f"{operation} will not take it: {refused.code}.")
    return refused


def parsed(arn: str) -> Arn:
    """Return a target's ARN in parts.

    Raises:
        SendFailed: it is none. Pipelines check theirs when they are configured.
    """
    try:
        return Arn.parse(arn)
    except InvalidRequest as error:
        raise SendFailed(str(error)) from error
