"""Sealed fragments on disk: append-only files, a folder for each stream. Blocking; call it from a thread.

A file is a plain row of sealed records; where each begins is known to the database alone, which learns of it after the
file has reached the disk. Whatever a crash leaves behind the last known record is therefore never read, and never
appended to: after a restart, or a write that failed, a new file is begun.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Written:
    """Where records came to lie."""

    segment: str
    offsets: Sequence[int]


@dataclass(slots=True)
class _Current:
    segment: str
    size: int
    begun: float


class SegmentFiles:
    """Appends, reads and deletes. At most one append at a time for one stream, any number for several.

    Args:
        directory: made if it is not there.
        max_bytes: a file is closed at this size,
        max_seconds: or at this age.
    """

    def __init__(self, directory: Path, max_bytes: int, max_seconds: float) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._current: dict[str, _Current] = {}

    def append(self, stream_id: str, name: str, records: Sequence[bytes], now: float) -> Written:
        """Write records; return once they are on the disk itself.

        Args:
            stream_id: whose folder.
            name: for a new file, if one is due; never used before for this stream.
            records: sealed, in order.
            now: monotonic seconds.

        Raises:
            OSError: nothing of this is to be relied on.
        """
        current = self._current.pop(stream_id, None)  # back only if all goes well
        if current is None or current.size >= self._max_bytes or now - current.begun >= self._max_seconds:
            current = _Current(name, 0, now)
        path = self._path(stream_id, current.segment)
        is_new = current.size == 0
        if is_new:
            _make_folder(path.parent)
        offsets = []
        with path.open("xb" if is_new else "ab") as file:
            for record in records:
                offsets.append(current.size)
                current.size += file.write(record)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync_folder(path.parent)
        self._current[stream_id] = current
        return Written(current.segment, offsets)

    def read(self, stream_id: str, segment: str, offset: int, size: int) -> bytes:
        """Return a record.

        Raises:
            OSError: the file is not there, or too short.
        """
        with self._path(stream_id, segment).open("rb") as file:
            file.seek(offset)
            record = file.read(size)
        if len(record) != size:
            raise OSError(f"{segment} of stream {stream_id} ends before byte {offset + size}.")
        return record

    def delete(self, stream_id: str, segments: Iterable[str]) -> None:
        """Remove files; those that are not there are no error."""
        for segment in segments:
            current = self._current.get(stream_id)
            if current and current.segment == segment:
                del self._current[stream_id]
            self._path(stream_id, segment).unlink(missing_ok=True)

    def delete_stream(self, stream_id: str) -> None:
        """Remove all files of a stream."""
        self._current.pop(stream_id, None)
        shutil.rmtree(self._directory / stream_id, ignore_errors=True)

    def close_aged(self, now: float) -> None:
        """Forget files that nothing would be appended to any more."""
        aged = [stream_id for stream_id, current in self._current.items() if now - current.begun >= self._max_seconds]
        for stream_id in aged:
            del self._current[stream_id]

    def keep_only(self, known: dict[str, set[str]]) -> None:
        """Remove every file that the database does not know: what a crash left behind. Before the first append."""
        _make_folder(self._directory)
        for folder in self._directory.iterdir():
            segments = known.get(folder.name)
            if segments is None:
                self.delete_stream(folder.name)
                continue
            for path in folder.iterdir():
                if path.name not in segments:
                    path.unlink()

    def _path(self, stream_id: str, segment: str) -> Path:
        return self._directory / stream_id / segment


def _make_folder(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Put the names in a folder on the disk, too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
