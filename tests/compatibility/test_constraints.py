"""For every answered operation and every constraint in its model: break it, be refused by name, change nothing."""

import hashlib
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from referee import registry, shapes
from referee.results import Results
from referee.wire import Answer, Wire, write

OPERATIONS = registry.operations()
VALID = {one: write(*one, shapes.valid_input(*one)) for one in OPERATIONS}
WITH_BODY = [one for one, request in VALID.items() if request.body]
BESIDE = ("audit", "lease", "sqlite_")
"""Tables that a refused request may write to: the trail of who asked for what, whose turn it is, SQLite's own."""


@pytest.fixture(scope="module")
def server(start_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that nobody else uses: what changes in its database, a request of this module has changed."""
    return start_server(tmp_path_factory.mktemp("constraints"))


def contents(data_dir: Path) -> str:
    """A digest of every row in the server's database."""
    connection = sqlite3.connect(f"file:{data_dir / 'carillon.db'}?mode=ro", uri=True)
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = [name for name in sorted(names) if not any(word in name for word in BESIDE)]
        rows = [f"{name} {row!r}" for name in kept for row in connection.execute(f"SELECT * FROM {name}")]
    finally:
        connection.close()
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()


def is_refusal(answer: Answer, service: str) -> bool:
    return (answer.status, answer.error) == (400, shapes.REFUSAL[shapes.model(service).signing_name])


def faults(answer: Answer, service: str, broken: shapes.Broken) -> list[str]:
    """What is wrong with the answer to a broken request."""
    if not is_refusal(answer, service):
        return [f"{broken}: answered {answer.status} {answer.error} {answer.message}"]
    if not answer.message.startswith(f"{broken.where}:"):
        return [f"{broken}: refused for another reason: {answer.message}"]
    return []


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_each_broken_constraint_is_refused_by_name_and_changes_nothing(
    server: Any, wire: Wire, results: Results, service: str, name: str
) -> None:
    cases = list(shapes.broken_inputs(service, name))
    before = contents(server.data_dir)
    found = [fault for broken in cases for fault in faults(wire.call(service, name, broken.input), service, broken)]
    assert not found, f"{len(found)} of {len(cases)}:\n" + "\n".join(found[:40])
    assert contents(server.data_dir) == before
    results.refused(service, name, len(cases))


@pytest.mark.parametrize(("service", "name"), WITH_BODY)
@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"7", b"\xff", b'{"a":1}x', b"[" * 5000])
def test_a_body_that_is_no_json_object_is_refused(
    server: Any, wire: Wire, service: str, name: str, body: bytes
) -> None:
    valid = VALID[service, name]
    before = contents(server.data_dir)
    answer = wire.send(replace(valid, body=body))
    assert is_refusal(answer, service), answer
    assert "JSON" in answer.message
    assert contents(server.data_dir) == before


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_the_valid_request_that_the_broken_ones_are_made_from_passes_the_model(
    wire: Wire, service: str, name: str
) -> None:
    shape = shapes.operation(service, name).input_shape
    answer = wire.send(VALID[service, name])
    assert answer.status < 500
    members = shape.members if shape is not None else {}
    assert answer.message.partition(":")[0].partition(".")[0].partition("[")[0] not in members, answer.message
