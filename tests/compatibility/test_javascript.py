"""The AWS SDK for JavaScript v3, unmodified, runs the worked session. `make test` installs it; no test downloads."""

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

from referee import registry
from referee.results import Results

COVERED = {f"{service} {operation}" for service, operation in registry.operations()}
FOLDER = Path(__file__).parent / "js"


def test_the_javascript_sdk_runs_the_worked_session(
    node: str, program: str, patient_server: Any, results: Results, recordings: Path
) -> None:
    name = f"js-{uuid.uuid4().hex[:12]}"
    push = [program, "push", str(recordings / "call_1.flac"), "--stream", name, "--speed", "8"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARILLON_"))}
    asked = {"COVERED": json.dumps(sorted(COVERED))}
    done = subprocess.run(
        [node, str(FOLDER / "session.mjs"), name, *push],
        capture_output=True,
        text=True,
        timeout=250,
        env={**inherited, **patient_server.environment, "AWS_EC2_METADATA_DISABLED": "true", **asked},
    )
    assert done.returncode == 0, f"{done.stdout[-500:]}\n{done.stderr[-3000:]}"
    called = [json.loads(line) for line in done.stdout.splitlines()]
    assert {f"{one['service']} {one['operation']}" for one in called} == COVERED
    for one in called:
        results.passed("JavaScript SDK v3", one["service"], one["operation"])


def test_the_lock_names_no_host_to_download_from() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    assert all("resolved" not in package for package in lock["packages"].values())
    assert all("integrity" in package for path, package in lock["packages"].items() if path)
