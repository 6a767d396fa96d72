"""GetMediaForFragmentList: a document for each of some stored fragments, in the order asked for."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Final
from weakref import WeakSet

from carillon.fragment_tags import ERROR_CODE, ERROR_ID, NUMBER, PREFIX, seconds_text
from carillon.matroska import tags_element
from carillon.streams.catalog.stream import Stream
from carillon.streams.documents import pieces, tags_document
from carillon.streams.errors import FragmentUnreadable, TooManyReplays
from carillon.streams.fragment_numbers import FragmentNumber
from carillon.streams.fragments import ReceivedFragment
from carillon.streams.stored.archive import Archive, StoredFragment

# Source: Kinesis Video Streams Developer Guide, "GetMediaForFragmentList". AWS: GetMedia has other names for the same.
_SERVER_TIME_TAG: Final = f"{PREFIX}SERVER_SIDE_TIMESTAMP"
_PRODUCER_TIME_TAG: Final = f"{PREFIX}PRODUCER_SIDE_TIMESTAMP"

# AWS: the guide has other names for the tags of errors, and no codes; these are what the real one was seen to write
# (aws-sdk-js #3217), in this order.
_NOT_FOUND: Final = (3000, "FRAGMENT_NOT_FOUND")
_INTERNAL: Final = (5000, "INTERNAL_ERROR")

_LOOKED_UP_AT_ONCE: Final = 100


class Replay:
    """One connection: an async iterator of bytes. It holds one fragment at a time, however slowly it is read."""

    def __init__(self, archive: Archive, stream: Stream, numbers: Sequence[str]) -> None:
        self.stream_id = stream.id
        self.is_over = False
        self._archive = archive
        self._stream = stream
        self._numbers = numbers
        self._pieces = self._read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except BaseException:
            self.is_over = True
            raise

    async def aclose(self) -> None:
        """Stop, wherever it is."""
        self.is_over = True
        await self._pieces.aclose()

    async def _read(self) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(self._numbers), _LOOKED_UP_AT_ONCE):
            numbers = self._numbers[start : start + _LOOKED_UP_AT_ONCE]
            rows = await self._archive.find(self._stream, numbers)
            for number in numbers:
                fragment = await self._fragment(rows[number]) if number in rows else _NOT_FOUND
                for piece in (
                    _document(fragment) if isinstance(fragment, ReceivedFragment) else _failure(number, *fragment)
                ):
                    yield piece

    async def _fragment(self, row: StoredFragment) -> ReceivedFragment | tuple[int, str]:
        """Return a fragment, or why there is none."""
        try:
            return await self._archive.read(self._stream, row)
        except FragmentUnreadable:  # or past retention by now
            return _INTERNAL if await self._archive.has(self._stream, row.number) else _NOT_FOUND


class Replays:
    """Opens replays, not too many of one stream at the same time."""

    def __init__(self, archive: Archive, most: int) -> None:
        self._archive = archive
        self._most = most
        self._open: WeakSet[Replay] = WeakSet()  # one that is dropped without a word does not count for ever

    def open(self, stream: Stream, numbers: Sequence[str]) -> Replay:
        """Return a connection.

        Raises:
            NotAFragmentNumber: one of the numbers is none.
            TooManyReplays: as many as allowed are reading the stream.
        """
        canonical = [str(FragmentNumber.parse(number)) for number in numbers]
        if sum(replay.stream_id == stream.id and not replay.is_over for replay in self._open) >= self._most:
            raise TooManyReplays(stream.name, self._most)
        replay = Replay(self._archive, stream, canonical)
        self._open.add(replay)
        return replay


def _document(fragment: ReceivedFragment) -> Iterator[bytes]:
    tags = (
        (NUMBER, fragment.number),
        (_SERVER_TIME_TAG, seconds_text(fragment.server_at)),
        (_PRODUCER_TIME_TAG, seconds_text(fragment.producer_at)),
    )
    return pieces(fragment.head + tags_element(tags), fragment, 0, b"")


def _failure(number: str, code: int, text: str) -> Iterator[bytes]:
    yield tags_document(((ERROR_CODE, text), (ERROR_ID, str(code)), (NUMBER, number)))
