"""The fragment numbers of one connection, reserved before the bytes that need them are read."""

from collections.abc import Callable
from typing import Final, Self

from carillon.concurrency import LARGEST_PIECE_BYTES
from carillon.streams.catalog.catalog import StreamCatalog
from carillon.streams.fragment_numbers import NumberSource
from carillon.streams.ingest.parser import MIN_FRAGMENT_BYTES
from carillon.streams.live.live_stream import LiveStream

_PER_PIECE: Final = LARGEST_PIECE_BYTES // MIN_FRAGMENT_BYTES + 2
_RESERVED_AT_ONCE: Final = 10_000
"""More than a piece can need, so that most connections reserve but once; there are 2^64 to give away."""


class ReservedNumbers:
    """Gives out numbers to a parser, and reserves more of them. Made by `reserve`."""

    def __init__(self, live: LiveStream, catalog: StreamCatalog, source: NumberSource) -> None:
        self.source = source
        self._live = live
        self._catalog = catalog

    @classmethod
    async def reserve(cls, live: LiveStream, catalog: StreamCatalog, random: Callable[[], int]) -> Self:
        """Return the numbers of a new connection.

        Raises:
            StreamNotFound: the stream was deleted.
        """
        last = await _reserve(live, catalog)
        source = NumberSource(last - _RESERVED_AT_ONCE, random)
        source.extend(last)
        return cls(live, catalog, source)

    @property
    def are_enough(self) -> bool:
        """Whether there are as many left as a piece of a body can need."""
        return self.source.left >= _PER_PIECE

    async def extend(self) -> None:
        """Reserve more.

        Raises:
            StreamNotFound: the stream was deleted.
        """
        self.source.extend(await _reserve(self._live, self._catalog))


async def _reserve(live: LiveStream, catalog: StreamCatalog) -> int:
    live.reserved_sequence = await catalog.reserve_numbers(live.stream, _RESERVED_AT_ONCE)
    return live.reserved_sequence
