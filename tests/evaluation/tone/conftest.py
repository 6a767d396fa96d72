"""Judges that are exact and quick: a tone's pitch is its label, and loud is speech."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from carillon.audio import Pcm
from carillon.evaluation.manifest import read_manifest
from carillon.evaluation.tone.clips import Person, ToneModels, people_of
from carillon.inference import AcousticJudgment, Probabilities, SpeakerBaseline, VadState, WordsJudgment

HZ = {"negative": 500, "neutral": 1_000, "positive": 2_000}
SURE: dict[str, Probabilities] = {"negative": (0.8, 0.1, 0.1), "neutral": (0.1, 0.8, 0.1), "positive": (0.1, 0.1, 0.8)}


class LoudnessVad:
    """Loud is speech."""

    def push(self, frames: Pcm, state: VadState) -> tuple[Pcm, VadState]:
        return (np.abs(frames).mean(axis=1) > 0.02).astype(np.float32), state


class PitchTone:
    """Pitch is tone; remembers how much it was asked to judge at a time, and what it knew of the speaker."""

    id = "by-pitch"

    def __init__(self) -> None:
        self.heard: list[tuple[float, float]] = []

    def judge(self, speech: Pcm, baseline: SpeakerBaseline, /) -> tuple[AcousticJudgment, SpeakerBaseline]:
        seconds = len(speech) / 16_000
        self.heard.append((seconds, baseline.seconds))
        strongest = np.abs(np.fft.rfft(speech)).argmax() / seconds
        label = min(HZ, key=lambda label: abs(HZ[label] - strongest))
        return AcousticJudgment(SURE[label], 0.5), SpeakerBaseline(baseline.seconds + seconds, np.zeros(1, np.float32))


class GladWords:
    """Understands that everything is wonderful."""

    def __init__(self) -> None:
        self.heard: list[float] = []

    def judge(self, speech: Pcm, /) -> WordsJudgment:
        self.heard.append(len(speech) / 16_000)
        return WordsJudgment("wonderful <&>", 1, (0.0, 0.0, 1.0))


@pytest.fixture
def tone() -> PitchTone:
    return PitchTone()


@pytest.fixture
def words() -> GladWords:
    return GladWords()


@pytest.fixture
def ears(tone: PitchTone, words: GladWords) -> ToneModels:
    return ToneModels(LoudnessVad(), tone, words)


MakePeople = Callable[..., list[Person]]


@pytest.fixture
def people(tmp_path: Path) -> MakePeople:
    """Write clips, (speaker, valence, seconds) and perhaps more columns, at a rate; return who they are of."""

    def make(*clips: tuple[str, ...], columns: tuple[str, ...] = (), rate_hz: int = 16_000) -> list[Person]:
        rows = []
        for number, (speaker, valence, seconds, *rest) in enumerate(clips):
            times = np.arange(round(float(seconds) * rate_hz)) / rate_hz
            name = f"{number}.wav"
            soundfile.write(tmp_path / name, 0.3 * np.sin(2 * np.pi * HZ[valence] * times), rate_hz)
            rows.append((name, speaker, valence, "acted", *rest))
        with (tmp_path / "manifest.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("path", "speaker", "valence", "corpus", *columns), *rows])
        return people_of(read_manifest(tmp_path, ("valence", "corpus")))

    return make
