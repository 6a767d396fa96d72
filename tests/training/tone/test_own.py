"""`carillon train tone` on recordings whose tone is made: the same people, raised, left as they are, and lowered."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from typer.testing import CliRunner, Result

from carillon.cli import app
from carillon.evaluation.manifest import read_manifest
from carillon.evaluation.tone.clips import ToneModels, answers, people_of
from carillon.inference import Models, ModelSettings
from carillon.inference.tone import LABELS
from carillon.training.tone.clips import UNKNOWN, Clips
from carillon.training.tone.heads import LIGHT
from carillon.training.tone.listening import BANDS, PARTS
from carillon.training.tone.own import LEAST_CLIPS, best, refuse_what_guesses, report_of
from carillon.training.tone.training import TrainingRefused

PEOPLE = (("call_1", 0), ("call_3", 0), ("call_1", 1), ("call_2", 1))
SPEED = {"positive": 1.3, "neutral": 1.0, "negative": 0.75}
"""What is played faster is higher, too."""
CLIP_SECONDS = 2.5
CORPUS = 'made, "as it were"\\'  # people name their corpora as they like


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Path:
    folder = tmp_path_factory.mktemp("labeled")
    rows = []
    for call, channel in PEOPLE:
        samples, rate_hz = soundfile.read(recordings / f"{call}.flac", dtype="float32")
        for valence, speed in SPEED.items():
            played = soxr.resample(samples[:, channel], rate_hz * speed, rate_hz)
            for number, begin in enumerate(_loudest(played, rate_hz, 5)):
                name = f"{call}-{channel}-{valence}-{number}.wav"
                soundfile.write(folder / name, played[begin : begin + round(CLIP_SECONDS * rate_hz)], rate_hz)
                rows.append((name, f"{call}-{channel}", CORPUS, valence, "CC0-1.0", "yes"))
    with (folder / "manifest.csv").open("w", newline="") as file:
        columns = ("path", "speaker", "corpus", "valence", "license", "commercial_use")
        csv.writer(file).writerows([columns, *rows])
    return folder


def _loudest(samples: np.ndarray, rate_hz: int, count: int) -> list[int]:
    """Where somebody speaks: the begins of the loudest stretches."""
    size = round(CLIP_SECONDS * rate_hz)
    power = [float((samples[at : at + size] ** 2).sum()) for at in range(0, len(samples) - size, size)]
    return [place * size for place in sorted(np.argsort(power)[-count:].tolist())]


def _train(folder: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["train", "tone", str(folder), "--out", str(out), "--light", *options])


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("out")
    return out, _train(folder, out, "--name", "made-1", "--json")


def test_a_head_is_written_with_its_card_and_what_it_does_on_people_held_out(trained: tuple[Path, Result]) -> None:
    out, result = trained
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {
        "made_1.onnx",
        "made_1.toml",
        "made_1.md",
        "tone.html",
        "tone.json",
    }
    told = json.loads(result.stdout)
    of_all = [row for row in told["figures"] if row["corpus"] == "all" and row["unit"] == "clip, history"]
    assert {row["band"] for row in of_all} == {"wideband", "telephone"}
    assert min(row["unweighted_average_recall"] for row in of_all) > 0.6
    card = (out / "made_1.md").read_text()
    assert "60 recordings of 4 people" in card
    assert "CC0-1.0" in card
    assert f"CARILLON_INFERENCE_DIRECTORY={out} CARILLON_INFERENCE_TONE=made-1" in result.stderr


def test_a_server_hears_what_the_head_learned(folder: Path, trained: tuple[Path, Result]) -> None:
    out, _ = trained
    models = Models(ModelSettings(directory=str(out), tone="made-1", words="off"))
    ears = ToneModels(models.vad, models.tone, None)
    people = people_of(read_manifest(folder, ("corpus", "valence")))
    right = [
        LABELS[int(np.argmax(answer.after_others[False]))] == answer.clip.recording.labels["valence"]
        for person in people
        for answer in answers(person, "telephone", ears)
        if answer.after_others is not None
    ]
    assert len(right) >= 50  # some hold less than half a second of speech
    assert np.mean(right) > 0.8


def test_too_few_recordings_of_a_tone_are_refused_before_any_is_heard(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "manifest.csv").read_text().splitlines()
    kept = [line for line in lines if "call_3-0-positive" not in line]
    for line in kept[1:]:
        name = line.partition(",")[0]
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "manifest.csv").write_text("\n".join(kept))
    result = _train(tmp_path, tmp_path / "out")
    assert result.exit_code == 1
    assert f"15 recordings of 3 people sound positive; a head needs {LEAST_CLIPS} of 4" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_labels_that_say_nothing_of_the_sound_make_no_head() -> None:
    generator = np.random.default_rng(3)
    count, size = 60, max(part.stop for part in PARTS.values())
    noise: dict[str, Any] = {way: generator.standard_normal((count, size)).astype(np.float32) for way in BANDS}
    speakers = np.array([f"made/{number % 4}" for number in range(count)])
    unknown, names = np.full(count, UNKNOWN), np.array([str(number) for number in range(count)])
    tones, nothing = np.arange(count) % 3, np.full(count, "")
    clips = Clips(noise, tones, unknown, speakers, np.full(count, "made"), nothing, names, np.full(count, 2.0))
    _, trained = best(clips, LIGHT)
    with pytest.raises(TrainingRefused, match="nothing was written"):
        refuse_what_guesses(report_of(Path("made"), clips, trained, "made-1"))
