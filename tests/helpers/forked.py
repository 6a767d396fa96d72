"""Runs a command of the command line in a process of its own, forked from one that has imported all of carillon.

Most of what a command costs are its imports. The process that runs it is like any other: it has a pid, an environment,
a working folder, a umask and pipes of its own, takes signals and leaves an exit status. What imports alone can break is
for the tests that start `python -m carillon` itself.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import IO

import pytest


@cache
def parent() -> ForkServerContext:
    """Return what forks from a process that has imported all of carillon; that process finds `warm` beside this."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "warm"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(Path(__file__).parent))
        forkserver.ensure_running()
    return context


class ForkedCommand:
    """As much of `subprocess.Popen` as tests use.

    Args:
        arguments: of the command, without its name.
        environment: all of it.
        stdout: where to write; None makes a pipe, whose other end is `stdout`.
        stderr: where to write.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], stdout: IO[str] | None, stderr: IO[str]
    ) -> None:
        self.args = ["carillon", *arguments]
        self.stdout: IO[str] | None = None
        if stdout is None:
            ours, theirs = os.pipe()
            self.stdout = os.fdopen(ours, encoding="utf-8")
        else:
            theirs = os.dup(stdout.fileno())
        outputs = [Connection(number, readable=False) for number in (theirs, os.dup(stderr.fileno()))]
        umask = os.umask(0)
        os.umask(umask)
        given = (self.args, dict(environment), str(Path.cwd()), umask, outputs)
        self._process = parent().Process(target=_run, args=given, daemon=True)
        self._process.start()
        for output in outputs:
            output.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, or what signal ended it, negative; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the same."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the same, once it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it one, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _run(
    arguments: list[str], environment: dict[str, str], folder: str, umask: int, outputs: Sequence[Connection]
) -> None:
    from carillon.cli import main

    for number, output in enumerate(outputs, start=1):
        os.dup2(output.fileno(), number)
        output.close()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.umask(umask)
    sys.argv = arguments
    sys.exit(main())
