"""The README's tour, word for word, with the AWS CLI as it comes from PyPI."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def _tour() -> str:
    """Every sh block of the README after the marker, in order."""
    text = (ROOT / "README.md").read_text().split("<!-- tour", 1)[1]
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


@pytest.mark.timeout(240)
def test_the_aws_cli_runs_the_tour(start_server: Any, tmp_path: Path) -> None:
    server = start_server(tmp_path / "data")
    binaries = Path(sys.executable).parent
    script = _tour().replace("--data-dir ./data", f"--data-dir {server.data_dir}")
    assert script.count("aws ") == 10
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARILLON_"))},
            **server.environment,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "AWS_PAGER": "",
            "HOME": str(tmp_path),
        },
    )
    assert done.returncode == 0, done.stderr
    for said in (
        "IdentificationNoMatchesFound",
        "VoiceprintGenerationSuccess",
        "VoiceToneAnalysisSuccessful",
        '"VoiceProfileId": "vp-',
        '"SpeakerSearchTaskStatus": "Stopped"',
    ):
        assert said in done.stdout, done.stdout
