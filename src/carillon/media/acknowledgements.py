"""The lines that PutMedia answers with, while it still receives. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from carillon.errors import CarillonError

_LONGEST_LINE_BYTES: Final = 8_192


class PutMediaRefused(CarillonError):
    """The endpoint did not take the media, or gave up on it.

    Attributes:
        error_id: of the ERROR acknowledgement that said so; None if something else did.
    """

    def __init__(self, message: str, error_id: int | None = None) -> None:
        super().__init__(message)
        self.error_id: Final = error_id


class AcknowledgementType(StrEnum):
    """What happened to a fragment; the values are AWS's."""

    BUFFERING = "BUFFERING"
    RECEIVED = "RECEIVED"
    PERSISTED = "PERSISTED"
    ERROR = "ERROR"
    IDLE = "IDLE"


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One line of the response."""

    type: AcknowledgementType
    fragment_timecode: int | None = None
    fragment_number: str | None = None
    error_id: int | None = None
    error_code: str | None = None


class _Line(msgspec.Struct, rename="pascal"):
    event_type: AcknowledgementType
    fragment_timecode: int | None = None
    fragment_number: str | int | None = None  # a string on the wire, a Long in the guide
    error_id: int | None = None
    error_code: str | None = None


class AcknowledgementParser:
    """Takes an answer apart. Objects are flat, and separated by newlines or by nothing at all.

    Args:
        stream: named in errors.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Acknowledgement]:
        """Take the next bytes of the answer, any number; yield what they complete.

        It is a generator: what precedes an error comes out before the error is raised.

        Raises:
            PutMediaRefused: what came is no acknowledgement.
        """
        *complete, self._rest = (self._rest + data).split(b"}")
        for line in complete:
            yield self._read(line + b"}")
        if len(self._rest) > _LONGEST_LINE_BYTES:
            raise self._unreadable()

    def end(self) -> None:
        """Take the end of the answer.

        Raises:
            PutMediaRefused: it came in the middle of an acknowledgement.
        """
        if self._rest.strip():
            raise self._unreadable()

    def _read(self, line: bytes) -> Acknowledgement:
        if len(line) > _LONGEST_LINE_BYTES:
            raise self._unreadable()
        try:
            read = msgspec.json.decode(line, type=_Line, strict=False)  # AWS's own producer reads quoted numbers too
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._unreadable() from error
        number = None if read.fragment_number is None else str(read.fragment_number)
        return Acknowledgement(read.event_type, read.fragment_timecode, number, read.error_id, read.error_code)

    def _unreadable(self) -> PutMediaRefused:
        return PutMediaRefused(
            f"What answers for {self._stream} sends no acknowledgements. Check that it is a KVS endpoint."
        )
