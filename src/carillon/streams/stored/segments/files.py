"""Append-only files in the data folder, a folder for each stream.

A file is a plain row of records. Whatever a crash leaves behind the last one that the database knows is never read, and
never appended to: after a restart, or a write that failed, a new file is begun. Small appends of several streams are
made durable together, by the journal; whoever comes first writes for all who have come by then.
"""

import shutil
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from anyio import CapacityLimiter, Lock, move_on_after, to_thread

from carillon.clock import Clock
from carillon.streams.settings import StreamSettings
from carillon.streams.stored.segments.journal import Entry, Journal, make_folder
from carillon.streams.stored.segments.protocol import AppendResult, BatchLimits, Segment, StorageFailed

_SMALLEST_PART: Final = 8
"""Of what may be stored, one file is at most such a part: only whole files can be deleted."""
_DIRECT_BYTES: Final = 512 * 1024
"""What costs more to write twice than to sync by itself."""


@dataclass(frozen=True, slots=True)
class _Open:
    """The file that a stream's records are being appended to."""

    name: str
    size: int
    begun: float


class SegmentFiles:
    """Keeps segments as files, which are this process's alone.

    Args:
        directory: made if it is not there.
        settings: when a file is closed, and how many large records are written at the same time.
        clock: tells how old a file is.
    """

    def __init__(self, directory: Path, settings: StreamSettings, clock: Clock) -> None:
        self.batch_limits = BatchLimits()
        self.is_ours_alone = True
        self._directory = directory
        limits = [most // _SMALLEST_PART for most in (settings.max_stream_bytes, settings.max_total_bytes) if most]
        self._max_bytes = min([settings.segment_bytes, *limits])
        self._max_seconds = settings.segment_seconds
        self._tidy_seconds = settings.flush_seconds
        self._clock = clock
        self._threads = CapacityLimiter(settings.writer_threads)
        self._open: dict[str, _Open] = {}
        self._journal = Journal(directory)
        self._waiting: list[Entry] = []
        self._writing = Lock()
        self._folding = Lock()

    async def __aenter__(self) -> Self:
        """Complete what a crash has torn.

        Raises:
            StorageFailed: the folder cannot be written to.
        """
        with _as_storage_failed(f"{self._directory} cannot be used"):
            await to_thread.run_sync(make_folder, self._directory)
            await to_thread.run_sync(self._journal.open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave no journal behind; if that fails, the next start does what it says."""
        with move_on_after(self._tidy_seconds, shield=True), suppress(StorageFailed):
            await self.tidy()

    async def append(self, stream_id: str, name: str, records: Sequence[bytes]) -> AppendResult:
        """Write records and wait until they are durable."""
        file = self._open.pop(stream_id, None) or self._begin(name)  # back only if all goes well
        if self._is_full(file):
            file = self._begin(name)
        entry = Entry(f"{stream_id}/{file.name}", file.size, b"".join(records))
        with _as_storage_failed(f"Fragments could not be written to {self._directory}"):
            if len(entry.data) < _DIRECT_BYTES:
                await self._append_together(entry)
            else:
                await to_thread.run_sync(self._journal.write_through, entry, limiter=self._threads)
            if entry.error:
                raise entry.error
        *offsets, end = accumulate(map(len, records), initial=file.size)
        self._open[stream_id] = _Open(file.name, end, file.begun)
        return AppendResult(file.name, offsets)

    async def read(self, segment: Segment, offset: int, size: int) -> bytes:
        """Return a record."""
        path = self._path(segment)
        with _as_storage_failed(f"{path} could not be read"):
            record = await to_thread.run_sync(_read, path, offset, size)
        if len(record) != size:
            raise StorageFailed(f"{path} ends before byte {offset + size}.")
        return record

    def close(self, segments: Collection[Segment]) -> None:
        """Append nothing more to these."""
        for stream_id, name in segments:
            file = self._open.get(stream_id)
            if file and file.name == name:
                del self._open[stream_id]

    async def delete(self, segments: Sequence[Segment]) -> None:
        """Remove files, and what the journal has of them."""
        if any(self._journal.has(f"{segment.stream_id}/{segment.name}") for segment in segments):
            await self.tidy()
        with _as_storage_failed(f"Files in {self._directory} could not be deleted"):
            await to_thread.run_sync(_remove, [self._path(segment) for segment in segments])

    async def delete_stream(self, stream_id: str) -> None:
        """Remove a stream's folder, and what the journal has of it."""
        self._open.pop(stream_id, None)
        if self._journal.has(f"{stream_id}/"):
            await self.tidy()
        path = self._directory / stream_id
        with _as_storage_failed(f"{path} could not be deleted"):
            await to_thread.run_sync(_remove_folder, path)

    async def listing(self) -> AsyncGenerator[tuple[str, Sequence[str]], None]:
        """Yield what lies in each folder."""
        for stream_id in await to_thread.run_sync(_names, self._directory):
            if stream_id != Journal.FOLDER:
                yield stream_id, await to_thread.run_sync(_names, self._directory / stream_id)

    async def tidy(self) -> None:
        """Put what is only in the journal for good into the files, so that the journal can go."""
        async with self._writing:
            self._journal.turn_over()
        async with self._folding:
            with _as_storage_failed(f"Files in {self._directory} could not be synced"):
                await to_thread.run_sync(self._journal.fold)

    async def _append_together(self, entry: Entry) -> None:
        self._waiting.append(entry)
        async with self._writing:
            if not entry.is_done:
                entries, self._waiting = self._waiting, []
                await to_thread.run_sync(self._journal.append, entries)

    def _begin(self, name: str) -> _Open:
        for stream_id in [stream_id for stream_id, file in self._open.items() if self._is_full(file)]:
            del self._open[stream_id]  # of a call that is over: it would be remembered for ever
        return _Open(name, 0, self._clock.monotonic())

    def _is_full(self, file: _Open) -> bool:
        return file.size >= self._max_bytes or self._clock.monotonic() - file.begun >= self._max_seconds

    def _path(self, segment: Segment) -> Path:
        return self._directory / segment.stream_id / segment.name


@contextmanager
def _as_storage_failed(what: str) -> Iterator[None]:
    """Turn an error of the system's into ours."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"{what}: {error.strerror or error}.") from error


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        return file.read(size) or b""


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove_folder(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _names(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.iterdir()]
    except (FileNotFoundError, NotADirectoryError):  # deleted meanwhile, or nothing of ours
        return []
