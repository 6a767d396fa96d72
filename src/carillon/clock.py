"""Time as a value that is handed in, so that tests own it: what it is, and that it passes.

What is a promise in seconds or years (a retry, a silence, an expiry, the next look) waits on a `Clock`. How long a peer
on a socket or a disk is given is the event loop's own time: no test can make a network hurry.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import anyio

_BEAT_SECONDS: Final = 0.25
_STALL_SECONDS: Final = 2.0


class Clock(Protocol):
    """What time it is, and waiting for a later one."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        ...

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope]:
        """Cancel what is in the block, and go on behind it, once so much monotonic time has passed."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until so much monotonic time has passed."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        return time.monotonic()

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope]:
        """Cancel what is in the block, and go on behind it, once so much monotonic time has passed."""
        return anyio.move_on_after(seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait until so much monotonic time has passed."""
        await anyio.sleep(seconds)


@dataclass(frozen=True, slots=True, eq=False)
class _Alarm:
    """Somebody who waits on a manual clock."""

    due_at: float
    """Monotonic time."""
    loop: asyncio.AbstractEventLoop
    scope: anyio.CancelScope

    def ring(self) -> None:
        """End the wait; the clock may be advanced from another thread."""
        self.loop.call_soon_threadsafe(self.scope.cancel)


class ManualClock:
    """A clock that stands still until `advance`: for tests and replays.

    Who waits on it waits until it is advanced far enough, and then a moment at most, be it for 3 years.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 0.0
        self._alarms: list[_Alarm] = []

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        return self._monotonic

    @contextmanager
    def move_on_after(self, seconds: float) -> Iterator[anyio.CancelScope]:
        """Cancel what is in the block, and go on behind it, once the clock was advanced so far."""
        with anyio.CancelScope() as scope:
            alarm = _Alarm(self._monotonic + seconds, asyncio.get_running_loop(), scope)
            self._alarms.append(alarm)
            if seconds <= 0:
                scope.cancel()
            try:
                yield scope
            finally:
                self._alarms.remove(alarm)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced so far."""
        with self.move_on_after(seconds):
            await anyio.sleep_forever()

    def advance(self, by: timedelta) -> None:
        """Move both wall and monotonic time forward, and wake who waited for that."""
        self._now += by
        self._monotonic += by.total_seconds()
        for alarm in tuple(self._alarms):
            if alarm.due_at <= self._monotonic:
                alarm.ring()

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
