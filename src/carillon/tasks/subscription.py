"""One task's subscription to a stream: a bounded queue, and which of the stream's fragments are meant for the task."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from anyio import BrokenResourceError, ClosedResourceError
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from carillon.errors import CarillonError
from carillon.media import After, Fragment, Newest, Oldest, Position

_FRESH_MS: Final = 5_000
"""How far a fragment may be behind the stream's newest to still be the newest for a task that starts now."""


@dataclass(frozen=True, slots=True)
class LastFragment:
    """The last fragment that a task was given."""

    number: int
    server_at: datetime

    @classmethod
    def of(cls, fragment: Fragment) -> Self:
        """Return what is remembered of a fragment."""
        return cls(int(fragment.number), fragment.server_at)


@dataclass(slots=True, eq=False)
class StreamSubscription:
    """One task's subscription to a stream."""

    start: Position
    """Where the task wants to begin."""
    queue: MemoryObjectSendStream[Fragment]
    fragments: MemoryObjectReceiveStream[Fragment]
    last_fragment: LastFragment | None = None
    failure: CarillonError | None = None
    """Why no more fragments come, if that is the stream's fault."""

    @property
    def needs(self) -> Position:
        """Return from where on the stream must be read so that the task misses nothing."""
        return (
            self.start
            if self.last_fragment is None
            else After(str(self.last_fragment.number), self.last_fragment.server_at)
        )

    def admits(self, fragment: Fragment, *, is_exact: bool) -> bool:
        """Return whether a fragment is meant for the task.

        Args:
            fragment: the next one of the stream, perhaps one that the task had already.
            is_exact: the stream was opened for this very task, so it begins where the task does.
        """
        match self.needs:
            case After(number):
                return int(fragment.number) > int(number)
            case Newest():
                return is_exact or fragment.behind_ms <= _FRESH_MS
            case Oldest():
                return True

    def close(self) -> None:
        """End the fragments; those that were received are still given out."""
        with suppress(BrokenResourceError, ClosedResourceError):  # the task has ended meanwhile
            self.queue.close()
