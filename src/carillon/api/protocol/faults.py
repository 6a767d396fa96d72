"""From whatever was raised to an error response in the format of the API that was called."""

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from carillon.api.errors import INTERNAL, NEAREST, AwsError, Family, code_of, shape_of
from carillon.api.protocol.asgi import Headers
from carillon.api.protocol.serialization import Response

GATEWAY_STATUSES: Final[Mapping[str, int]] = {
    "MissingAuthenticationTokenException": 403,
    "UnrecognizedClientException": 403,
    "IncompleteSignatureException": 403,
    "InvalidSignatureException": 403,
    "ExpiredTokenException": 403,
    "ForbiddenException": 403,
    "AccessDeniedException": 403,
    "RequestUriTooLongException": 414,
    "RequestHeaderFieldsTooLargeException": 431,
    "UnknownOperationException": 404,
    "RequestTimeoutException": 408,
    "RequestEntityTooLargeException": 413,
    "ServiceFailureException": 500,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
}
"""Of errors that are answered before an operation is reached, or that no model lists."""


@dataclass(frozen=True, slots=True)
class ErrorFormat:
    """The format of one operation's error responses.

    Args:
        family: which APIs' error body and headers.
        statuses: HTTP statuses of the service's error shapes.
        declared: the shapes that the operation lists.
    """

    family: Family
    statuses: Mapping[str, int]
    declared: frozenset[str]

    def name(self, error: Exception) -> AwsError:
        """Return an error under the AWS name that this operation's clients understand."""
        shape = shape_of(error, self.family)
        if shape is None:
            return AwsError(
                INTERNAL[self.family], "An internal error. The server's log has it under this request's id."
            )
        return AwsError(self._nearest(shape), str(error))

    def status(self, shape: str) -> int:
        """Return the HTTP status of an error shape: the model's, or the gateway's."""
        return self.statuses.get(shape) or GATEWAY_STATUSES.get(shape, 400)

    def render(self, error: AwsError, request_id: str) -> Response:
        """Return the response for an error that `name` returned."""
        if self.family is Family.CHIME:
            body = {"Code": code_of(error.shape), "Message": error.message, "RequestId": request_id}
        else:
            body = {"Message": error.message}
        headers = [(b"content-type", b"application/json"), (b"x-amzn-errortype", error.shape.encode())]
        if self.family is Family.KINESIS_VIDEO:  # AWS: the guide names this spelling, SDKs read the other.
            headers.append((b"x-amz-errortype", error.shape.encode()))
        return Response(self.status(error.shape), headers, msgspec.json.encode(body))

    def _nearest(self, shape: str) -> str:
        nearest = NEAREST.get(shape)
        return nearest if shape not in self.declared and nearest in self.declared else shape


NOWHERE: Final = ErrorFormat(Family.CHIME, {}, frozenset())
"""For a request that no service of ours models."""


def id_headers(request_id: str, family: Family) -> Headers:
    """Return the headers that carry the request id."""
    raw = request_id.encode()
    if family is Family.KINESIS_VIDEO:
        return ((b"x-amzn-requestid", raw), (b"x-amz-requestid", raw))
    return ((b"x-amzn-requestid", raw),)


def describe(error: BaseException) -> dict[str, str]:
    """Return an error for the log: types and code lines, and no message, which may repeat what was in a request."""
    chain = list(_causes(error))
    kinds = [f"{type(one).__module__}.{type(one).__qualname__}" for one in chain]
    frames = ["".join(traceback.format_tb(one.__traceback__)) for one in chain]
    return {"error": " <- ".join(kinds), "traceback": "caused by\n".join(frames)}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, the members of a group, and what caused each, outermost first."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _causes(member)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _causes(cause)
