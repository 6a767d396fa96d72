"""What a telephone line carries besides voices, made from numbers: signals, music and noise.

Source: ITU-T Q.23 (digits) and Q.35 (signals); the Precise Tone Plan of North America (dial tone, ringback, busy).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.audio import Pcm

RATE_HZ: Final = 8_000
SECONDS: Final = 24.0

_Floats = npt.NDArray[np.float64]
_TONE: Final = 0.1  # amplitude of each of the tones that sound together: -20 dBFS
_DIGIT_HZ: Final = {
    digit: (low, high)
    for low, row in zip((697, 770, 852, 941), ("123A", "456B", "789C", "*0#D"), strict=True)
    for digit, high in zip(row, (1_209, 1_336, 1_477, 1_633), strict=True)
}
_CHORDS: Final = ((57, 60, 64), (53, 57, 60), (48, 55, 64), (55, 59, 62))  # MIDI notes, a bar each
_TUNE: Final = (69, 71, 72, 74, 76, 79)


def sounds() -> Mapping[str, Pcm]:
    """Return each sound by name: (n,) at 8 kHz, 24 s. Nothing in them is random from one run to the next."""
    made: dict[str, _Floats] = {
        "dial tone, 350 + 440 Hz": cadence((350, 440), SECONDS, 0),
        "ringback, 440 + 480 Hz, 2 s on, 4 s off": cadence((440, 480), 2, 4),
        "ringback, 425 Hz, 1 s on, 4 s off": cadence((425,), 1, 4),
        "busy, 480 + 620 Hz, 0.5 s on and off": cadence((480, 620), 0.5, 0.5),
        "digits (DTMF), 0.1 s on and off": digits(0.1, 0.1),
        "digits (DTMF), 0.4 s on and off": digits(0.4, 0.4),
        "fax, 1100 Hz, 0.5 s on, 3 s off": cadence((1_100,), 0.5, 3),
        "music: organ": music(_organ),
        "music: plucked strings": music(_plucked),
        "music: bowed strings with vibrato": music(_bowed),
        "hiss, -30 dBFS": noise(0.03, 0),
        "hum, -30 dBFS": noise(0.03, 1),
    }
    return {name: sound.astype(np.float32) for name, sound in made.items()}


def cadence(frequencies: Sequence[float], on_seconds: float, off_seconds: float, seconds: float = SECONDS) -> _Floats:
    """Return tones that sound together, on and off."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones = sum((np.sin(2 * np.pi * frequency * times) for frequency in frequencies), np.zeros(len(times)))
    heard: _Floats = _TONE * tones * (times % (on_seconds + off_seconds) < on_seconds)
    return heard


def digits(on_seconds: float, off_seconds: float) -> _Floats:
    """Return the 16 keys pressed one after the other, again and again."""
    each = [cadence(tones, on_seconds, off_seconds, on_seconds + off_seconds) for tones in _DIGIT_HZ.values()]
    return np.resize(np.concatenate(each), round(SECONDS * RATE_HZ))


def noise(level: float, slope: float) -> _Floats:
    """Return noise with an RMS of `level`, its amplitude falling with the power `slope` of frequency."""
    count = round(SECONDS * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(5).standard_normal(count))
    shaped = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)) / (50 * SECONDS), 1) ** slope, count)
    leveled: _Floats = level * shaped / np.sqrt(np.mean(shaped**2))
    return leveled


def music(instrument: Callable[[float, _Floats], _Floats]) -> _Floats:
    """Return a tune over chords, 120 notes a minute, with a peak of 0.3."""
    times = np.arange(RATE_HZ // 2) / RATE_HZ
    tune = np.random.default_rng(7).choice(_TUNE, round(SECONDS * 2))
    played = [
        sum((instrument(_hz(note), times) for note in (*_CHORDS[number // 4 % 4], int(top))), np.zeros(len(times)))
        for number, top in enumerate(tune)
    ]
    whole = np.concatenate(played)
    leveled: _Floats = 0.3 * whole / np.max(np.abs(whole))
    return leveled


def _hz(note: int) -> float:
    return float(440 * 2 ** ((note - 69) / 12))


def _harmonics(hz: float, times: _Floats, falling: float) -> _Floats:
    """Return all that a telephone carries of a note whose harmonics fall with the power `falling` of their order."""
    orders = range(1, 1 + int(3_400 // hz))
    return sum((np.sin(2 * np.pi * hz * order * times) / order**falling for order in orders), np.zeros(len(times)))


def _organ(hz: float, times: _Floats) -> _Floats:
    return _harmonics(hz, times, 1.5)


def _plucked(hz: float, times: _Floats) -> _Floats:
    return _harmonics(hz, times, 1.0) * np.exp(-6 * times)


def _bowed(hz: float, times: _Floats) -> _Floats:
    vibrato = 0.003 / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * times)
    return _harmonics(hz, times + vibrato, 1.0)
