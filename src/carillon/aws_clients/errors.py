"""What kind of failure a call to AWS ended in: who can act, and whether it helps to ask again.

Whatever botocore, aiohttp and the operating system raise passes through here. The peer's words are kept beside the
kind, but the text of a denial may repeat what was signed: who shows it to people must not show that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final

from aiohttp import ClientError as AiohttpError
from botocore import exceptions as botocore_errors
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError

from carillon.errors import CarillonError

_LONGEST_CODE: Final = 100  # AWS's longest is well below; a stranger's answer may be anything

_NOT_FOUND: Final = frozenset({"NoSuchBucket", "ResourceNotFound"})
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
    botocore_errors.HTTPClientError,
    botocore_errors.IncompleteReadError,
    botocore_errors.MetadataRetrievalError,
    botocore_errors.TokenRetrievalError,
)


class FailureKind(Enum):
    """Who can act on a failure."""

    UNREACHABLE = auto()
    """Nobody answers, or says that it cannot now: likely over soon."""
    TIMED_OUT = auto()
    """Nobody answered in time."""
    UNINTELLIGIBLE = auto()
    """Something answers, but not as the service does: a proxy, a wrong endpoint."""
    THROTTLED = auto()
    """A limit of the service is reached."""
    DENIED = auto()
    """Our credentials are not enough, or there are none."""
    NOT_FOUND = auto()
    """What was asked about is not there."""
    REFUSED = auto()
    """The request is not in order, and will not be another time; botocore itself may say so."""


class AwsCallFailed(CarillonError):
    """A call did not succeed.

    Args:
        kind: who can act.
        code: AWS's word, without what is around it; the name of the error where nobody answered.
        message: of the peer or of botocore, for people.
        status: of HTTP; None where nobody answered.
    """

    def __init__(self, kind: FailureKind, code: str, message: str = "", status: int | None = None) -> None:
        self.kind = kind
        self.code = code
        self.message = message
        self.status = status
        super().__init__(message or code)


@contextmanager
def translated() -> Iterator[None]:
    """Raise what goes wrong between us and a peer as an `AwsCallFailed`."""
    try:
        yield
    except ClientError as error:
        said, about = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        raise answered(said.get("Code"), said.get("Message"), about.get("HTTPStatusCode") or 0) from error
    except CredentialRetrievalError as error:  # its text quotes the program that was asked for them
        hint = "AWS credentials could not be retrieved. Check the AWS profile and its source."
        raise AwsCallFailed(FailureKind.UNREACHABLE, type(error).__name__, hint) from error
    except _NO_CREDENTIALS as error:
        raise AwsCallFailed(FailureKind.DENIED, type(error).__name__, str(error)) from error
    except TimeoutError as error:
        raise AwsCallFailed(FailureKind.TIMED_OUT, type(error).__name__, "nothing came in time") from error
    except _NETWORK as error:
        raise AwsCallFailed(FailureKind.UNREACHABLE, type(error).__name__, str(error)) from error
    except BotoCoreError as error:  # parameters or settings that botocore itself refuses
        raise AwsCallFailed(FailureKind.REFUSED, type(error).__name__, str(error)) from error


def answered(code: object, message: object, status: int) -> AwsCallFailed:
    """Return the error that an answer means.

    Args:
        code: AWS's word, perhaps with a namespace or a URL around it; may be empty.
        message: of the peer, for people.
        status: of HTTP; 0 where it is not known.

    Source: "Common Errors" in the API references, and the operations' own lists in that of Kinesis Video Streams.
    """
    word = str(code or "").partition(":")[0].rpartition("#")[2][:_LONGEST_CODE] or f"HTTP status {status}"
    return AwsCallFailed(_kind(word.removesuffix("Exception"), status), word, str(message or ""), status)


def _kind(word: str, status: int) -> FailureKind:
    if word in _NOT_FOUND:
        return FailureKind.NOT_FOUND
    if word.startswith(_LIMITS) or status == 429:
        return FailureKind.THROTTLED
    if word in _DENIED or status in {401, 403}:
        return FailureKind.DENIED
    if status >= 500 or status == 408:
        return FailureKind.UNREACHABLE
    return FailureKind.REFUSED
