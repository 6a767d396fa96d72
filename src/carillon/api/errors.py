"""From our errors to AWS's: the one table, and `AwsError` for what only the edge knows.

Rooms below raise their own words, derived from the roots in `carillon.errors`. A word is looked up along its method
resolution order, so the roots below cover every word, and a word that AWS names more precisely gets a row of its own.
The HTTP status is not here: it comes from the service model (`protocol/faults.py`).
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from carillon.access import AccessDenied, AccessKeyUnknown, RateExceeded
from carillon.errors import (
    AlreadyExists,
    CarillonError,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    StateConflict,
    Transient,
)
from carillon.profiles import VoiceprintExpired
from carillon.streams import ProducerConnected, StaleVersion, TooManyReaders, TooManyTags


class Family(Enum):
    """APIs that spell errors alike; the value is their SigV4 signing name."""

    CHIME = "chime"
    KINESIS_VIDEO = "kinesisvideo"


class AwsError(Exception):
    """An answer that is known at the edge by its AWS name: `AwsError("ConflictException", "...")`.

    Args:
        shape: an error shape of the service, or a gateway name such as `InvalidSignatureException`.
        message: for people; what was wrong, and what to do.
    """

    def __init__(self, shape: str, message: str) -> None:
        super().__init__(message)
        self.shape: Final = shape
        self.message: Final = message


SHAPES: Final[Mapping[Family, Mapping[type[CarillonError], str]]] = {
    Family.CHIME: {
        NotFound: "NotFoundException",
        StateConflict: "ConflictException",
        AlreadyExists: "ConflictException",
        InvalidRequest: "BadRequestException",
        LimitExceeded: "ResourceLimitExceededException",
        Transient: "ServiceUnavailableException",
        VoiceprintExpired: "GoneException",  # kept 24 h: Developer Guide, "Understanding data retention"
        AccessKeyUnknown: "UnrecognizedClientException",
        AccessDenied: "AccessDeniedException",
        RateExceeded: "ThrottledClientException",
    },
    Family.KINESIS_VIDEO: {
        NotFound: "ResourceNotFoundException",
        StateConflict: "ResourceInUseException",
        AlreadyExists: "ResourceInUseException",
        InvalidRequest: "InvalidArgumentException",
        LimitExceeded: "ClientLimitExceededException",
        Transient: "ServiceUnavailable",  # a common error of every AWS service; the KVS models list none
        StaleVersion: "VersionMismatchException",
        TooManyTags: "TagsPerResourceExceededLimitException",
        ProducerConnected: "ConnectionLimitExceededException",
        TooManyReaders: "ConnectionLimitExceededException",
        AccessKeyUnknown: "UnrecognizedClientException",
        AccessDenied: "NotAuthorizedException",
    },
}
"""What each family calls an error of ours. Add a row for a word that AWS names more precisely than its root."""

INTERNAL: Final[Mapping[Family, str]] = {
    Family.CHIME: "ServiceFailureException",
    Family.KINESIS_VIDEO: "InternalFailure",
}
"""What each family calls our own fault."""

NEAREST: Final[Mapping[str, str]] = {
    # The two Create operations of media pipelines declare no conflict.
    "ConflictException": "BadRequestException",
    "UnprocessableEntityException": "BadRequestException",
    "GoneException": "NotFoundException",
    "AccessDeniedException": "ForbiddenException",
    "ResourceInUseException": "InvalidArgumentException",
    "InvalidResourceFormatException": "InvalidArgumentException",
}
"""Sent instead of a shape that the operation does not declare, where it declares this one.

ResourceLimitExceededException is missing on purpose: it is sent undeclared, and SDKs map it since the service has it.
"""

CODES: Final[Mapping[str, str]] = {
    # The enum of media pipelines has no value for 409 and 401; these two come from the voice API's.
    "ConflictException": "Conflict",
    "UnauthorizedClientException": "Unauthorized",
    "ThrottledClientException": "Throttling",
    "UnprocessableEntityException": "Unprocessable",
}
"""`Code` in a Chime error body, where it is not the shape's name without "Exception"."""


def shape_of(error: Exception, family: Family) -> str | None:
    """Return the AWS name of an error, or None for one that only we can mend."""
    if isinstance(error, AwsError):
        return error.shape
    table = SHAPES[family]
    return next((table[kind] for kind in type(error).__mro__ if kind in table), None)


def code_of(shape: str) -> str:
    """Return the value of `Code` in the body of a Chime error."""
    return CODES.get(shape) or shape.removesuffix("Exception")
