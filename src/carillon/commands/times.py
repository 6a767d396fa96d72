"""Times as people write them on the command line."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from carillon.errors import InvalidRequest

Since = Annotated[str | None, typer.Option(help="From when: 2026-11-22T10:00 (UTC), or 90m, 24h, 7d ago.")]

_AGO: Final = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class NotATime(InvalidRequest):
    """A time is neither a date nor so long ago."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:40]!r} is no time; write 2026-11-22T10:00, or 90m, 24h, 7d for so long ago.")


def read_time(text: str, now: datetime) -> datetime:
    """Return what a time on the command line means; one without a zone is UTC.

    Raises:
        NotATime: it means nothing, or a time before all times.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise NotATime(text) from error
    return at.replace(tzinfo=at.tzinfo or UTC)


def read_since(text: str | None) -> datetime | None:
    """Return the time of `--since`; None if it was not given.

    Raises:
        NotATime: it means nothing.
    """
    return None if text is None else read_time(text, datetime.now(UTC))
