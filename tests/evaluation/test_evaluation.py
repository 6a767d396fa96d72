"""The evaluation commands on a folder of real recordings."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

from carillon.evaluation import SpeakerReport, show
from carillon.evaluation.manifest import BadManifest, read_manifest
from carillon.evaluation.speaker import SpeakerFigures


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Path:
    """The customers of the three calls, cut into recordings of 10 s: two people, three sessions."""
    folder = tmp_path_factory.mktemp("people")
    with (folder / "manifest.csv").open("w", newline="") as file:
        manifest = csv.writer(file)
        manifest.writerow(["path", "speaker", "valence", "corpus"])
        for call, speaker in (("call_1", "anna"), ("call_2", "anna"), ("call_3", "ben")):
            samples, rate_hz = soundfile.read(recordings / f"{call}.flac")
            for part in range(2):
                name = f"{call}-{part}.wav"
                soundfile.write(folder / name, samples[part * 10 * rate_hz : (part + 1) * 10 * rate_hz, 0], rate_hz)
                manifest.writerow([name, speaker, "neutral", "audiobook"])
    return folder


def test_people_are_known_apart(carillon: Any, people: Path) -> None:
    report = json.loads(carillon("eval", "speaker", str(people), "--json").stdout)
    assert {(row["band"], row["seconds"]) for row in report["figures"]} >= {("wideband", 3), ("telephone", 5)}
    for row in report["figures"]:
        assert row["speakers"] == 2
        assert row["equal_error_rate"] < 0.1
        assert row["rank_1"] > 0.9


def test_tone_is_judged_clip_by_clip(carillon: Any, people: Path) -> None:
    report = json.loads(carillon("eval", "tone", str(people), "--json").stdout)
    assert {(row["band"], row["corpus"]) for row in report["figures"]} == {
        (band, corpus) for band in ("wideband", "telephone") for corpus in ("audiobook", "all")
    }
    for row in report["figures"]:
        assert row["clips"] + row["skipped"] == 6
        assert sum(map(sum, row["confusion"])) == row["clips"]
        assert 0 <= row["unweighted_average_recall"] <= 1


def test_without_json_a_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    figures = SpeakerFigures("telephone", 5, 2, 8, 12, 0.0125, 0.975)
    show(SpeakerReport("people", "some-model", [figures]), as_json=False)
    said = capsys.readouterr().out
    assert "1.25%" in said
    assert "97.5%" in said


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "has no manifest.csv"),
        ("path,name\na.wav,anna\n", "speaker"),
        ("path,speaker\n", "at least one line"),
        ("path,speaker\nnowhere.wav,anna\n", r"nowhere\.wav"),
    ],
)
def test_a_folder_that_cannot_be_evaluated_says_why(tmp_path: Path, text: str | None, named: str) -> None:
    if text is not None:
        (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(BadManifest, match=named):
        read_manifest(tmp_path, ())


def test_an_unknown_valence_is_refused(carillon: Any, tmp_path: Path, people: Path) -> None:
    name = next(people.glob("*.wav"))
    (tmp_path / "manifest.csv").write_text(f"path,speaker,valence,corpus\n{name},anna,happy,x\n")
    done = carillon("eval", "tone", str(tmp_path), check=False)
    assert done.returncode == 1
    assert "negative, neutral, positive" in " ".join(done.stderr.split())
