"""Makes what is appended to many files durable with one sync. Blocking; call it from a thread.

To sync a file for each stream every second is more than a disk can do. So what is written to the files is written to
the journal, too, and only the journal is synced.

The invariant. An entry that `append` returned without an error is, at any moment from then on, durable in its file or
in a part of the journal, or in both. To one place in one file nothing but one thing is ever written: so to write it
there again, any number of times and after any crash, changes nothing.

How it works. The journal is a row of parts, each in one of these states:

    begun --append, append, ...--> over (full, torn, or `turn_over`) --fold: its files are synced--> deleted

`open` does after a crash what `fold` would have done: it writes all parts to the files once more, syncs those, and
deletes the parts. A part is read up to the first entry whose checksum is wrong: that one was torn, nobody was told that
it is durable, and nothing was appended behind it, since a write that failed ends its part.

What was decided against. One large file for all streams: what is deleted would stay on the disk until it is rewritten,
and here whole files go. Synchronous writes to each file: a sync for each stream again. Trusting a second sync after one
that failed: the system may have dropped what it could not write, and say so only once. So `fold` writes the part to the
files again first. A journal in the database: audio would pass through its log, and stay there after it was deleted.

Why our own: write-ahead logs come inside of databases (SQLite, RocksDB, LMDB), each with files in its own format and
compaction, and none as a library that makes other files durable.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from carillon.storage.files import open_new

_HEAD: Final = struct.Struct(">IQII")  # length of the name, offset in the file, length of the data, checksum of all
_MAX_BYTES: Final = 64_000_000
"""Of one part, which is closed then."""


@dataclass(slots=True, eq=False)
class Entry:
    """Something to be appended to a file."""

    name: str
    """Of the file, relative to the folder."""
    offset: int
    """Its size before; 0 makes it."""
    data: bytes = field(repr=False)
    is_done: bool = False
    error: OSError | None = None
    """Why it could not be written; the file must not be appended to any more."""


@dataclass(slots=True)
class _Part:
    path: Path
    file: BinaryIO
    size: int = 0
    touched: set[str] = field(default_factory=set)


class Journal:
    """Appends to files in a folder. `append` and `turn_over` are for one thread at a time, `fold` for one, too.

    Args:
        folder: of the files; the journal lies in there as well.
    """

    FOLDER: Final = ".journal"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = folder / self.FOLDER
        self._part: _Part | None = None
        self._over: list[_Part] = []
        self._count = 0

    def open(self) -> None:
        """Write to the files what a crash may have kept from them. Before all else.

        Raises:
            OSError: that cannot be done now; the journal stays as it is.
        """
        make_folder(self._own)
        parts = sorted((path for path in self._own.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        self._sync({name for part in parts for name in self._redo(part)})
        for part in parts:
            part.unlink()

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries, each to another file; return once those without an error would survive a power failure."""
        if len(entries) == 1:
            self.write_through(entries[0])
        elif written := [entry for entry in entries if self._write(entry)]:
            try:
                self._record(written)
            except OSError as error:
                for entry in written:
                    entry.error = error
                self.turn_over()  # nothing may follow what was torn
        for entry in entries:
            entry.is_done = True

    def write_through(self, entry: Entry) -> None:
        """Write an entry that is alone, or too large to be written twice, and sync its file. May run beside it all."""
        if self._write(entry):
            path = self._folder / entry.name
            try:
                sync(path)
                if entry.offset == 0:
                    sync(path.parent)
                    sync(self._folder)
            except OSError as error:
                entry.error = error
        entry.is_done = True

    def turn_over(self) -> None:
        """Begin a new part with the next entry, so that the last one can be folded."""
        if self._part:
            self._over.append(self._part)
            self._part.file.close()
            self._part = None

    def has(self, name: str) -> bool:
        """Return whether something that was appended to a file is in the journal, or to any below a folder."""
        parts = [*self._over, *([self._part] if self._part else [])]
        return any(touched.startswith(name) for part in parts for touched in part.touched)

    def fold(self) -> None:
        """Sync the files that are in parts which are over, and delete those parts. May run beside `append`.

        Raises:
            OSError: a file cannot be synced; the part stays.
        """
        while self._over:
            part = self._over[0]
            try:
                self._sync(part.touched)
            except OSError:  # the system may have dropped what it could not write, and say so only once
                self._sync(set(self._redo(part.path)))
            part.path.unlink()
            del self._over[0]

    def _write(self, entry: Entry) -> bool:
        path = self._folder / entry.name
        try:
            if entry.offset == 0:
                path.parent.mkdir(mode=0o700, exist_ok=True)
            _write_at(path, entry.offset, entry.data, os.O_CREAT | os.O_EXCL if entry.offset == 0 else 0)
        except OSError as error:
            entry.error = error
        return entry.error is None

    def _record(self, entries: Sequence[Entry]) -> None:
        if self._part and self._part.size >= _MAX_BYTES:
            self.turn_over()
        part = self._part or self._begin()
        part.touched.update(entry.name for entry in entries)
        part.size += part.file.write(b"".join(_packed(entry) for entry in entries))
        part.file.flush()
        os.fsync(part.file.fileno())

    def _begin(self) -> _Part:
        self._count += 1
        path = self._own / str(self._count)
        self._part = _Part(path, open_new(path))
        sync(self._own)
        return self._part

    def _redo(self, part: Path) -> Iterator[str]:
        """Write what a part says, up to where it was torn; yield the names of the files."""
        for entry in _unpacked(part):
            path = self._folder / entry.name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write_at(path, entry.offset, entry.data, os.O_CREAT)
            yield entry.name

    def _sync(self, names: set[str]) -> None:
        """Sync files and the folders that they are in; what was deleted meanwhile needs it no more."""
        paths = [self._folder / name for name in names]
        for path in [*paths, *{path.parent for path in paths}]:
            with suppress(FileNotFoundError):
                sync(path)
        sync(self._folder)


def _packed(entry: Entry) -> bytes:
    name = entry.name.encode()
    place = _HEAD.pack(len(name), entry.offset, len(entry.data), 0) + name
    head = _HEAD.pack(len(name), entry.offset, len(entry.data), zlib.crc32(entry.data, zlib.crc32(place)))
    return head + name + entry.data


def _unpacked(part: Path) -> Iterator[Entry]:
    with part.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            name_bytes, offset, data_bytes, checksum = _HEAD.unpack(head)
            left = part.stat().st_size - file.tell()
            if name_bytes + data_bytes > left:
                return
            name, data = file.read(name_bytes), file.read(data_bytes)
            place = _HEAD.pack(name_bytes, offset, data_bytes, 0) + name
            if zlib.crc32(data, zlib.crc32(place)) != checksum:
                return
            yield Entry(name.decode(), offset, data)


def _write_at(path: Path, offset: int, data: bytes, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | flags, 0o600)
    try:
        while data:
            written = os.pwrite(descriptor, data, offset)
            offset, data = offset + written, data[written:]
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, for this user alone; durable."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        sync(path.parent)


def sync(path: Path) -> None:
    """Put a file, or the names in a folder, on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
