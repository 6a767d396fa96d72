"""One task's place at a stream: a bounded queue, and which of the stream's fragments are meant for the task."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self

from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from carillon.errors import CarillonError
from carillon.media import After, At, Fragment, Newest, Position

_FRESH: Final = timedelta(seconds=5)
"""How old a fragment may be to still count as the newest for a task that starts now."""


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
    _held: Fragment | None = field(default=None, repr=False)  # began before the task; only the next tells if it is past

    @property
    def needs(self) -> Position:
        """Return from where on the stream must be read so that the task misses nothing."""
        return self.start if self.heard is None or self._is_resuming else At(self.heard.server_at)

    def admit(self, fragment: Fragment, *, is_exact: bool) -> tuple[Fragment, ...]:
        """Return the fragments that the task is to be given now.

        Args:
            fragment: the next one of the stream, perhaps one that was read before.
            is_exact: the stream was opened for this very task, so that it begins where the task does.
        """
