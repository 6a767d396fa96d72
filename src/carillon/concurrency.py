"""Words for children that share one event loop: how they wake each other, stop together, wait, and take turns."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from anyio import Event, create_task_group
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from carillon.clock import Clock
from carillon.telemetry import get_logger, log_failure

log = get_logger()

_LONGEST_TURN_SECONDS: Final = 0.004
_SMALLEST_PIECE_BYTES: Final = 2_048
LARGEST_PIECE_BYTES: Final = 65_536
"""No piece is larger."""
_LATE_SECONDS: Final = 0.5
MOMENT_SECONDS: Final = 1.0
"""How long a peer is waited for once more whose deadline was missed by us."""


_MOST_DOUBLINGS: Final = 30


class Notifier:
    """Wakes all that wait for a change; costs next to nothing while nothing does."""

    def __init__(self) -> None:
        self._event: Event | None = None

    @property
    def next_event(self) -> Event:
        """Set by the next `notify`. Take it before looking, so that nothing can slip in between."""
        if self._event is None:
            self._event = Event()
        return self._event

    def notify(self) -> None:
        """Wake them."""
        if self._event is not None:
            self._event.set()
            self._event = None


@asynccontextmanager
async def beside(*children: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[TaskGroup]:
    """Run children beside the body and stop them when it is over; yield their group, which takes more.

    What the body raises comes out as it is; a task group alone would wrap it into a group of one.
    """
    failure: Exception | None = None
    async with create_task_group() as group:
        for child in children:
            group.start_soon(child)
        try:
            yield group
        except Exception as error:
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


def unwrapped(error: Exception) -> Exception:
    """Return the one error in a group of one: what a child raises comes wrapped."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def backoff_seconds(first: float, last: float, failures: int) -> float:
    """Return how long to wait after so many failures in a row, 1 or more: doubling from the first wait to the last."""
    return min(first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), last)


async def repeatedly(
    act: Callable[[], Awaitable[object]], seconds: float, clock: Clock, failed: str, *, at_once: bool = False
) -> None:
    """Do a chore every so many seconds, until canceled.

    Args:
        act: the chore. Its failure is its own, be it a full disk or a busy database: there is a next time.
        seconds: from the end of one time to the beginning of the next.
        clock: measures them.
        failed: event of the log that says that it failed.
        at_once: whether the first time is now, and not after so many seconds.
    """
    if not at_once:
        await clock.sleep(seconds)
    while True:
        try:
            await act()
        except Exception as error:
            log_failure(log, failed, error)
        await clock.sleep(seconds)


def is_missed(deadline: asyncio.TimerHandle | None) -> bool:
    """Return whether a deadline is noticed so late that this process missed it, which did not run, and not the peer.

    What the peer sent meanwhile has not been read yet.
    """
    return deadline is not None and asyncio.get_running_loop().time() - deadline.when() > _LATE_SECONDS


class FairShare:
    """Cuts work on bytes into pieces that take a few milliseconds, and lets others run in between.

    How long a piece takes depends on what is in it: 64 KiB may be one block of audio, or nine thousand empty ones. So
    pieces shrink while they take long and grow while they do not.
    """

    def __init__(self) -> None:
        self._piece_bytes = _SMALLEST_PIECE_BYTES
        self._turn_began = time.perf_counter()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield all of some bytes, in pieces; call `rest` after the work on each."""
        at = 0
        while at < len(data):
            piece = data[at : at + self._piece_bytes] if at or self._piece_bytes < len(data) else data
            at += len(piece)
            yield piece

    async def rest(self) -> None:
        """Yield to others if this child has used its share."""
        now = time.perf_counter()
        if now - self._turn_began < _LONGEST_TURN_SECONDS:
            self._piece_bytes = min(2 * self._piece_bytes, LARGEST_PIECE_BYTES)
            return
        self._piece_bytes = max(self._piece_bytes // 2, _SMALLEST_PIECE_BYTES)
        await checkpoint()
        self._turn_began = time.perf_counter()

    def begin(self) -> None:
        """Begin a turn: this child was waiting, and others ran."""
        self._turn_began = time.perf_counter()
