"""boto3 and the AWS CLI, unmodified, run the worked session; every operation of the registry is in it."""

import os
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from referee import registry
from referee.clients import Boto3, Cli
from referee.results import Results
from referee.session import Session

COVERED = {f"{service} {operation}" for service, operation in registry.operations()}


@pytest.fixture
def push(patient_server: Any, carillon: Any, recordings: Path) -> Callable[[str], None]:
    def stream(name: str) -> None:
        file = recordings / "call_1.flac"
        carillon("push", str(file), "--stream", name, "--speed", "8", **patient_server.environment)

    return stream


def test_boto3_runs_the_worked_session(patient_server: Any, results: Results, push: Callable[[str], None]) -> None:
    called = set()

    def note(service: str, operation: str) -> None:
        called.add(f"{service} {operation}")
        results.passed("boto3", service, operation)

    Session(Boto3(cache(patient_server.client), note), f"boto3-{uuid.uuid4().hex[:8]}", COVERED, push).run()
    assert called == COVERED, "the session must call every operation of the registry"


def test_the_aws_cli_runs_the_worked_session(
    patient_server: Any, results: Results, push: Callable[[str], None], tmp_path: Path
) -> None:
    called = set()

    def note(service: str, operation: str) -> None:
        called.add(f"{service} {operation}")
        results.passed("AWS CLI", service, operation)

    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARILLON_"))}
    with Cli.running({**inherited, **patient_server.environment}, tmp_path, note) as cli:
        Session(cli, f"cli-{uuid.uuid4().hex[:8]}", COVERED, push).run()
    assert called == COVERED
