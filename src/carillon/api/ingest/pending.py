"""Messages with audio that came before the one that says what it is."""

from collections import deque
from collections.abc import Iterator

from carillon.api.ingest.errors import FormatUnknown
from carillon.clock import Clock


class PendingMessages:
    """Holds messages, in their order, for so long and so many bytes.

    Args:
        clock: tells how long.
        most_seconds: from the first on.
        most_bytes: of all together.
    """

    def __init__(self, clock: Clock, most_seconds: float, most_bytes: int) -> None:
        self._clock = clock
        self._most_seconds = most_seconds
        self._left = most_bytes
        self._messages: deque[str | bytes] = deque()
        self._since: float | None = None
        self._why: FormatUnknown | None = None

    def __repr__(self) -> str:
        return f"PendingMessages({len(self._messages)} messages)"

    def append(self, message: str | bytes, why: FormatUnknown) -> None:
        """Add a message.

        Raises:
            FormatUnknown: as the first was given, if that is too long ago, or this is too much.
        """
        if self._since is None:
            self._since, self._why = self._clock.monotonic(), why
        self._left -= len(message)
        self._messages.append(message)
        if self._left < 0:
            self.give_up()
        self.check_age()

    def explained(self) -> Iterator[str | bytes]:
        """Yield what is held, oldest first; what was taken must be dropped before the next."""
        while self._messages:
            yield self._messages[0]

    def drop(self) -> None:
        """Drop the oldest message."""
        self._messages.popleft()

    def seconds(self) -> float:
        """Return how long ago the first came; 0 if none ever did."""
        return 0.0 if self._since is None else self._clock.monotonic() - self._since

    def check_age(self) -> None:
        """Return if what is held may be held on.

        Raises:
            FormatUnknown: as the first was given.
        """
        if self.seconds() > self._most_seconds:
            self.give_up()

    def give_up(self) -> None:
        """Return if nothing waits to be explained.

        Raises:
            FormatUnknown: as the first was given.
        """
        if self._messages and self._why is not None:
            raise self._why
