"""What a telephone does to a voice: 8 kHz, 300 to 3400 Hz, G.711 mu-law."""

from typing import Final

import numpy as np
import soxr

from carillon.analysis.speech.resample import Resampler
from carillon.audio import MODEL_RATE_HZ, Pcm, Pcm16, from_pcm16, to_pcm16

RATE_HZ: Final = 8_000
_BAND_HZ: Final = (300.0, 3_400.0)
_MU: Final = 255.0
_EDGE_HZ: Final = 50.0


def through_telephone(samples: Pcm, rate_hz: int) -> Pcm:
    """Return (n,) samples as a telephone at 8 kHz would carry them.

    The companding is the continuous mu-law rounded to 256 steps, which differs from the segmented table of G.711 by
    less than one step.
    """
    narrow = soxr.resample(samples, rate_hz, RATE_HZ) if rate_hz != RATE_HZ else samples
    companded = _compress(np.clip(_band_limited(narrow), -1.0, 1.0))
    stepped = np.rint((companded + 1.0) * 127.5) / 127.5 - 1.0
    expanded: Pcm = (np.sign(stepped) * np.expm1(np.abs(stepped) * np.log1p(_MU)) / _MU).astype(np.float32)
    return expanded


def _compress(samples: Pcm) -> Pcm:
    compressed: Pcm = np.sign(samples) * np.log1p(_MU * np.abs(samples)) / np.log1p(_MU)
    return compressed


def _band_limited(samples: Pcm) -> Pcm:
    """Drop what lies outside the telephone band, with raised-cosine edges."""
    if not len(samples):
        return samples
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    rising = np.clip((frequencies - _BAND_HZ[0] + _EDGE_HZ) / (2 * _EDGE_HZ), 0, 1)
    falling = np.clip((_BAND_HZ[1] + _EDGE_HZ - frequencies) / (2 * _EDGE_HZ), 0, 1)
    gain = (0.5 - 0.5 * np.cos(np.pi * rising)) * (0.5 - 0.5 * np.cos(np.pi * falling))
    return np.fft.irfft(spectrum * gain, len(samples)).astype(np.float32)


def narrowband_of(speech: Pcm16) -> Pcm16:
    """Return (n,) wideband speech at 16 kHz as it would have come by telephone: what a telephone call is compared with.

    What resampling there and back adds or drops at the end is made up for.
    """
    resampler = Resampler(RATE_HZ)
    carried = through_telephone(from_pcm16(speech), MODEL_RATE_HZ)
    back = to_pcm16(np.concatenate([resampler.push(carried), resampler.end()]))
    narrowband: Pcm16 = np.pad(back[: len(speech)], (0, max(0, len(speech) - len(back))))
    return narrowband
