"""The models that ship, and three real recordings."""

from pathlib import Path

import pytest
import soundfile

from carillon.audio import Pcm
from carillon.inference import Models, WordsClassifier

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def models() -> Models:
    """Every model that ships."""
    return Models()


def _recording(name: str) -> Pcm:
    samples, rate_hz = soundfile.read(DATA / f"{name}.flac", dtype="float32")
    assert rate_hz == 16_000
    return samples


@pytest.fixture(scope="session")
def anna() -> Pcm:
    """6.2 s of LibriSpeech speaker 3331."""
    return _recording("3331-159605-0002")


@pytest.fixture(scope="session")
def anna_again() -> Pcm:
    """5.6 s more of the same speaker."""
    return _recording("3331-159605-0003")


@pytest.fixture(scope="session")
def bert() -> Pcm:
    """6.8 s of LibriSpeech speaker 2414."""
    return _recording("2414-128291-0007")


@pytest.fixture(scope="session")
def words(models: Models) -> WordsClassifier:
    """Speech recognition and sentiment; the development environment has the extra."""
    assert models.words is not None, models.words_missing
    return models.words
