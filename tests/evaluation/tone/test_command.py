"""`carillon eval tone` with the models that ship, on a few real recordings."""

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in two corpora, at three rates, one of them in stereo; and one clip of a click."""
    made = tmp_path_factory.mktemp("acted")
    lines = ["path,speaker,valence,corpus,team"]
    for name, valence, rate_hz in (
        ("3331-159605-0002", "neutral", 16_000),
        ("3331-159605-0003", "negative", 22_050),
        ("2414-128291-0007", "neutral", 8_000),
    ):
        samples, own_hz = soundfile.read(DATA / f"{name}.flac", dtype="float32")
        heard = soxr.resample(samples, own_hz, rate_hz)
        soundfile.write(made / f"{name}.wav", heard if rate_hz != 22_050 else [[x, x] for x in heard], rate_hz)
        lines.append(f"{name}.wav,{name[:4]},{valence},{'EmoDB' if name[0] == '3' else 'books'},1")
    soundfile.write(made / "click.wav", [0.9] * 100, 16_000)
    (made / "manifest.csv").write_text("\n".join([*lines, "click.wav,3331,neutral,EmoDB,2"]))
    return made


def test_a_folder_is_measured(carillon: Any, folder: Path, tmp_path: Path) -> None:
    done = carillon("eval", "tone", str(folder), "--no-words", "--json", "--report", str(tmp_path))
    said = json.loads(done.stdout)
    assert said["recordings"] == 4
    assert said["known"] == ["EmoDB"]
    assert said["warnings"]
    rows = {(row["band"], row["unit"], row["corpus"]): row for row in said["figures"]}
    assert {row["inputs"] for row in said["figures"]} == {"acoustics"}
    heard = rows["wideband", "clip", "EmoDB"]
    assert (heard["judged"], heard["skipped"]) == (2, 1)
    assert ("wideband", "clip", "books") not in rows, "8 kHz is no wideband"
    everyone = rows["telephone", "clip, history", "all"]
    assert (everyone["judged"], everyone["speakers"]) == (3, 2)
    assert 0 <= everyone["ece"] <= 1
    assert rows["telephone", "window", "all"]["judged"] == 0
    assert rows["telephone", "window", "all"]["skipped"] == 3
    assert (tmp_path / "tone.html").read_text().startswith("<!doctype html>")


def test_lines_and_the_model_are_chosen(carillon: Any, folder: Path) -> None:
    done = carillon("eval", "tone", str(folder), "--model", "no-such-head", check=False)
    assert done.returncode == 1
    assert "no tone model 'no-such-head'" in " ".join(done.stderr.split())
    done = carillon("eval", "tone", str(folder), "--where", "team=2", "--without", "3331", check=False)
    assert done.returncode == 1
    assert "Nobody is left" in done.stderr


def test_an_unknown_valence_is_refused(carillon: Any, folder: Path, tmp_path: Path) -> None:
    name = next(folder.glob("*.wav"))
    (tmp_path / "manifest.csv").write_text(f"path,speaker,valence,corpus\n{name},anna,happy,x\n")
    done = carillon("eval", "tone", str(tmp_path), check=False)
    assert done.returncode == 1
    assert "negative, neutral, positive" in " ".join(done.stderr.split())


def test_the_help_says_that_held_out_figures_come_from_elsewhere(carillon: Any) -> None:
    assert "training/tone" in " ".join(carillon("eval", "tone", "--help").stdout.split())
