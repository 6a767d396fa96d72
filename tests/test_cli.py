"""The command line as a whole: quick to answer, the same everywhere, and never with a traceback."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer

from carillon.cli import app
from carillon.media.splicer import SampleFormat

HEAVY = ("numpy", "onnxruntime", "botocore", "boto3", "aiobotocore", "sqlalchemy", "alembic", "anyio", "uvicorn")


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every command, and of every group of them."""
    group = group or typer.main.get_command(app)
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


PATHS = sorted(commands())


def _cpu_seconds(*command: str) -> float:
    """The least of a few tries: what the command needs when nobody disturbs it."""
    tries = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        tries.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(tries)


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_command_line_answers_in_a_moment(option: str) -> None:
    nothing = _cpu_seconds(sys.executable, "-c", "pass")
    assert _cpu_seconds(sys.executable, "-m", "carillon", option) < max(0.3, 15 * nothing)


def test_help_of_every_command_loads_nothing_that_only_its_work_needs_and_fits_80_columns() -> None:
    script = f"""
import sys
from carillon.cli import app
for path in {PATHS!r}:
    try:
        app([*path, "-h"], prog_name="carillon")
    except SystemExit as ended:
        assert not ended.code, path
print("LOADED", [name for name in {HEAVY!r} if name in sys.modules])
"""
    environment = {**os.environ, "COLUMNS": "80", "TERMINAL_WIDTH": "80"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("LOADED []\n"), done.stdout
    assert done.stdout.count("Usage: carillon") == len(PATHS)
    assert "…" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_push_takes_every_format_of_samples_that_there_is() -> None:
    (option,) = (each for each in typer.main.get_command(app).commands["push"].params if each.name == "encoding")
    assert sorted(map(str, get_args(option.type_descriptor.annotation))) == sorted(one.value for one in SampleFormat)
