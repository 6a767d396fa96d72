"""Models that are exact and quick, the real ones, and calls to feed them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from carillon.analysis.tone.averages import PRIOR, judgments
from carillon.audio import Embedding, Pcm
from carillon.inference import AcousticJudgment, Models, Probabilities, SpeakerBaseline, VadState, WordsJudgment

DATA = Path(__file__).parents[1] / "data"


class LoudnessVad:
    """Loud is speech; a little of the windows before counts too, so that a state that is lost or mixed up shows."""

    def push(self, frames: Pcm, state: VadState) -> tuple[Pcm, VadState]:
        found = []
        for frame in frames:
            loudness = np.float32(np.abs(frame).mean()) + np.float32(0.1) * state.memory[0, 0, 0]
            memory = state.memory.copy()
            memory[0, 0, 0] = loudness
            state = VadState(memory, frame[-64:])
            found.append(min(loudness * 10, 1.0))
        return np.array(found, np.float32), state


class SpectrumSpeaker:
    """Embeds the average spectrum; counts how much it was asked to embed."""

    def __init__(self, model_id: str = "spectrum") -> None:
        self.id = model_id
        self.heard: list[int] = []

    def embed(self, speech: Pcm, band: str) -> Embedding:
        self.heard.append(len(speech))
        spectrum = np.abs(np.fft.rfft(speech, 64_000))[:64].astype(np.float32) + np.float32(1e-6)
        return spectrum / np.linalg.norm(spectrum)


class LoudnessTone:
    """Loud is negative, soft is positive; remembers how much it was asked to judge at a time."""

    id = "loudness"

    def __init__(self) -> None:
        self.heard: list[int] = []

    def judge(self, speech: Pcm, baseline: SpeakerBaseline) -> tuple[AcousticJudgment, SpeakerBaseline]:
        self.heard.append(len(speech))
        loudness = min(float(np.abs(speech).mean()), 1.0)
        usual = np.append(baseline.mean, np.float32(loudness))[-2:]  # the last two: a lost baseline shows
        negative = loudness * 0.7
        return AcousticJudgment((negative, 0.3, 0.7 - negative), float(usual[0])), SpeakerBaseline(
            baseline.seconds + len(speech), usual
        )


class CountingWords:
    """Understands as many words as there are half seconds; long is positive. Remembers how much it heard at a time."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def judge(self, speech: Pcm) -> WordsJudgment:
        self.heard.append(len(speech))
        count = len(speech) // 8_000
        return WordsJudgment(" ".join(["word"] * count), count, (0.1, 0.9 - count / 40, count / 40))


@pytest.fixture
def together() -> Callable[..., Probabilities]:
    """Return what pairs of seconds of speech and their probabilities say together, in the plainest way."""

    def put_together(*said: tuple[float, Probabilities]) -> Probabilities:
        seconds = sum(length for length, _ in said)
        logs = np.array([length * np.log(probabilities) for length, probabilities in said]).sum(axis=0) / seconds
        powers = np.array(PRIOR) * np.exp(judgments(seconds) * logs)
        negative, neutral, positive = (powers / powers.sum()).tolist()
        return negative, neutral, positive

    return put_together


@pytest.fixture
def vad() -> LoudnessVad:
    return LoudnessVad()


@pytest.fixture
def speaker() -> SpectrumSpeaker:
    return SpectrumSpeaker()


@pytest.fixture
def tone() -> LoudnessTone:
    return LoudnessTone()


@pytest.fixture
def words() -> CountingWords:
    return CountingWords()


@pytest.fixture(scope="session")
def models() -> Models:
    """Every model that ships."""
    return Models()


@pytest.fixture(scope="session")
def voice() -> Pcm:
    """11.8 s of LibriSpeech speaker 3331, 16 kHz, about 11 s of it speech."""
    parts = [soundfile.read(DATA / f"3331-159605-000{i}.flac", dtype="float32")[0] for i in (2, 3)]
    return np.concatenate(parts)


Call = Callable[..., Pcm]


@pytest.fixture(scope="session")
def call() -> Call:
    """Make a call of noise bursts and silence: pairs of (seconds, loudness), at a rate."""

    def make(*parts: tuple[float, float], rate_hz: int = 8_000, seed: int = 1) -> Pcm:
        generator = np.random.default_rng(seed)
        noise = [generator.uniform(-2 * loud, 2 * loud, round(seconds * rate_hz)) for seconds, loud in parts]
        return np.concatenate(noise).astype(np.float32)

    return make


Same = Callable[[Iterable[Any]], list[Any]]


@pytest.fixture(scope="session")
def bits() -> Same:
    """Turn findings into plain values that are equal only if every bit is."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.shape, value.tobytes()
        if is_dataclass(value):
            return type(value).__name__, [plain(getattr(value, item.name)) for item in fields(value)]
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    return lambda findings: [plain(finding) for finding in findings]


Cuts = Callable[[Pcm, Sequence[int]], list[Pcm]]


@pytest.fixture(scope="session")
def cut() -> Cuts:
    """Cut samples into runs of the given lengths, again and again until nothing is left."""

    def pieces(samples: Pcm, lengths: Sequence[int]) -> list[Pcm]:
        found, at, number = [], 0, 0
        while at < len(samples):
            length = lengths[number % len(lengths)]
            found.append(samples[at : at + length])
            at, number = at + length, number + 1
        return found

    return pieces
