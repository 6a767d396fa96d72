"""The command line as a whole: quick to answer, the same everywhere, and never with a traceback."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from carillon.cli import app
from carillon.data_folder import prepare
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
    """In some of many tries: a busy machine makes every instruction slower."""

    def is_quick() -> bool:
        nothing = _cpu_seconds(sys.executable, "-c", "pass")
        return _cpu_seconds(sys.executable, "-m", "carillon", option) < max(0.3, 15 * nothing)

    assert any(is_quick() for _ in range(10))


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
    assert done.stdout.splitlines()[-1] == "LOADED []"
    assert done.stdout.count("Usage: carillon") == len(PATHS)
    assert "…" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_commands_that_only_look_load_neither_what_migrates_nor_what_searches(tmp_path: Path) -> None:
    script = """
import sys
from carillon.cli import app
try:
    app(sys.argv[1:], prog_name="carillon")
except SystemExit as ended:
    assert not ended.code
print("LOADED", [name for name in ("alembic", "faiss") if name in sys.modules])
"""
    folder = ["--data-dir", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "carillon", "keys", "create", "--name", "first", *folder], check=True)
    for command in (["keys", "list"], ["events"], ["audit"], ["calls"]):
        done = subprocess.run([sys.executable, "-c", script, *command, *folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "LOADED []", command


def test_push_takes_every_format_of_samples_that_there_is() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    params: list[Any] = group.commands["push"].params
    (option,) = (each for each in params if each.name == "encoding")
    assert sorted(map(str, get_args(option.type_descriptor.annotation))) == sorted(one.value for one in SampleFormat)


def test_every_command_that_prints_can_print_json() -> None:
    """All but `serve`, `worker` and `label calls`, which print that they are ready, to whoever waits for that."""

    def options(path: tuple[str, ...]) -> set[str]:
        command: Any = typer.main.get_command(app)
        for name in path:
            command = command.commands[name]
        return set() if hasattr(command, "commands") else {name for each in command.params for name in each.opts}

    without = {path for path in PATHS if options(path) and "--json" not in options(path)}
    assert without == {("serve",), ("worker",), ("label", "calls")}


def test_who_stops_reading_hears_of_no_error(tmp_path: Path) -> None:
    prepare(tmp_path)
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "carillon", "keys", "list", "--data-dir", str(tmp_path)]
    with os.fdopen(theirs, "w") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "")
