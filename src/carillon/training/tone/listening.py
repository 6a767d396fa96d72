"""Recordings to features, exactly as a live call would hear them, and through everything that training adds.

The speech gate hears every recording twice, in wideband and through a telephone. What else a head is trained on is made
from the wideband speech: another speed, a room, another microphone, noise, then perhaps a telephone. Moods and calm
speech go through the same ones, so that a head cannot learn the line instead of the tone. Every random choice is seeded
by the name of the recording: the same folder gives the same features in any order and on any number of threads.
"""

import hashlib
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr
from scipy.signal import fftconvolve, firwin2

from carillon.analysis.speech import speech_of
from carillon.analysis.speech.telephone import RATE_HZ, narrowband_of, through_telephone
from carillon.audio import MODEL_RATE_HZ, Pcm, Pcm16, from_pcm16, to_pcm16
from carillon.evaluation.manifest import ManifestRecording
from carillon.evaluation.pieces import BandName
from carillon.inference.catalog import ModelCatalog
from carillon.inference.prosody import NUMBERS, prosody
from carillon.inference.tone import LEAST_SAMPLES, Source, SpeechFeatures, VoiceFeatures, leveled
from carillon.inference.vad import SileroVad
from carillon.media import opened

Features: TypeAlias = npt.NDArray[np.float32]

BANDS: Final[Sequence[BandName]] = ("wideband", "telephone")
CHANGES: Final = ("noise", "noise-tel", "speed-noise-tel", "speed")
"""What is added to both bands in training; `noise` stands for rooms, microphones, noise and gain."""

HIDDEN: Final = "whisper-tiny-en-layers-2-3"
LAYER_2: Final = "whisper-tiny-en-layer-2"
VOICE: Final = "campplus-zh-en-voice"
PARTS: Final = {
    "hidden": slice(0, 1536),
    "layer_2": slice(0, 768),
    "prosody": slice(1536, 1536 + NUMBERS),
    "voice": slice(1536 + NUMBERS, 1536 + NUMBERS + 256),
}
"""Where each description lies in the features. What `layer_2` is, is the first part of `hidden`."""

ALL_PARTS: Final = ("hidden", "prosody", "voice")

_VERSION: Final = 3  # of what is below: a cache of another version is not read
_MOST_SAMPLES: Final = 5 * MODEL_RATE_HZ  # what a live call judges at once
_SPEED: Final = 0.15  # natural logarithm, one for each speaker: other vocal tracts, other pitch
_GAIN_DB: Final = (-38.0, -16.0)  # of speech, RMS: quiet enough that mu-law is heard, or loud enough that peaks are cut
_NOISE_DB: Final = (8.0, 30.0)  # of speech over noise
_CHANNEL_HZ: Final = (0, 150, 400, 900, 1800, 3200, 5000, 8000)
_CHANNEL_TAPS: Final = 257
_ROOM_SAMPLES: Final = MODEL_RATE_HZ // 2
_ROOM_DECAY: Final = (600.0, 6000.0)  # samples in which a room's echo falls to 1/e


class FeatureExtractor:
    """Everything that heads can hear, of many recordings at once.

    Args:
        noises: a folder of folders of sounds to mix in, wav or flac; one named `room` holds a room's impulse response.
            None: noise is pink, and the room is a decaying noise.
        cache: a folder to keep features in; None to compute them always.
        threads: recordings that are heard at the same time.
        parts: which descriptions are needed, of `PARTS`; the others are 0.
    """

    def __init__(
        self,
        noises: Path | None = None,
        cache: Path | None = None,
        threads: int = 2,
        parts: Collection[str] = ALL_PARTS,
    ) -> None:
        catalog = ModelCatalog()
        self._vad = SileroVad(catalog.find("silero-vad-6-16k", "vad"))
        sources: Mapping[str, Source] = {
            "hidden": SpeechFeatures(catalog.find(HIDDEN, "encoder")).of,
            "layer_2": SpeechFeatures(catalog.find(LAYER_2, "encoder")).of,
            "prosody": prosody,
            "voice": VoiceFeatures(catalog.find(VOICE, "encoder")).of,
        }
        self._sources = {part: source for part, source in sources.items() if part in parts}
        files = sorted(noises.glob("*/*.flac")) + sorted(noises.glob("*/*.wav")) if noises else []
        self._noises = [_sound(file) for file in files if file.parent.name != "room"]
        rooms = [_sound(file) for file in files if file.parent.name == "room"]
        self._room = _impulse(rooms[0] if rooms else _decaying())
        self._cache, self._threads = cache, threads

    def speech(self, recordings: Sequence[ManifestRecording], band: BandName) -> list[Pcm16]:
        """Return the first 5 s of what the speech gate lets through, at 16 kHz, of every recording."""
        lengths, joined = self._cached(f"speech-{band}", recordings, partial(self._gated, recordings, band))
        return np.split(joined, np.cumsum(lengths)[:-1])

    def features(self, recordings: Sequence[ManifestRecording], speech: Sequence[Pcm16], change: str) -> Features:
        """Describe speech of 0.5 s and more, after a change, as (n, 1933): see `PARTS`."""
        described = partial(self._described, recordings, speech, change)
        (features,) = self._cached(change, recordings, lambda: (described(),))
        return features.astype(np.float32, copy=False)

    def _gated(self, recordings: Sequence[ManifestRecording], band: BandName) -> tuple[npt.NDArray[np.int64], Pcm16]:
        def gated(recording: ManifestRecording) -> Pcm16:
            samples, rate_hz = recording.read()
            if band == "telephone":
                samples, rate_hz = through_telephone(samples, rate_hz), RATE_HZ
            return speech_of(samples, rate_hz, self._vad)[:_MOST_SAMPLES]

        with ThreadPoolExecutor(self._threads) as pool:
            found = list(pool.map(gated, recordings))
        return np.array([len(item) for item in found]), np.concatenate(found)

    def _described(self, recordings: Sequence[ManifestRecording], speech: Sequence[Pcm16], change: str) -> Features:
        def describe(recording: ManifestRecording, heard: Pcm16) -> Features:
            even = leveled(self._changed(from_pcm16(heard), recording, change)[:_MOST_SAMPLES])
            described = np.zeros(max(part.stop for part in PARTS.values()), np.float32)
            for part, source in self._sources.items():
                described[PARTS[part]] = source(even)
            return described

        with ThreadPoolExecutor(self._threads) as pool:
            return np.array(list(pool.map(describe, recordings, speech)), np.float32)

    def _changed(self, speech: Pcm, recording: ManifestRecording, change: str) -> Pcm:
        generator = np.random.default_rng(zlib.crc32(f"{name_of(recording)} {change}".encode()))
        if "speed" in change:
            of_speaker = np.random.default_rng(zlib.crc32(f"{recording.speaker} {change}".encode()))
            speech = _at_speed(speech, float(np.exp(of_speaker.uniform(-_SPEED, _SPEED))))
        if "noise" in change:
            speech = self._elsewhere(speech, generator)
        return from_pcm16(narrowband_of(to_pcm16(speech))) if change.endswith("tel") else speech

    def _elsewhere(self, speech: Pcm, generator: np.random.Generator) -> Pcm:
        """Put (n,) speech into a room, before another microphone, beside a noise, and to another level."""
        heard: npt.NDArray[np.floating] = speech
        if generator.random() < 0.5:
            decay = np.exp(-np.arange(len(self._room)) / generator.uniform(*_ROOM_DECAY))
            echoed = fftconvolve(heard, self._room * decay)[: len(speech)]
            share = generator.uniform(0.2, 1)
            heard = _unit(heard) * (1 - share) + _unit(echoed) * share
        if generator.random() < 0.7:
            gains = generator.normal(0, 4, len(_CHANNEL_HZ))
            gains += generator.normal(0, 3) * np.linspace(-1, 1, len(_CHANNEL_HZ))
            response = firwin2(_CHANNEL_TAPS, np.array(_CHANNEL_HZ) / (MODEL_RATE_HZ / 2), 10 ** (gains / 20))
            heard = fftconvolve(heard, response, mode="same")
        if generator.random() < 0.8:
            noise = self._noise(len(speech), generator)
            heard = _unit(heard) + 10 ** (-generator.uniform(*_NOISE_DB) / 20) * _unit(noise)
        at_level: Pcm = (_unit(heard) * 10 ** (generator.uniform(*_GAIN_DB) / 20)).clip(-1, 1).astype(np.float32)
        return at_level

    def _noise(self, length: int, generator: np.random.Generator) -> npt.NDArray[np.floating]:
        if generator.random() < 0.5 or not self._noises:
            return _pink(length, generator)
        sound = self._noises[generator.integers(len(self._noises))]
        return np.resize(np.roll(sound, generator.integers(len(sound))), length)

    def _cached(
        self,
        what: str,
        recordings: Sequence[ManifestRecording],
        compute: Callable[[], Sequence[npt.NDArray[np.generic]]],
    ) -> Sequence[npt.NDArray[np.generic]]:
        if self._cache is None:
            return compute()
        names = "\n".join(name_of(recording) for recording in recordings)
        about = f"{_VERSION}\n{what} {','.join(self._sources)}\n{names}"
        key = hashlib.sha256(about.encode()).hexdigest()[:16]
        file = self._cache / f"{what}-{key}.npz"
        if not file.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            np.savez(file, *compute())
        with np.load(file) as found:
            return [found[name] for name in found.files]


def name_of(recording: ManifestRecording) -> str:
    """Return a recording's folder and path in it: the same wherever the folder lies."""
    depth = len(Path(recording.labels["path"]).parts) + 1
    return "/".join(recording.path.parts[-depth:])


def long_enough(speech: Sequence[Pcm16]) -> npt.NDArray[np.bool_]:
    """Return of which recordings there is enough to judge, at any speed that training uses."""
    least = LEAST_SAMPLES * float(np.exp(_SPEED)) + 1
    return np.array([len(item) >= least for item in speech])


def _sound(file: Path) -> Pcm:
    with opened(file) as sound:
        samples = np.concatenate([block.mean(axis=1) for block in sound.blocks()])
        resampled: Pcm = soxr.resample(samples, sound.rate_hz, MODEL_RATE_HZ)
    return resampled.astype(np.float32)


def _impulse(response: Pcm) -> Pcm:
    """Return what comes after the first sound of a room's impulse response, of energy 1."""
    heard = response[int(np.argmax(np.abs(response))) :][:_ROOM_SAMPLES]
    scaled: Pcm = heard / np.sqrt((heard**2).sum())
    return scaled


def _decaying() -> Pcm:
    generator = np.random.default_rng(0)
    response = generator.standard_normal(_ROOM_SAMPLES) * np.exp(-np.arange(_ROOM_SAMPLES) / _ROOM_DECAY[1])
    response[0] = 4.0
    return response.astype(np.float32)


def _at_speed(speech: Pcm, factor: float) -> Pcm:
    changed: Pcm = soxr.resample(speech, MODEL_RATE_HZ * factor, MODEL_RATE_HZ)
    return changed


def _pink(length: int, generator: np.random.Generator) -> npt.NDArray[np.floating]:
    """Return (length,) noise with equal power in every octave."""
    spectrum = np.fft.rfft(generator.standard_normal(length))
    return np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1.0), length)


def _unit(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Bring (n,) samples to a mean power of 1."""
    scaled: npt.NDArray[np.floating] = samples / np.sqrt(np.mean(samples**2) + 1e-12)
    return scaled
