"""The one server that may run on a data folder, and where it answers.

`server.lock` is locked for as long as the server's process lives, whatever ends it; `server.json` tells where it is
reached. Both are for this user alone. A `server.json` beside a free lock is what a killed server left: nobody is there.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from carillon.config import Settings
from carillon.errors import CarillonError
from carillon.server.tls import authorities
from carillon.storage.files import FolderUnusable, make_data_folder, replace_file

LOCK_FILE: Final = "server.lock"
ADDRESS_FILE: Final = "server.json"
_TRIES: Final = 20
_TRY_SECONDS: Final = 0.02  # between tries: who only looks whether the lock is free holds it for a moment


class RunningServer(msgspec.Struct, frozen=True):
    """A server that runs on a data folder."""

    pid: int
    url: str
    """Where this machine reaches it."""
    public_url: str
    """Where everybody does."""
    ca_bundle: str | None = None
    """File of the authorities by which clients trust it; None where they need none, or trust it anyway."""


class FolderInUse(CarillonError):
    """Another server runs on the data folder."""

    def __init__(self, folder: Path, pid: str, server: RunningServer | None) -> None:
        where = "it is starting" if server is None else f"at {server.url}"
        super().__init__(
            f"The data folder {folder} is in use by a carillon server, pid {pid}, {where}. Stop it, or name another "
            "folder with --data-dir."
        )


@contextmanager
def held(folder: Path) -> Iterator[Callable[[str, str, Path | None], None]]:
    """Hold a data folder for one server while entered, and for no longer than the process lives.

    Yields:
        What tells others where the server is reached: its URL for this machine, for everybody, and the file by which
        clients trust it.

    Raises:
        FolderUnusable: it cannot be made or written.
        FolderInUse: another server holds it.
    """
    make_data_folder(folder)
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderUnusable(folder, error) from error
    try:
        _lock(folder, descriptor)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        (folder / ADDRESS_FILE).unlink(missing_ok=True)
        try:
            yield lambda url, public_url, ca_bundle: _tell(folder, url, public_url, ca_bundle)
        finally:
            (folder / ADDRESS_FILE).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def running(folder: Path) -> RunningServer | None:
    """Return the server that runs on a data folder, None if none does or it is not ready yet."""
    try:
        found = msgspec.json.decode((folder / ADDRESS_FILE).read_bytes(), type=RunningServer)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY)
    except (OSError, msgspec.DecodeError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return found
    finally:
        os.close(descriptor)
    return None  # the lock is free: what we read was left by a server that was killed


def reached(settings: Settings, endpoint: str | None = None) -> tuple[str, Path | None]:
    """Return the base URL of the server, and the file of the authorities by which to trust it, None if that needs none.

    Args:
        settings: of the server.
        endpoint: its base URL, if somebody said it; else it is that of the server that runs on the data folder, else
            what the settings say.
    """
    server = running(settings.data_dir)
    if server is None or endpoint not in (None, server.url):
        url = endpoint or settings.server.url
        return url, authorities(settings, url)
    return server.url, None if server.ca_bundle is None else Path(server.ca_bundle)


def _lock(folder: Path, descriptor: int) -> None:
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_TRY_SECONDS)
    pid = os.pread(descriptor, 32, 0).decode(errors="replace")
    raise FolderInUse(folder, pid or "unknown", running(folder))


def _tell(folder: Path, url: str, public_url: str, ca_bundle: Path | None) -> None:
    server = RunningServer(os.getpid(), url, public_url, None if ca_bundle is None else str(ca_bundle.absolute()))
    replace_file(folder / ADDRESS_FILE, msgspec.json.encode(server))
