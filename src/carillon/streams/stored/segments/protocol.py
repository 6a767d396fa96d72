"""What this room asks of a place where fragments stay."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from carillon.errors import CarillonError


class Segment(NamedTuple):
    """Some fragments of one stream that lie, and go, together: a file, or an object."""

    stream_id: str
    name: str


@dataclass(frozen=True, slots=True)
class AppendResult:
    """Where records were appended."""

    segment: str
    offsets: Sequence[int]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How many fragments of one stream are worth one write: whatever is reached first."""

    seconds: float = 0.0
    size: int = 1
    """In bytes."""
    count: int = 1


class StorageFailed(CarillonError):
    """The place where fragments stay did not do what was asked, or does not have what was asked for."""


class Segments(Protocol):
    """Keeps records, which are sealed fragments, for good. An async context manager; works inside of it only.

    Which records there are, and where each begins, only the database knows. It learns of a record after that is
    durable, and forgets it before it is deleted; so whatever a crash leaves behind is found by `listing` and is no
    record of the database's.
    """

    batch_limits: BatchLimits
    is_ours_alone: bool
    """Whether no other process writes here: then whatever the database does not know at start, it never will."""

    async def append(self, stream_id: str, name: str, records: Sequence[bytes]) -> AppendResult:
        """Write records of one stream; return once they would survive a power failure. One at a time for a stream.

        Args:
            stream_id: whose records.
            name: for a new segment, if one is begun; digits, never used before for this stream.
            records: in order, at least one.

        Raises:
            StorageFailed: nothing of this is to be relied on, and nothing will be appended to what it left.
        """
        ...

    async def read(self, segment: Segment, offset: int, size: int) -> bytes:
        """Return a record.

        Raises:
            StorageFailed: it is not there, or cannot be read now.
        """
        ...

    def close(self, segments: Collection[Segment]) -> None:
        """Append nothing more to these; what is written next begins a new one."""
        ...

    async def delete(self, segments: Sequence[Segment]) -> None:
        """Remove closed segments for good; those that are not there are no error.

        Raises:
            StorageFailed: some may still be there.
        """
        ...

    async def delete_stream(self, stream_id: str) -> None:
        """Remove all that there is of a stream, for good.

        Raises:
            StorageFailed: some may still be there.
        """
        ...

    async def tidy(self) -> None:
        """Do what may be put off but not for ever. Called from time to time.

        Raises:
            StorageFailed: it is still to be done.
        """
        ...

    def listing(self) -> AsyncIterator[tuple[str, Sequence[str]]]:
        """Yield the id of each stream that there is something of, with the names of its segments, some at a time.

        Raises:
            StorageFailed: from the iterator.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
