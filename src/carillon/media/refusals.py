"""What an endpoint's errors mean: who can act, and whether it helps to ask again.

Whatever goes wrong between us and an endpoint passes through here and becomes one of our own words. They say the peer's
code and the kind of error, and never the text of a denial, which may repeat what was signed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from carillon import aws_clients
from carillon.aws_clients import AwsCallFailed, FailureKind
from carillon.errors import CarillonError, InvalidRequest, NotFound, Transient

_LONGEST_MESSAGE: Final = 300


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
    """Raise what goes wrong between us and an endpoint in the words above.

    Args:
        stream: name or ARN.
        url: of the endpoint, to name one that cannot be reached.
    """
    try:
        with aws_clients.translated():
            yield
    except AwsCallFailed as failed:
        raise _meaning(stream, failed, f" at {url}" if url and failed.status is None else "") from failed


def refusal(stream: str, code: str, status: int, message: str = "") -> CarillonError:
    """Return the error that an answer means.

    Args:
        stream: name or ARN.
        code: AWS's word, perhaps with a namespace or a URL around it; may be empty.
        status: of HTTP.
        message: of the peer, for people.
    """
    return _meaning(stream, aws_clients.answered(code, message, status))


def _meaning(stream: str, failed: AwsCallFailed, at: str = "") -> CarillonError:
    if failed.code.removesuffix("Exception") == "InvalidEndpoint":
        return EndpointMoved(stream, failed.code)
    match failed.kind:
        case FailureKind.NOT_FOUND:
            return RemoteStreamNotFound(stream)
        case FailureKind.THROTTLED:
            return StreamBusy(stream, failed.code)
        case FailureKind.DENIED:
            return NotAuthorized(stream, failed.code)
        case FailureKind.UNREACHABLE:
            return StreamUnavailable(stream, f"{failed.code}{at}")
        case FailureKind.TIMED_OUT:
            return StreamUnavailable(stream, f"nothing came in time{at}")
        case FailureKind.UNINTELLIGIBLE:
            return StreamUnavailable(stream, "what answers is not Kinesis Video Streams")
        case FailureKind.REFUSED:
            return RequestRefused(stream, failed.code, failed.message)
