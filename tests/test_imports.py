"""Imports point down the rows, never sideways, and guests stay in their room: ARCHITECTURE.md, kept true."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import carillon

ROWS: tuple[frozenset[str], ...] = (
    frozenset({"__main__"}),
    frozenset({"cli"}),
    frozenset({"commands"}),
    frozenset({"demo"}),
    frozenset(
        {
            "task_worker",
            "environment",
            "events",
            "push",
            "keys",
            "audit",
            "calibrate",
            "corpora",
            "doctor",
            "ingest_url",
            "labels",
            "lists",
            "voices",
        }
    ),  # What a command does, each in a module.
    frozenset({"server"}),
    frozenset({"app"}),
    frozenset({"data_folder"}),
    frozenset({"config"}),
    frozenset({"training"}),
    frozenset({"api", "console", "cluster", "evaluation"}),
    frozenset({"access"}),
    frozenset({"tasks"}),
    frozenset({"pipelines", "streams", "media", "analysis", "profiles", "notifications"}),
    frozenset({"matroska", "inference", "storage", "fragment_tags", "aws_clients"}),
    frozenset({"concurrency"}),
    frozenset({"audio", "arns", "clock", "telemetry", "terminal"}),
    frozenset({"bounds"}),
    frozenset({"errors"}),  # A word of its own row, since the other words raise errors too.
)
"""Top to bottom. A room imports itself and rooms of lower rows."""

STREAMS_ROWS: tuple[frozenset[str], ...] = (
    frozenset({"streams"}),
    frozenset({"ingest"}),
    frozenset({"live"}),
    frozenset({"stored"}),
    frozenset({"catalog"}),
)
"""Within `streams`, likewise; below all of them are the modules that lie beside these folders."""

GUESTS: Mapping[str, frozenset[str]] = {
    "onnxruntime": frozenset({"inference"}),
    "scipy": frozenset({"training"}),
    "onnx": frozenset({"training"}),
    "jinja2": frozenset({"evaluation"}),
    "matplotlib": frozenset({"evaluation"}),
    "alembic": frozenset({"storage"}),
    "sqlite3": frozenset({"storage"}),
    "asyncpg": frozenset({"storage"}),
    "psycopg": frozenset({"storage"}),
    "ray": frozenset({"cluster"}),
    "aiobotocore": frozenset({"aws_clients"}),
    "av": frozenset({"media"}),
    "soundfile": frozenset({"media"}),
    "boto3": frozenset({"demo"}),
    "vaderSentiment": frozenset({"inference"}),
}
"""Third parties, and the only rooms that may know them. SQLAlchemy is no guest: rooms own their tables."""

ROOT = Path(carillon.__file__).parent
ROW_OF = {room: number for number, row in enumerate(ROWS) for room in row}


def room_of(module: str) -> str:
    """Return the room of a module of ours; the package itself, which holds the version, is nobody's."""
    return module.split(".")[1] if "." in module else ""


def imported(source: str, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of everything that a module imports, wherever in it."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            # `from carillon import arns` imports a room, `from carillon.arns import Arn` a name in one.
            yield from ((node.lineno, f"{name}.{alias.name}") for alias in node.names)


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    room = room_of(module)
    found = []
    for line, name in imported(source, module, is_package=is_package):
        top = name.split(".")[0]
        if top == "carillon":
            other = room_of(name)
            allowed = other in {room, "__version__"} or ROW_OF.get(room, 99) < ROW_OF.get(other, -1)
        else:
            allowed = room in GUESTS.get(top, {room})
        if not allowed:
            found.append(f"{module}:{line} imports {name}")
    return found


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_the_rows_are_those_of_the_page() -> None:
    page = (ROOT.parent.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    shown = page.split("Imports point down")[1].split("```")[1].splitlines()[1:]
    there = {room_of(name) for name, _ in modules()} - {"__main__"}
    rows = [row & there for row in ROWS]
    assert [set(line.split()) for line in shown] == [set(row) for row in rows if row]


def test_every_room_has_a_row() -> None:
    assert {room_of(name) for name, _ in modules()} - {""} <= set(ROW_OF)


def test_imports_point_down_the_rows_and_guests_stay_in_their_rooms() -> None:
    found = [
        violation
        for name, path in modules()
        for violation in violations(path.read_text(encoding="utf-8"), name, is_package=path.name == "__init__.py")
    ]
    assert found == []


def test_within_streams_imports_point_down_too() -> None:
    row_of = {part: number for number, row in enumerate(STREAMS_ROWS) for part in row}
    prefix = "carillon.streams."
    found = []
    for name, path in modules():
        if not name.startswith(prefix):
            continue
        part = name.split(".")[2]
        for line, other in imported(path.read_text(encoding="utf-8"), name, is_package=path.name == "__init__.py"):
            to = other.removeprefix(prefix).split(".")[0]
            if other.startswith(prefix) and to != part and row_of.get(part, 98) >= row_of.get(to, 99):
                found.append(f"{name}:{line} imports {other}")
    assert found == []


@pytest.mark.parametrize(
    ("module", "source", "lines"),
    [
        ("carillon.tasks.runner", "from carillon.media import decode\nimport carillon.arns\nimport numpy", []),
        ("carillon.tasks.runner", "from carillon import __version__, clock\nfrom . import store", []),
        ("carillon.tasks.runner", "from ..tasks.store import Store", []),
        ("carillon.tasks.runner", "import sqlalchemy\nimport carillon.tasks.store", []),
        ("carillon.aws_clients.clients", "import aiobotocore.session", []),
        ("carillon.tasks.runner", "\nfrom carillon.api import errors", [2]),
        ("carillon.media.pcm", "from carillon.streams import Streams", [1]),
        ("carillon.media.pcm", "from carillon import streams", [1]),
        ("carillon.media.pcm", "from ..streams import Streams", [1]),
        ("carillon.media.pcm", "from .. import streams", [1]),
        ("carillon.errors", "import carillon.clock", [1]),
        ("carillon.storage.database", "def late():\n    from carillon.profiles import Profiles", [2]),
        ("carillon.profiles.index", "import onnxruntime as ort", [1]),
        ("carillon.app", "import boto3\nfrom alembic.config import Config", [1, 2]),
    ],
)
def test_the_check_sees_what_it_should(module: str, source: str, lines: list[int]) -> None:
    assert [int(violation.split(":")[1].split()[0]) for violation in violations(source, module)] == lines


def test_a_package_may_import_its_own_modules_relatively() -> None:
    assert violations("from .store import Store\nfrom . import runner", "carillon.tasks", is_package=True) == []
    assert violations("from ..api import errors", "carillon.tasks", is_package=True) == [
        "carillon.tasks:1 imports carillon.api.errors"
    ]
