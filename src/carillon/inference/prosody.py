"""How something is said, in 141 numbers that mean the same on any line: pitch, loudness, timbre and rhythm.

All in plain numpy, from frames of 40 ms every 20 ms. Timbre is read between 300 and 3400 Hz alone, which a telephone
carries too, and loudness against the mean of the speech itself: neither says how good a line is. Contours become
numbers by their mean, spread, percentiles and changes, as in eGeMAPS.

Source: F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice Research and Affective
Computing" (2016), for the choice of contours and functionals; P. Boersma, "Accurate short-term analysis of the
fundamental frequency" (1993), for pitch by the autocorrelation divided by that of its window.
"""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference.sessions import Tensor

_FRAME: Final = 640
_HOP: Final = 320
_FFT: Final = 1024  # no lag that is looked at wraps around: 640 + 246 < 1024
_PER_SECOND: Final = MODEL_RATE_HZ // _HOP

_SHORTEST, _LONGEST = MODEL_RATE_HZ // 500, MODEL_RATE_HZ // 65  # lags of the highest and the lowest pitch
_VOICED: Final = 0.5  # autocorrelation of a frame that has a pitch
_LEAST_VOICED: Final = 4  # frames
_ACTIVE: Final = 3.0  # nepers below the loudest frame, 26 dB: what lies under it is a pause

_BANDS_HZ: Final = ((300, 600), (600, 1200), (1200, 2000), (2000, 3400))
_CEPSTRA: Final = 8
_CEPSTRAL_BANDS: Final = 24
_BINS_OF_A_BAND: Final = 8

FloatArray = npt.NDArray[np.float32]

NUMBERS: Final = 13 * 9 + 8 + 2 * _CEPSTRA


def prosody(speech: Pcm) -> Tensor:
    """Describe (n,) speech at 16 kHz, n >= 8_000, as (141,) numbers."""
    frames = np.lib.stride_tricks.sliding_window_view(speech.astype(np.float32, copy=False), _FRAME)[::_HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    loudness = 0.5 * np.log((frames**2).mean(axis=1) + np.float32(1e-10))
    power = np.abs(np.fft.rfft(frames * _window(), _FFT, axis=1)).astype(np.float32) ** 2
    pitch, clarity = _pitch(power)
    active = loudness > loudness.max() - _ACTIVE
    voiced = active & (clarity > _VOICED)
    if voiced.sum() < _LEAST_VOICED:  # a whisper: some pitch is better than none
        voiced = active
    loudness = loudness - loudness[active].mean()
    cepstra = _cepstra(power)[:, active]
    others = np.vstack([clarity, loudness, _timbre(power)])
    return np.concatenate(
        [
            _functionals(pitch[None], voiced),
            _functionals(others, active),
            [_slope(pitch, voiced), _slope(loudness, voiced)],
            _rhythm(loudness, active, voiced),
            cepstra.mean(axis=1),
            cepstra.std(axis=1),
        ]
    ).astype(np.float32)


def _pitch(power: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the pitch of each frame, in semitones over 100 Hz, and how much of a pitch it is, in [0, 1]."""
    correlation = np.fft.irfft(power, axis=1)[:, :_LONGEST].astype(np.float32)
    correlation /= (correlation[:, :1] + np.float32(1e-9)) * _window_correlation()
    lags = correlation[:, _SHORTEST:]
    peak = np.zeros(lags.shape, np.bool_)
    peak[:, 1:-1] = (lags[:, 1:-1] >= lags[:, :-2]) & (lags[:, 1:-1] >= lags[:, 2:])
    high = peak & (lags >= 0.9 * lags.max(axis=1, keepdims=True))
    best = np.where(high.any(axis=1), high.argmax(axis=1), lags.argmax(axis=1))  # the first: not an octave too low
    clarity = np.clip(lags[np.arange(len(lags)), best], 0.0, 1.0)
    hz = np.float32(MODEL_RATE_HZ) / (best + _SHORTEST)
    return (12 * np.log2(hz / 100)).astype(np.float32), clarity


def _timbre(power: FloatArray) -> FloatArray:
    """Return (10, frames): where the energy between 300 and 3400 Hz lies, and how it changes."""
    inside, khz = _telephone_bins()
    energy = power[:, inside] + np.float32(1e-10)
    total = energy.sum(axis=1)
    logs = np.log(energy)
    center = (energy * khz).sum(axis=1) / total  # not `@`: OpenBLAS would share it among threads, which then spin
    spread = np.sqrt(np.maximum((energy * khz**2).sum(axis=1) / total - center**2, 0))
    rolloff = khz[(energy.cumsum(axis=1) > 0.85 * total[:, None]).argmax(axis=1)]
    flatness = logs.mean(axis=1) - np.log(energy.mean(axis=1))
    bands = [(khz >= low / 1000) & (khz < high / 1000) for low, high in _BANDS_HZ]
    shares = [np.log(energy[:, band].sum(axis=1) / total) for band in bands]
    centered = khz - khz.mean()
    tilt = (logs * centered).sum(axis=1) / np.sum(centered**2)
    shape = np.sqrt(energy / total[:, None])
    flux = np.concatenate([[0], np.abs(np.diff(shape, axis=0)).sum(axis=1)])
    return np.vstack([center, spread, rolloff, flatness, *shares, tilt, flux]).astype(np.float32)


def _functionals(contours: FloatArray, chosen: npt.NDArray[np.bool_]) -> FloatArray:
    """Turn (k, frames) into (9 * k,): level, spread, percentiles, ranges and changes of the chosen frames."""
    values = contours[:, chosen]
    low, lower, middle, upper, high = np.percentile(values, [5, 25, 50, 75, 95], axis=1)
    changes = np.diff(contours, axis=1)[:, chosen[1:] & chosen[:-1]]
    if not changes.shape[1]:
        changes = np.zeros((len(contours), 1), np.float32)
    numbers = [values.mean(axis=1), values.std(axis=1), low, middle, high, upper - lower, high - low]
    return np.concatenate([*numbers, np.abs(changes).mean(axis=1), changes.std(axis=1)])


def _slope(contour: FloatArray, chosen: npt.NDArray[np.bool_]) -> float:
    """Return how fast a contour rises, a second."""
    seconds = np.flatnonzero(chosen) / _PER_SECOND
    seconds = seconds - seconds.mean()
    return float(seconds @ contour[chosen] / (seconds @ seconds + 1e-3))


def _rhythm(loudness: FloatArray, active: npt.NDArray[np.bool_], voiced: npt.NDArray[np.bool_]) -> list[float]:
    """Return shares of voice and of speech, syllables a second, and how long voice lasts at a time, in seconds."""
    smooth = np.convolve(loudness, _syllable(), "same")
    peaks = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:]) & (smooth[1:-1] > loudness.max() - 2.5)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(np.int8), [0]])))
    lasting = np.diff(edges)[::2] / _PER_SECOND
    rate = peaks.sum() * _PER_SECOND / len(loudness)
    return [voiced.mean(), active.mean(), rate, lasting.mean(), lasting.std(), lasting.max()]


def _cepstra(power: FloatArray) -> FloatArray:
    """Return (8, frames): the shape of the spectrum between 300 and 3400 Hz, as cosines from the broadest on."""
    inside, _ = _telephone_bins()
    logs = np.log(power[:, inside][:, : _CEPSTRAL_BANDS * _BINS_OF_A_BAND] + np.float32(1e-10))
    bands = logs.reshape(len(logs), _CEPSTRAL_BANDS, _BINS_OF_A_BAND).mean(axis=2)
    cepstra: FloatArray = _cosines() @ bands.T
    return cepstra


@cache
def _window() -> FloatArray:
    return np.hanning(_FRAME).astype(np.float32)


@cache
def _window_correlation() -> FloatArray:
    correlation = np.fft.irfft(np.abs(np.fft.rfft(_window(), _FFT)) ** 2)[:_LONGEST]
    normalized: FloatArray = (correlation / correlation[0] + 1e-3).astype(np.float32)
    return normalized


@cache
def _telephone_bins() -> tuple[npt.NDArray[np.bool_], FloatArray]:
    hz = np.fft.rfftfreq(_FFT, 1 / MODEL_RATE_HZ)
    inside = (hz > 300) & (hz < 3400)
    return inside, (hz[inside] / 1000).astype(np.float32)


@cache
def _cosines() -> FloatArray:
    turns = np.outer(np.arange(1, _CEPSTRA + 1), np.arange(_CEPSTRAL_BANDS) + 0.5) / _CEPSTRAL_BANDS
    return (np.cos(np.pi * turns) / _CEPSTRAL_BANDS).astype(np.float32)


@cache
def _syllable() -> FloatArray:
    window = np.hanning(7).astype(np.float32)
    normalized: FloatArray = window / window.sum()
    return normalized
