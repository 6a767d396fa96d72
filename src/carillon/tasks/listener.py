"""One task's place at a stream: a bounded queue, and which of the stream's fragments are meant for the task."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self

from anyio import BrokenResourceError, ClosedResourceError
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from carillon.errors import CarillonError
from carillon.media import After, At, Fragment, Newest, Position

_FRESH: Final = timedelta(seconds=5)
"""How old a fragment may be to still count as the newest for a task that starts now."""
_MARGIN: Final = timedelta(seconds=1)
"""Fragments that are sent faster than spoken may share a time: who goes on at one reads some again, and skips them."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The last fragment that a task was given."""

    number: int
    server_at: datetime

    @classmethod
    def of(cls, fragment: Fragment) -> Self:
        """Return what is remembered of a fragment."""
        return cls(int(fragment.number), fragment.server_at)


@dataclass(slots=True, eq=False)
class Listener:
    """One task's place at a stream."""

    start: Position
    """Where the task wants to begin."""
    asked_at: datetime
    """When the task was created."""
    queue: MemoryObjectSendStream[Fragment]
    fragments: MemoryObjectReceiveStream[Fragment]
    heard: Heard | None = None
    failure: CarillonError | None = None
    """Why no more fragments come, if that is the stream's fault."""
    _held: Fragment | None = field(default=None, repr=False)

    @property
    def needs(self) -> Position:
        """Return from where on the stream must be read so that the task misses nothing."""
        # Not After, once it began: the fragment itself may have left the retention by now.
        return self.start if self.heard is None else At(self.heard.server_at - _MARGIN)

    def admit(self, fragment: Fragment, *, is_exact: bool) -> tuple[Fragment, ...]:
        """Return the fragments, oldest first, that the task is to be given now.

        Args:
            fragment: the next one of the stream, perhaps one that the task had already.
            is_exact: the stream was opened for this very task, so it begins where the task does.
        """
        if self.heard is not None:
            return (fragment,) if int(fragment.number) > self.heard.number else ()
        match self.start:
            case After(number):
                return (fragment,) if int(fragment.number) > int(number) else ()
            case Newest():
                return (fragment,) if is_exact or fragment.server_at >= self.asked_at - _FRESH else ()
            case At(at):
                return (fragment,) if is_exact else self._admit_by_time(fragment, at)

    def _admit_by_time(self, fragment: Fragment, at: datetime) -> tuple[Fragment, ...]:
        """Hold back what began before the task: only the fragment after it tells which was the last to do so."""
        if fragment.server_at <= at:
            self._held = fragment if fragment.server_at >= at - _FRESH else None
            return ()
        held, self._held = self._held, None
        return (fragment,) if held is None else (held, fragment)

    def close(self) -> None:
        """Say that no more fragments will come; those that were received are still given out."""
        held, self._held = self._held, None
        with suppress(BrokenResourceError, ClosedResourceError):  # the task has ended meanwhile
            if held is not None:
                self.queue.send_nowait(held)
        self.queue.close()
