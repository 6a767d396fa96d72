"""Logs: what a traceback shows, what is said before anybody configured anything."""

import io
import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import structlog

from carillon.errors import Transient
from carillon.telemetry import configure_logging, forward_library_logs, get_logger, log_failure


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def fail_with_a_voice_at_hand() -> None:
    voice = b"samples-of-a-voice"
    try:
        len(voice) // 0
    except ZeroDivisionError:
        get_logger().error("task.crashed", task_id="1", exc_info=True)


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_traceback_says_where_and_shows_no_locals(
    capsys: pytest.CaptureFixture[str], style: Literal["console", "json"]
) -> None:
    configure_logging("info", style)
    fail_with_a_voice_at_hand()
    said = capsys.readouterr()
    assert "ZeroDivisionError" in said.err
    assert "in fail_with_a_voice_at_hand" in said.err
    assert "samples-of-a-voice" not in said.err
    assert said.out == ""


def _said_of(error: Exception, capsys: pytest.CaptureFixture[str]) -> list[str]:
    configure_logging("info", "console")
    try:
        raise error
    except Exception as caught:  # as every loop that must go on does
        log_failure(get_logger(), "sweep.failed", caught, chore="sweep")
    return capsys.readouterr().err.splitlines()


def test_trouble_that_has_a_name_of_ours_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = _said_of(Transient("The database is away."), capsys)
    assert "sweep.failed" in line
    assert "The database is away." in line


def test_a_fault_of_ours_shows_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_, last = _said_of(ZeroDivisionError("by nought"), capsys)
    assert "sweep.failed" in first
    assert "Traceback" in second
    assert "ZeroDivisionError: by nought" in last


def test_json_is_one_object_a_line_whatever_happens(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    get_logger().info("task.resumed", task_id="1")
    get_logger().debug("never said")
    fail_with_a_voice_at_hand()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["level"], line["task_id"]) for line in lines] == [
        ("task.resumed", "info", "1"),
        ("task.crashed", "error", "1"),
    ]


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_log_that_cannot_be_written_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, style: Literal["console", "json"]
) -> None:
    with Path("/dev/full").open("wb", buffering=0) as raw:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, write_through=True))
        configure_logging("debug", style)
        for say in (get_logger().debug, get_logger().info, get_logger().warning, get_logger().error):
            say("pipeline.started")
        fail_with_a_voice_at_hand()
        monkeypatch.undo()


def test_what_only_imports_us_is_quiet_and_shows_no_locals() -> None:
    program = (
        "from carillon.telemetry import get_logger\n"
        "get_logger().info('chatter')\n"
        "def fail(voice):\n"
        "    try:\n"
        "        len(voice) // 0\n"
        "    except ZeroDivisionError:\n"
        "        get_logger().error('task.crashed', exc_info=True)\n"
        "fail('samples-of-' + 'a-voice')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == ""
    assert "chatter" not in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "samples-of-a-voice" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "colored"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_a_terminal_is_colored_unless_it_cannot_be_or_nobody_wants_it(
    environment: dict[str, str], colored: bool
) -> None:
    program = "from carillon.telemetry import get_logger; get_logger().warning('sink.fails')"
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True, timeout=60, env=environment)
        assert (b"\x1b[" in os.read(ours, 65_536)) is colored
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_a_library_logs_comes_out_in_our_style(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    configure_logging("info", "json")
    forward_library_logs()
    logging.getLogger("some.library").info("not this")
    logging.getLogger("some.library").warning("the %s is hot", "plate")
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["event"], said["library"], said["said"]) == ("library.said", "some.library", "the plate is hot")
    assert said["level"] == "warning"
