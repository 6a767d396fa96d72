"""The log-mel spectrogram that Whisper was trained on, in plain numpy and without its padding to 30 s.

Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.2, and the
numbers of OpenAI's reference code: Hann window of 25 ms every 10 ms, 80 Slaney mels up to 8 kHz, log10 floored 8 below
the peak.
"""

import math
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference.sessions import Tensor

_FFT: Final = 400
_HOP: Final = 160
_FRAMES_AT_ONCE: Final = 16

_LINEAR_HZ_PER_MEL: Final = 200.0 / 3.0  # Slaney: linear up to 1 kHz = 15 mel, then 27 mels for each factor of 6.4
_BREAK_HZ: Final = 1000.0
_BREAK_MEL: Final = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP: Final = math.log(6.4) / 27.0


def log_mel(speech: Pcm, mels: int = 80) -> Tensor:
    """Turn (n,) samples at 16 kHz, n > 200, into (mels, n // 160), roughly in [-1, 1.5]."""
    padded = np.pad(speech.astype(np.float32, copy=False), _FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP][: len(speech) // _HOP]
    power = np.abs(np.fft.rfft(frames * _window(), axis=1)) ** 2
    energies = _energies(power.astype(np.float32, copy=False), _filters(mels))
    logs = np.log10(np.maximum(energies, np.float32(1e-10)))
    floored = np.maximum(logs, logs.max() - np.float32(8.0))
    scaled: Tensor = ((floored + np.float32(4.0)) / np.float32(4.0)).astype(np.float32, copy=False)
    return scaled


def _energies(power: Tensor, filters: Tensor) -> Tensor:
    """Multiply (t, 201) by (mels, 201) to (mels, t), a few frames at a time.

    A larger product is one that OpenBLAS shares among threads of its own, which then wait for the next by spinning: on
    two cores that cost more than this whole spectrogram, and half of the encoder's time again.
    """
    starts = range(0, len(power), _FRAMES_AT_ONCE)
    return np.concatenate([filters @ power[start : start + _FRAMES_AT_ONCE].T for start in starts], axis=1)


@cache
def _window() -> Tensor:
    return np.hanning(_FFT + 1)[:-1].astype(np.float32)  # periodic, as in an FFT and unlike numpy's own


@cache
def _filters(mels: int) -> Tensor:
    """Return (mels, 201): triangles of equal area on the Slaney scale."""
    bins = np.linspace(0.0, MODEL_RATE_HZ / 2, _FFT // 2 + 1)
    edges = _to_hz(np.linspace(0.0, _to_mel(MODEL_RATE_HZ / 2), mels + 2))
    left, center, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - left) / (center - left), (right - bins) / (right - center))
    return (np.maximum(triangles, 0.0) * 2.0 / (right - left)).astype(np.float32)


def _to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return _BREAK_MEL + math.log(hz / _BREAK_HZ) / _LOG_STEP


def _to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    high = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ_PER_MEL, high)
