"""Time as a value that is handed in, so that tests own it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What time it is. Waiting is anyio's affair; this only tells."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is told to advance: for tests and replays."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        return self._monotonic

    def advance(self, by: timedelta) -> None:
        """Move both wall and monotonic time forward."""
        self._now += by
        self._monotonic += by.total_seconds()


def to_millis(at: datetime) -> int:
    """Return epoch milliseconds, rounded down."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def from_millis(millis: int) -> datetime:
    """Return the aware UTC time of epoch milliseconds."""
    return _EPOCH + timedelta(milliseconds=millis)


def to_iso_millis(at: datetime) -> str:
    """Return ISO 8601 with exactly three decimals and Z, as both Chime APIs and their consumers expect."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
