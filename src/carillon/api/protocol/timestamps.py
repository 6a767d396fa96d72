"""The three ways in which rest-json writes a time: https://smithy.io/2.0/spec/protocol-traits.html#timestamp-formats."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from carillon.api.protocol.validation import BrokenConstraint
from carillon.clock import to_iso_millis, to_millis

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def reader(wire_format: str) -> Callable[[object], datetime]:
    """Return what turns a wire value into an aware UTC time, or raises BrokenConstraint."""
    return {"unixTimestamp": _from_epoch, "iso8601": _from_iso, "rfc822": _from_http_date}[wire_format]


def writer(wire_format: str) -> Callable[[datetime], str | float]:
    """Return what turns an aware time into a wire value with milliseconds (whole seconds for rfc822).

    The returned function raises TypeError for a naive time: nobody knows what it means.
    """
    write = _WRITERS[wire_format]

    def write_aware(at: datetime) -> str | float:
        if at.tzinfo is None:
            raise TypeError("A timestamp on the wire must be aware; this one is naive.")
        return write(at)

    return write_aware


def _from_epoch(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BrokenConstraint("must be a number of seconds since 1970.")
    try:
        return _EPOCH + timedelta(seconds=value)
    except OverflowError as error:
        raise BrokenConstraint("must be a number of seconds that ends before the year 10000.") from error


def _from_iso(value: object) -> datetime:
    problem = "must be an ISO 8601 string such as 2026-11-22T10:15:30.123Z."
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        raise BrokenConstraint(problem)
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BrokenConstraint(problem) from error


def _from_http_date(value: object) -> datetime:
    try:
        at = parsedate_to_datetime(str(value))
    except (ValueError, IndexError, OverflowError) as error:
        raise BrokenConstraint("must be an HTTP date such as Sun, 22 Nov 2026 10:15:30 GMT.") from error
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def _to_epoch(at: datetime) -> float:
    return to_millis(at) / 1000


def _to_http_date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)


_WRITERS: Final[Mapping[str, Callable[[datetime], str | float]]] = {
    "unixTimestamp": _to_epoch,
    "iso8601": to_iso_millis,
    "rfc822": _to_http_date,
}
