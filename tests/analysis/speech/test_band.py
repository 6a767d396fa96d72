from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from carillon.analysis.speech import band_of
from carillon.analysis.speech.telephone import through_telephone
from carillon.audio import to_pcm16

RECORDINGS = sorted((Path(__file__).parents[2] / "data").glob("*.flac"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_voice_is_told_from_the_same_voice_on_the_telephone(path: Path) -> None:
    samples, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == 16_000
    narrow = soxr.resample(through_telephone(samples, rate_hz), 8_000, 16_000)
    assert band_of(to_pcm16(samples)) == "wb"
    assert band_of(to_pcm16(narrow)) == "tel"


@pytest.mark.parametrize("samples", [np.zeros(0, np.int16), np.zeros(511, np.int16), np.zeros(16_000, np.int16)])
def test_nothing_and_silence_count_as_telephone(samples: np.ndarray) -> None:
    assert band_of(samples) == "tel"
