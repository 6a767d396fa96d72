"""Ctrl-C ends whatever runs, with status 130 and without a traceback."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

LONGEST_SECONDS = 60.0
"""A second is promised; a machine under load may take longer to start the process's last steps."""


def _interrupted(process: subprocess.Popen[str]) -> str:
    """Interrupt a process; return what it has said on standard error."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert time.monotonic() - began < LONGEST_SECONDS
    assert process.returncode == 130, said
    assert "Traceback" not in said
    return said


def test_a_demonstration_is_ended_with_its_server(carillon: Any, tmp_path: Path) -> None:
    with carillon.background("demo", "--json", TMPDIR=str(tmp_path)) as demo:
        while not list(tmp_path.glob("*/server.json")):
            assert demo.poll() is None
            time.sleep(0.05)
        (address,) = tmp_path.glob("*/server.json")
        server = int(address.read_text().partition('"pid":')[2].partition(",")[0])
        _interrupted(demo)
    with suppress(ProcessLookupError):
        while True:  # it was told to end, and no longer has a parent that could wait for it
            os.kill(server, 0)
            time.sleep(0.05)


def test_an_evaluation_whose_threads_are_busy_is_ended_and_shows_how_far_it_is(
    recordings: Path, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        shutil.copy(recordings / f"call_{number}.flac", tmp_path)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "carillon", "eval", "calls", str(tmp_path)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, text=True) as process:
        os.close(theirs)
        said = b""
        while b"calls" not in said:
            said += os.read(ours, 65_536)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # Linux says so at the end of a terminal
            while data := os.read(ours, 65_536):
                said += data
        process.wait(120)
        assert time.monotonic() - began < LONGEST_SECONDS
    os.close(ours)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert said.rstrip().endswith(b"\x1b[?25h")  # the cursor is shown again
