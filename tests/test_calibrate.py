"""`carillon calibrate` on real recordings: far too few of them, which it must say."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

from carillon.calibrate import calibrate
from carillon.config import load
from carillon.evaluation import CalibrationRefused

pytestmark = pytest.mark.usefixtures("embeds_once")

CALLERS = (("call_1", 0, "19"), ("call_2", 0, "19"), ("call_3", 0, "26"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Path:
    folder = tmp_path_factory.mktemp("people")
    rows = [("path", "speaker")]
    for call, channel, speaker in CALLERS:
        samples, rate_hz = soundfile.read(recordings / f"{call}.flac")
        name = f"{call}.wav"
        soundfile.write(folder / name, samples[: 20 * rate_hz, channel], rate_hz)
        rows.append((name, speaker))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def test_too_few_calls_are_measured_and_refused(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CalibrationRefused, match="too few"):
        calibrate(people, load(tmp_path, None, {}), None, chosen={}, as_json=True, threads=2)
    report = json.loads(capsys.readouterr().out)
    telephone = [row for row in report["fits"] if row["channel"] == "tel" and row["seconds"] == 3]
    assert [(row["verdict"], row["people"], row["line"]) for row in telephone] == [("too little", 2, None)]
    assert list(tmp_path.iterdir()) == []


def test_the_command_shows_the_scores_before_it_refuses(carillon: Any, people: Path, tmp_path: Path) -> None:
    done = carillon("calibrate", str(people), "--data-dir", str(tmp_path), check=False)
    assert done.returncode == 1
    assert "one person" in done.stdout
    assert "too few" in " ".join(done.stderr.split())
