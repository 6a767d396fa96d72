"""How far tasks are behind live: in the metrics, and in the log once it is too far.

Who gives a server more to hear than its cores can loses nothing: each task hears one fragment after the other, streams
are read as fast as that, and what is not read yet waits where streams are kept. Reports come later, and that is logged.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from prometheus_client import Gauge

from carillon.clock import Clock
from carillon.media import Fragment
from carillon.telemetry import get_logger

log = get_logger()

_LAG: Final = Gauge("carillon_lag_seconds", "How long ago the endpoint received what the latest task now analyzes")


class Lag:
    """Of all tasks of a process.

    Args:
        clock: is compared with the endpoint's.
        told_seconds: the log tells when a task is as far behind, and when none is half as far any more.
    """

    def __init__(self, clock: Clock, told_seconds: float) -> None:
        self._clock = clock
        self._told_seconds = told_seconds
        self._received_at: dict[str, datetime] = {}  # of the fragment that a task analyzes now
        self._begun_at: dict[str, float] = {}  # how far a task was behind when it began with its last fragment
        self._is_told = False

    @property
    def seconds(self) -> float:
        """Return how far the latest task is behind; 0 if all wait for audio."""
        now, received = (
            self._clock.now(),
            list(self._received_at.values()),
        )  # a copy: metrics have a thread of their own
        return max((max(0.0, (now - at).total_seconds()) for at in received), default=0.0)

    @contextmanager
    def analyzing(self, task_id: str, fragment: Fragment) -> Iterator[None]:
        """Count a fragment that a task analyzes meanwhile."""
        received_at = self._received_at[task_id] = fragment.server_at + fragment.length
        self._begun_at[task_id] = max(0.0, (self._clock.now() - received_at).total_seconds())
        self._tell()
        try:
            yield
        finally:
            del self._received_at[task_id]

    @contextmanager
    def counted(self, task_id: str) -> Iterator[None]:
        """Count a task while its worker runs."""
        try:
            yield
        finally:
            self._begun_at.pop(task_id, None)
            self._tell()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it in the metrics meanwhile."""
        _LAG.set_function(lambda: self.seconds)
        try:
            yield
        finally:
            _LAG.set_function(lambda: math.nan)

    def _tell(self) -> None:
        seconds = max(self._begun_at.values(), default=0.0)
        if not self._is_told and seconds >= self._told_seconds:
            self._is_told = True
            log.warning("tasks.behind", seconds=round(seconds, 1), tasks=len(self._begun_at))
        elif self._is_told and seconds < self._told_seconds / 2:
            self._is_told = False
            log.info("tasks.caught_up", seconds=round(seconds, 1), tasks=len(self._begun_at))
