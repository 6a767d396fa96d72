"""Stands in for `carillon` where the commands of the docs are run: see test_commands_in_docs.py.

`serve` goes on in the background once it is ready, on a free port; a server that runs on the same folder is stopped
before, as a reader would do. CRLN..., vpd-... and vp-... become the key, domain and profile that were made last.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

COMMAND = [sys.executable, "-m", "carillon"]


def _listed(*arguments: str) -> list[dict]:
    said = subprocess.run([*COMMAND, *arguments, "--json"], check=True, capture_output=True, text=True).stdout
    found = [json.loads(line) for line in said.splitlines()]
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
    with Path("server.log").open("a") as log:
        server = subprocess.Popen([*COMMAND, "serve", *options], stdout=subprocess.PIPE, stderr=log, text=True)
    with Path(os.environ["SERVERS"]).open("a") as servers:
        servers.write(f"{server.pid}\n")
    ready = server.stdout.readline()
    sys.stdout.write(ready or Path("server.log").read_text())
    return 0 if ready else 1


if __name__ == "__main__":
    given = [_filled(word) for word in sys.argv[1:]]
    sys.exit(_serve(given[1:]) if given[:1] == ["serve"] else subprocess.run([*COMMAND, *given]).returncode)
