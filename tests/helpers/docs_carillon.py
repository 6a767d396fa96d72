"""Stands in for `carillon` where the commands of the docs are run: see test_commands_in_docs.py.

`serve` goes on in the background once it is ready, on a free port; a server that runs on the same folder is stopped
before, as a reader would do. CRLN..., vpd-... and vp-... become the key, domain and profile that were made last.
"""

import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from asked import command, forked


def run(arguments: Sequence[str], begun: Callable[[int], None]) -> int:
    """Run a command as the docs show it."""
    given = [_filled(word) for word in arguments]
    if given[:1] != ["serve"]:
        return command(given, begun)
    begun(0)
    return _serve(given[1:])


def _listed(*arguments: str) -> list[dict[str, Any]]:
    reading, writing = os.pipe()
    pid = forked([*arguments, "--json"], {1: writing})
    os.close(writing)
    with os.fdopen(reading) as said:
        found = [json.loads(line) for line in said]
    os.waitpid(pid, 0)
    return found[0] if found and isinstance(found[0], list) else found


def _filled(word: str) -> str:
    if word == "CRLN...":
        return _listed("keys", "list")[-1]["access_key_id"]
    if word == "vpd-...":
        return _listed("domains")[-1]["id"]
    if word == "vp-...":
        return _listed("profiles", "list", "--domain", _filled("vpd-..."))[-1]["id"]
    return word


def _stop(folder: Path) -> None:
    with suppress(FileNotFoundError), (folder / "server.lock").open() as lock:
        with suppress(ProcessLookupError):
            os.kill(int(lock.read()), signal.SIGTERM)
        fcntl.flock(lock, fcntl.LOCK_SH)  # until it has gone


def _serve(options: list[str]) -> int:
    if "--port" in options:
        options[options.index("--port") + 1] = "0"
    folder = options[options.index("--data-dir") + 1] if "--data-dir" in options else os.environ["CARILLON_DATA_DIR"]
    _stop(Path(folder))
    reading, writing = os.pipe()
    with Path("server.log").open("a") as log:
        pid = forked(["serve", *options], {0: os.open(os.devnull, os.O_RDONLY), 1: writing, 2: log.fileno()})
    os.close(writing)
    with Path(os.environ["SERVERS"]).open("a") as servers:
        servers.write(f"{pid}\n")
    ready = os.fdopen(reading).readline()
    sys.stdout.write(ready or Path("server.log").read_text())
    sys.stdout.flush()
    return 0 if ready else 1
