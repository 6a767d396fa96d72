"""Runs a command for whoever starts a program: one that any shell, and `subprocess`, can start, stop and pipe to.

The program is a few lines of Python that load nothing. It hands its arguments, environment, folder and standard streams
to a process that is forked from one that has imported all of carillon, passes signals on, and ends as that one ends.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from forked import parent

_PROGRAM: Final = """\
#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect({address!r})
    given = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(asking, [b"%010d" % len(given)], [0, 1, 2])
    asking.sendall(given)
    with asking.makefile() as answers:
        pid = int(answers.readline() or 0)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: pid and os.kill(pid, number))
        status = int(answers.readline() or 1)
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""
_LENGTH_BYTES: Final = 10

Run = Callable[[Sequence[str], Callable[[int], None]], int]
"""Runs a command: says the id of its process, and returns its status."""


def command(arguments: Sequence[str], begun: Callable[[int], None]) -> int:
    """Run a command of carillon."""
    pid = forked(arguments)
    begun(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def answering(program: Path, run: Run = command) -> BaseProcess:
    """Write a program, and run commands for whoever starts it until the process that is returned is killed."""
    address = program.with_name(f"{program.name}.asked")
    program.write_text(_PROGRAM.format(python=sys.executable, address=str(address)))
    program.chmod(0o755)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(address))
    listening.listen()
    process = parent().Process(target=_answer, args=(listening, run), daemon=True)
    process.start()
    listening.close()
    return process


def forked(arguments: Sequence[str], outputs: Mapping[int, int] | None = None) -> int:
    """Begin a command in a process of its own and return its id.

    Args:
        arguments: of the command.
        outputs: which descriptors take the place of standard streams.
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


def _answer(listening: socket.socket, run: Run) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that are forked here
    while True:
        asking, _ = listening.accept()
        if not os.fork():
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _take(asking, run)
        asking.close()


def _take(asking: socket.socket, run: Run) -> None:
    length, streams, _, _ = socket.recv_fds(asking, _LENGTH_BYTES, 3)
    with asking.makefile("rb") as reading:
        arguments, environment, folder = json.loads(reading.read(int(length)))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process lives
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    try:
        status = run(arguments, lambda pid: asking.sendall(b"%d\n" % pid))
        asking.sendall(b"%d\n" % status)
    finally:
        os._exit(0)
