"""Files that are there whole or not at all, and for this user alone, whatever the umask.

What is written goes into a draft beside the file and is synced before the file gets its name; a power failure leaves
the file as it was or as it should be, and at worst a draft (`.NAME.RANDOM`) that nobody reads. Blocking: these wait for
the disk.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from carillon.errors import CarillonError

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


class FolderUnusable(CarillonError):
    """The data folder cannot be made or written."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"The data folder {folder} cannot be used: {error.strerror}. Name another with --data-dir or "
            "CARILLON_DATA_DIR."
        )


@contextmanager
def creating(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to; at the end of the block it becomes a new file at `path`, and if that fails, nothing.

    Raises:
        FileExistsError: there is one by then; of several that come at once, one wins.
    """
    with _draft(path) as (file, draft):
        yield file
        _sync(file)
        os.link(draft, path)  # unlike a rename, this fails where somebody else was faster
    _sync_folder(path.parent)


def create_file(path: Path, data: bytes) -> bool:
    """Make a file that holds `data`; return False, and change nothing, if there is one."""
    try:
        with creating(path) as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


def replace_file(path: Path, data: bytes) -> None:
    """Put a file that holds `data` in the place of what is there, if anything is."""
    with _draft(path) as (file, draft):
        file.write(data)
        _sync(file)
        draft.replace(path)
    _sync_folder(path.parent)


def open_new(path: Path) -> BinaryIO:
    """Open a new file for writing.

    Raises:
        FileExistsError: there is one.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)  # a umask may have taken more than it should
    return os.fdopen(descriptor, "wb")


def make_folder(path: Path) -> None:
    """Make a folder if it is not there, and those above it."""
    if not path.is_dir():
        path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        path.chmod(FOLDER_MODE)


def make_data_folder(folder: Path) -> None:
    """Make a data folder, readable by this user alone, if there is none.

    Raises:
        FolderUnusable: the operating system does not let us.
    """
    try:
        make_folder(folder)
    except OSError as error:
        raise FolderUnusable(folder, error) from error


def make_private(path: Path) -> None:
    """Make sure that a file is there, and for this user alone; what it holds stays.

    One that is there is never opened: closing it would end the locks of this process on it, SQLite's among them.
    """
    with suppress(FileExistsError):
        open_new(path).close()
        return
    if path.stat().st_mode & 0o077:
        path.chmod(FILE_MODE)


@contextmanager
def _draft(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open_new(draft) as file:
        try:
            yield file, draft
        finally:
            draft.unlink(missing_ok=True)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
