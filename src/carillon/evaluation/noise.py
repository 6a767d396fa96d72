"""Noise to speak against, made from the evaluated folder itself: pink noise, and other people of the folder talking.

Seeded by the name of each recording, so a folder sounds the same every time and on any number of threads.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import soxr

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.evaluation.manifest import ManifestRecording

NOISE_DB: Final = 10.0
"""Level of a recording over its noise."""

_TALKERS: Final = 6
_LEAST_TALKERS: Final = 4  # of whom fewer are heard as a person and not as a crowd
_POOL: Final = 24
_POOL_SECONDS: Final = 10


class Noise:
    """Mixes recordings with noise: pink, and as loud a babble of people other than the speaker if there are enough.

    Args:
        recordings: where the babble comes from; up to 24 people are kept, 10 s of each.
    """

    def __init__(self, recordings: Sequence[ManifestRecording]) -> None:
        first = {recording.speaker: recording for recording in reversed(recordings)}
        names = np.random.default_rng(len(first)).permutation(sorted(first))[:_POOL]
        self._talk: Mapping[str, Pcm] = {str(name): _short(first[str(name)]) for name in names}

    def over(self, samples: Pcm, rate_hz: int, speaker: str, name: str) -> Pcm:
        """Return (n,) samples with noise 10 dB below their mean power; the same for the same name."""
        if not len(samples):
            return samples
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        noise = _unit(_pink(len(samples), generator))
        others = [talk for other, talk in self._talk.items() if other != speaker and talk.any()]
        if len(others) >= _LEAST_TALKERS:
            noise = _unit(noise + _unit(_babble(others, len(samples), rate_hz, generator)))
        mixed: Pcm = samples + noise * np.sqrt(np.mean(samples**2)) * np.float32(10.0 ** (-NOISE_DB / 20.0))
        return mixed


def _short(recording: ManifestRecording) -> Pcm:
    samples, rate_hz = recording.read()
    short: Pcm = soxr.resample(samples[: _POOL_SECONDS * rate_hz], rate_hz, MODEL_RATE_HZ)
    return short


def _pink(length: int, generator: np.random.Generator) -> Pcm:
    """Return (length,) noise with equal power in every octave."""
    spectrum = np.fft.rfft(generator.standard_normal(length))
    return np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1.0), length).astype(np.float32)


def _babble(talks: Sequence[Pcm], length: int, rate_hz: int, generator: np.random.Generator) -> Pcm:
    """Return (length,) of several people at the same level, each from a random place, over and over."""
    babble = np.zeros(length, np.float32)
    for number in generator.permutation(len(talks))[:_TALKERS]:
        talk: Pcm = soxr.resample(talks[number], MODEL_RATE_HZ, rate_hz)
        babble += _unit(np.resize(np.roll(talk, int(generator.integers(len(talk)))), length))
    return babble


def _unit(samples: Pcm) -> Pcm:
    """Bring (n,) samples, not all zero, to a mean power of 1."""
    scaled: Pcm = (samples / np.sqrt(np.mean(samples**2) + 1e-12)).astype(np.float32)
    return scaled
