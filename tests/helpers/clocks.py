"""Clocks for tests of what pauses, and of what goes on by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from anyio import CancelScope, current_time
from anyio.lowlevel import checkpoint

from carillon.clock import ManualClock


class RecordingClock(ManualClock):
    """A manual clock on which nobody waits: it only notes for how long somebody would have."""

    def __init__(self, *start: datetime) -> None:
        super().__init__(*start)
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await checkpoint()


class RestlessClock(ManualClock):
    """A manual clock on which waits also end by themselves: what looks again and again does, though no time passes."""

    @contextmanager
    def move_on_after(self, seconds: float) -> Iterator[CancelScope]:
        with super().move_on_after(seconds) as scope:
            scope.deadline = current_time() + seconds
            yield scope
