"""Tables cut nothing: not on a narrow terminal, and least of all in a pipe."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

from carillon.terminal import Table, print_json, progress

IDS = ("3f2a1c58-1111-4222-8333-444455556666", "vp-7d1f1c58-1111-4222-8333-444455556666")
SCRIPT = f"""
from carillon.terminal import Table
table = Table("call", "voice profile", "confidence")
table.add_row(*{IDS!r}, "0.991")
table.print()
table.add_row(*{IDS!r}, "")
table.print()
"""


def test_in_a_pipe_a_row_is_one_line_whatever_the_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    table = Table("call", "voice profile", "confidence")
    table.add_row(*IDS, "0.991")
    table.add_row(*IDS, "")
    table.print()
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "call"
    assert first.split() == [*IDS, "0.991"]
    assert second.split() == [*IDS]
    assert second == second.rstrip()


def test_headings_are_printed_once_and_columns_stay_where_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", "state")
    table.add_row("a long name", "running")
    table.print()
    table.add_row("short", "stopped")
    table.print()
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.index("state") == first.index("running") == second.index("stopped")


def test_numbers_are_justified_right(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", "EER", numbers=["EER"])
    table.add_row("one", "1.25 %")
    table.add_row("two [b]", "12.50 %")
    table.print()
    assert capsys.readouterr().out.splitlines() == ["name         EER", "one       1.25 %", "two [b]  12.50 %"]


def test_an_empty_table_has_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    Table("name", "state").print()
    assert capsys.readouterr().out == "name  state\n"


@pytest.mark.parametrize(("columns", "lines"), [(80, 6), (200, 3)])
def test_on_a_terminal_too_narrow_a_row_becomes_lines_and_ids_stay_whole(columns: int, lines: int) -> None:
    said = _on_a_terminal(SCRIPT, columns)
    assert len(said.splitlines()) == lines
    assert said.count(IDS[0]) == said.count(IDS[1]) == 2


def test_a_value_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, "two\n"]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, "two\n"]}


def test_no_bar_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("listening", 2) as advance:
        advance()
        advance()
    assert capsys.readouterr() == ("", "")


def _on_a_terminal(script: str, columns: int) -> str:
    """Return what a script prints on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # Linux says so at the end of a terminal
            while data := os.read(ours, 65_536):
                said += data
    os.close(ours)
    assert process.returncode == 0
    return said.decode()
