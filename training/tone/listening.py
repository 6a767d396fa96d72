"""Recordings to features, exactly as a live call would hear them, and through everything that training adds.

The speech gate hears every recording twice, in wideband and through a telephone; what else a head is trained on is made
from the wideband speech: noise, gain and another speed, then perhaps a telephone. Every random choice is seeded by the
name of the recording, so the same folder gives the same features in any order and on any number of threads.
"""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from carillon.analysis.speech import speech_of
from carillon.analysis.speech.telephone import RATE_HZ, through_telephone, twin_of
from carillon.audio import MODEL_RATE_HZ, Pcm, Pcm16, from_pcm16, to_pcm16
from carillon.evaluation.manifest import Recording
from carillon.inference.catalog import Catalog
from carillon.inference.prosody import prosody
from carillon.inference.speaker import SpeakerEncoder
from carillon.inference.tone import LEAST_SAMPLES, SpeechFeatures, leveled
from carillon.inference.vad import SileroVad

Features: TypeAlias = npt.NDArray[np.float32]
Band: TypeAlias = Literal["wideband", "telephone"]

BANDS: Final[Sequence[Band]] = ("wideband", "telephone")
CHANGES: Final = ("noise", "noise, telephone", "speed", "speed, noise, telephone")
"""What is added to both bands in training."""

PARTS: Final = {"hidden": slice(0, 1536), "prosody": slice(1536, 1677), "voice": slice(1677, 1933)}
"""Where each description lies in the features."""

_VERSION: Final = 1  # of what is below: a cache of another version is not read
_MOST_SAMPLES: Final = 5 * MODEL_RATE_HZ  # what a live call judges at once
_NOISE_DB: Final = (10.0, 25.0)  # of speech over noise
_GAIN_DB: Final = (-38.0, -16.0)  # of speech, RMS: quiet enough that mu-law is heard, or loud enough that peaks are cut
_SPEED: Final = 0.15  # natural logarithm, one for each speaker: other vocal tracts, other pitch
_PINK_SHARE: Final = 0.4  # of the noise; the rest are sounds of everyday life


class Listener:
    """Everything that heads can hear, of many recordings at once.

    Args:
        noises: a folder of folders of sounds to mix in, FLAC; one named `room` is none.
        cache: a folder to keep features in; None to compute them always.
    """

    def __init__(self, noises: Path, cache: Path | None) -> None:
        catalog = Catalog()
        self._vad = SileroVad(catalog.find("silero-vad-6-16k", "vad"))
        self._hidden = SpeechFeatures(catalog.find("whisper-tiny-en-layers-2-3", "encoder"))
        self._voice = SpeakerEncoder(catalog.find("wespeaker-resnet34-lm-by-band", "speaker"))
        self._noises = [_sound(file) for file in sorted(noises.glob("*/*.flac")) if file.parent.name != "room"]
        self._cache = cache

    def speech(self, recordings: Sequence[Recording], band: Band) -> list[Pcm16]:
        """Return the first 5 s of what the speech gate lets through, at 16 kHz, of every recording."""
        lengths, joined = self._cached(f"speech, {band}", recordings, partial(self._gated, recordings, band))
        return np.split(joined, np.cumsum(lengths)[:-1])

    def features(self, recordings: Sequence[Recording], speech: Sequence[Pcm16], change: str) -> Features:
        """Describe speech of 0.5 s and more, after a change, as (n, 1933)."""
        described = partial(self._described, recordings, speech, change)
        (features,) = self._cached(change, recordings, lambda: (described(),))
        return features

    def _gated(self, recordings: Sequence[Recording], band: Band) -> tuple[npt.NDArray[np.int64], Pcm16]:
        def hear(recording: Recording) -> Pcm16:
            samples, rate_hz = recording.read()
            if band == "telephone":
                samples, rate_hz = through_telephone(samples, rate_hz), RATE_HZ
            return speech_of(samples, rate_hz, self._vad)[:_MOST_SAMPLES]

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(hear, recordings))
        return np.array([len(item) for item in found]), np.concatenate(found)

    def _described(self, recordings: Sequence[Recording], speech: Sequence[Pcm16], change: str) -> Features:
        def describe(recording: Recording, heard: Pcm16) -> Features:
            even = leveled(self._changed(from_pcm16(heard), recording, change)[:_MOST_SAMPLES])
            return np.concatenate([self._hidden.of(even), prosody(even), self._voice.uncentered(even)])

        with ThreadPoolExecutor(2) as pool:
            return np.array(list(pool.map(describe, recordings, speech)), np.float32)

    def _changed(self, speech: Pcm, recording: Recording, change: str) -> Pcm:
        generator = np.random.default_rng(zlib.crc32(f"{recording.labels['path']} {change}".encode()))
        if "speed" in change:
            of_speaker = np.random.default_rng(zlib.crc32(f"{recording.speaker} {change}".encode()))
            speech = _at_speed(speech, float(np.exp(of_speaker.uniform(-_SPEED, _SPEED))))
        if "noise" in change:
            speech = self._noisy(speech, generator)
        return from_pcm16(twin_of(to_pcm16(speech))) if change.endswith(", telephone") else speech

    def _noisy(self, speech: Pcm, generator: np.random.Generator) -> Pcm:
        if generator.random() < _PINK_SHARE:
            noise = _pink(len(speech), generator)
        else:
            sound = self._noises[generator.integers(len(self._noises))]
            noise = np.resize(np.roll(sound, generator.integers(len(sound))), len(speech))
        level = 10 ** (-generator.uniform(*_NOISE_DB) / 20)
        gain = 10 ** (generator.uniform(*_GAIN_DB) / 20)
        noisy: Pcm = ((_unit(speech) + level * _unit(noise)) * gain).clip(-1, 1).astype(np.float32)
        return noisy

    def _cached(
        self, what: str, recordings: Sequence[Recording], compute: Callable[[], Sequence[npt.NDArray[np.generic]]]
    ) -> Sequence[npt.NDArray[np.generic]]:
        if self._cache is None:
            return compute()
        names = "\n".join(str(recording.path.resolve()) for recording in recordings)
        key = hashlib.sha256(f"{_VERSION}\n{what}\n{names}".encode()).hexdigest()[:16]
        file = self._cache / f"{what.replace(', ', '-')}-{key}.npz"
        if not file.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            np.savez(file, *compute())
        with np.load(file) as found:
            return [found[name] for name in found.files]


def long_enough(speech: Sequence[Pcm16]) -> npt.NDArray[np.bool_]:
    """Tell of which recordings there is enough to judge, at any speed that training uses."""
    least = LEAST_SAMPLES * float(np.exp(_SPEED)) + 1
    return np.array([len(item) >= least for item in speech])


def _sound(file: Path) -> Pcm:
    samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    resampled: Pcm = soxr.resample(samples.mean(axis=1), rate_hz, MODEL_RATE_HZ)
    return resampled


def _at_speed(speech: Pcm, factor: float) -> Pcm:
    changed: Pcm = soxr.resample(speech, MODEL_RATE_HZ * factor, MODEL_RATE_HZ)
    return changed


def _pink(length: int, generator: np.random.Generator) -> Pcm:
    """Return (length,) noise with equal power in every octave."""
    spectrum = np.fft.rfft(generator.standard_normal(length))
    return np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1.0), length).astype(np.float32)


def _unit(samples: Pcm) -> Pcm:
    """Bring (n,) samples to a mean power of 1."""
    scaled: Pcm = (samples / np.sqrt(np.mean(samples**2) + 1e-12)).astype(np.float32)
    return scaled
