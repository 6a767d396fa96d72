"""Time as a value that is handed in, so that tests own it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import anyio

_BEAT_SECONDS: Final = 0.25
_STALL_SECONDS: Final = 2.0


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
    """A clock that stands still until `advance`: for tests and replays."""

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

    def set(self, by: timedelta) -> None:
        """Set the wall clock forward or, by less than nothing, back; monotonic time goes on as it did."""
        self._now += by


class StallDetector:
    """Notices that this process did not run for a while: stopped, frozen with its container, moved with its machine.

    Silence while this process did not run is none, so it counts from `resumed_at` on at the earliest.

    Args:
        clock: of `resumed_at`. Stalls themselves are noticed by the event loop's own time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beat_at: float | None = None  # in the event loop's time; None while not running
        self._resumed_at = clock.monotonic()

    @property
    def resumed_at(self) -> float:
        """Return the monotonic time since when the process has run; a stall is noticed by whoever asks first."""
        now = anyio.current_time()
        if self._beat_at is not None and now - self._beat_at > _STALL_SECONDS:
            self._beat_at = now
            self._resumed_at = self._clock.monotonic()
        return self._resumed_at

    async def run(self) -> None:
        """Keep the beat, until cancelled."""
        try:
            while True:
                _ = self.resumed_at
                self._beat_at = anyio.current_time()
                await anyio.sleep(_BEAT_SECONDS)
        finally:
            self._beat_at = None


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
