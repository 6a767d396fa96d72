"""What an endpoint's errors mean: who can act, and whether it helps to ask again.

Whatever goes wrong between us and an endpoint passes through here and becomes one of our own words. They say the peer's
code and the kind of error, and never the text of a denial, which may repeat what was signed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import ClientError as AiohttpError
from botocore import exceptions as botocore_errors
from botocore.exceptions import BotoCoreError, ClientError

from carillon.errors import CarillonError, InvalidRequest, NotFound, Transient

_LONGEST_CODE: Final = 100
_LONGEST_MESSAGE: Final = 300

_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AuthFailure",
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignature",
        "InvalidToken",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClient",
    }
)
_LIMITS: Final = (
    "BandwidthLimitExceeded",
    "ClientLimitExceeded",
    "ConnectionLimitExceeded",
    "LimitExceeded",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttl",  # ...ed, ...ing, each with and without Exception
    "TooManyRequests",
)
_NO_CREDENTIALS: Final = (
    botocore_errors.LoginError,
    botocore_errors.NoAuthTokenError,
    botocore_errors.NoCredentialsError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.ProfileNotFound,
    botocore_errors.SSOError,
    botocore_errors.UnknownCredentialError,
)
_NETWORK: Final = (
    AiohttpError,
    OSError,
    botocore_errors.ConnectionError,
    botocore_errors.CredentialRetrievalError,
    botocore_errors.HTTPClientError,
    botocore_errors.IncompleteReadError,
    botocore_errors.MetadataRetrievalError,
    botocore_errors.TokenRetrievalError,
)


class RemoteStreamNotFound(NotFound):
    """The endpoint has no such stream."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"Kinesis video stream {stream} does not exist.")


class NotAuthorized(CarillonError):
    """The endpoint refuses our credentials, or there are none."""

    def __init__(self, stream: str, code: str) -> None:
        super().__init__(f"Access to Kinesis video stream {stream} was refused ({code}). Check credentials and policy.")


class RequestRefused(InvalidRequest):
    """The endpoint will not do what was asked, however often it is asked."""

    def __init__(self, stream: str, code: str, message: str = "") -> None:
        self.code = code
        said = f": {message[:_LONGEST_MESSAGE]}" if message else "."
        super().__init__(f"A request for Kinesis video stream {stream} was refused with {code}{said}")


class StreamUnavailable(Transient):
    """The endpoint cannot be reached, fails, or asks to come back later."""

    def __init__(self, stream: str, reason: str) -> None:
        super().__init__(f"Kinesis video stream {stream} is not available now: {reason}.")


class StreamBusy(StreamUnavailable):
    """The endpoint is well but has enough to do: a limit of its own is reached."""


class EndpointMoved(StreamUnavailable):
    """Another data endpoint serves the stream now."""


@contextmanager
def translated(stream: str, url: str | None = None) -> Iterator[None]:
    """Turn what botocore, aiohttp and the operating system raise into the words above.

    Args:
        stream: name or ARN.
        url: of the endpoint, to name one that cannot be reached.
    """
    at = f" at {url}" if url else ""
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        raise refusal(stream, str(said.get("Code", "")), status, str(said.get("Message", ""))) from error
    except _NO_CREDENTIALS as error:
        raise NotAuthorized(stream, type(error).__name__) from error
    except TimeoutError as error:
        raise StreamUnavailable(stream, f"nothing came in time{at}") from error
    except _NETWORK as error:
        raise StreamUnavailable(stream, f"{type(error).__name__}{at}") from error
    except BotoCoreError as error:  # parameters or settings that botocore itself refuses
        raise RequestRefused(stream, type(error).__name__, str(error)) from error


def refusal(stream: str, code: str, status: int, message: str = "") -> CarillonError:
    """Return the error that an answer means.

    Args:
        stream: name or ARN.
        code: AWS's word, perhaps with a namespace or a URL around it; may be empty.
        status: of HTTP.
        message: of the peer, for people.

    Source: "Common Errors" and the operations' own lists in the Kinesis Video Streams API reference.
    """
    code = code.partition(":")[0].rpartition("#")[2][:_LONGEST_CODE] or f"HTTP status {status}"
    word = code.removesuffix("Exception")
    if word == "ResourceNotFound":
        return RemoteStreamNotFound(stream)
    if word == "InvalidEndpoint":
        return EndpointMoved(stream, code)
    if word.startswith(_LIMITS) or status == 429:
        return StreamBusy(stream, code)
    if word in _DENIED or status in {401, 403}:
        return NotAuthorized(stream, code)
    if status >= 500 or status == 408:
        return StreamUnavailable(stream, code)
    return RequestRefused(stream, code, message)
