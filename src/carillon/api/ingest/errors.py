"""Why a connection ends, and with which close code: the one table.

Codes from 4000 on are an application's own (RFC 6455, 7.4.2). Ours are 4000 and the HTTP status that means the same.
"""

from collections.abc import Mapping
from typing import Final

from carillon.errors import CarillonError, InvalidRequest, LimitExceeded, NotFound, StateConflict, Transient
from carillon.streams import AckErrorCode, ProducerConnected

DONE: Final = 1000
OURS: Final = 1011
RESTART: Final = 1012
TRY_LATER: Final = 1013
_MAX_REASON_BYTES: Final = 123  # RFC 6455, 5.5: a control frame has 125 bytes, of which the code takes two


class MalformedMessage(InvalidRequest):
    """A message is not what the format allows."""


class FormatUnknown(MalformedMessage):
    """Audio whose format has not been said yet: it may be kept until it is."""


class IdleTimeout(CarillonError):
    """Nothing came for too long."""


class FasterThanRealTime(LimitExceeded):
    """Audio came much faster than anybody speaks."""


class TakenOver(StateConflict):
    """Another producer writes to the stream now."""

    def __init__(self) -> None:
        super().__init__("Another connection writes to the stream now.")


class ServerRestarting(Transient):
    """The server is about to end."""

    def __init__(self) -> None:
        super().__init__("The server is about to restart. Connect again.")


class KeyEnded(CarillonError):
    """The access key on whose behalf somebody sends may be used no more."""


class MediaRefused(CarillonError):
    """The stream did not take what was made of the audio.

    Attributes:
        error_code: why.
    """

    def __init__(self, error_code: AckErrorCode) -> None:
        super().__init__(f"The stream refused the audio: {error_code.name}.")
        self.error_code: Final = error_code


CODES: Final[Mapping[type[Exception], int]] = {
    MalformedMessage: 4400,
    KeyEnded: 4403,
    NotFound: 4404,
    IdleTimeout: 4408,
    ProducerConnected: 4409,
    TakenOver: 4409,
    ServerRestarting: RESTART,
    FasterThanRealTime: 4429,
    LimitExceeded: TRY_LATER,
    Transient: TRY_LATER,
}
"""A word is looked up along its method resolution order; what is not found here is our own fault."""


def code_of(error: Exception) -> int:
    """Return the close code of an error."""
    if isinstance(error, MediaRefused) and error.error_code is AckErrorCode.STREAM_NOT_ACTIVE:
        return CODES[NotFound]
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), OURS)


def reason_of(error: Exception) -> str:
    """Return as much of an error's message as fits in a close frame; nothing of a fault of ours."""
    if not isinstance(error, CarillonError):
        return "The server failed; its log says more."
    return str(error).encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
