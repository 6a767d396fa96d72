"""Stands in for `carillon` where the commands of the docs are run: see test_commands_in_docs.py.

`serve` goes on in the background once it is ready, on a free port; a server that runs on the same folder is stopped
before, as a reader would do. CRLN..., vpd-... and vp-... become the key, domain and profile that were made last.

Every command is a process of its own, forked from one that has imported all of carillon, since imports are most of what
a command costs. `ASK` is what stands in the PATH: it hands over what a process has, and ends as the command ends.
"""

import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

from forked import parent

ASK = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect({address!r})
    given = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(asking, [b"%010d" % len(given)], [0, 1, 2])
    asking.sendall(given)
    status = asking.recv(4)
sys.exit(int(status) if status else 1)
"""
_LENGTH_BYTES = 10


def answering(address: Path) -> BaseProcess:
    """Run commands for whoever asks at a socket, until it is killed."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(address))
    listening.listen()
    process = parent().Process(target=_answer, args=(listening,), daemon=True)
    process.start()
    listening.close()
    return process


def _answer(listening: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that are forked here
    while True:
        asking, _ = listening.accept()
        if not os.fork():
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _take(asking)
        asking.close()


def _take(asking: socket.socket) -> None:
    length, outputs, _, _ = socket.recv_fds(asking, _LENGTH_BYTES, 3)
    with asking.makefile("rb") as reading:
        arguments, environment, folder = json.loads(reading.read(int(length)))
    for number, output in enumerate(outputs):
        os.dup2(output, number)
        os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    try:
        status = _run(arguments)
        asking.sendall(b"%d" % status)
    finally:
        os._exit(0)


def _run(arguments: Sequence[str]) -> int:
    given = [_filled(word) for word in arguments]
    if given[:1] == ["serve"]:
        return _serve(given[1:])
    return os.waitstatus_to_exitcode(os.waitpid(_forked(given), 0)[1])


def _forked(arguments: Sequence[str], outputs: Mapping[int, int] | None = None) -> int:
    """Begin a command in a process of its own and return its id.

    Args:
        arguments: of the command.
        outputs: which descriptors take the place of standard output and error.
    """
    if pid := os.fork():
        return pid
    from carillon.cli import main

    for number, output in (outputs or {}).items():
        os.dup2(output, number)
    sys.argv = ["carillon", *arguments]
    status = 1
    try:
        status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _listed(*arguments: str) -> list[dict]:
    reading, writing = os.pipe()
    pid = _forked([*arguments, "--json"], {1: writing})
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
        pid = _forked(["serve", *options], {0: os.open(os.devnull, os.O_RDONLY), 1: writing, 2: log.fileno()})
    os.close(writing)
    with Path(os.environ["SERVERS"]).open("a") as servers:
        servers.write(f"{pid}\n")
    ready = os.fdopen(reading).readline()
    sys.stdout.write(ready or Path("server.log").read_text())
    sys.stdout.flush()
    return 0 if ready else 1
