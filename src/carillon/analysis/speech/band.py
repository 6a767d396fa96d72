"""Through what did this voice come? A telephone carries 300 to 3400 Hz, whatever rate the audio has now.

The share of power above the telephone's band tells: a wideband voice has some there, a telephone's has nothing but the
skirts of a filter, also after it was resampled to 16 kHz and called wideband.
"""

from typing import Final

import numpy as np

from carillon.audio import MODEL_RATE_HZ, Band, Pcm16

_WINDOW: Final = 512
_VOICE_HZ: Final = (300.0, 3_400.0)
_ABOVE_HZ: Final = (4_300.0, 7_000.0)
_LEAST_SHARE_DB: Final = -36.0  # docs/speaker-search.md has how often a piece is on the wrong side


def band_of(speech: Pcm16) -> Band:
    """Return the band of (n,) speech at 16 kHz; less than 32 ms, or silence, counts as telephone."""
    return "wb" if share_above_db(speech) > _LEAST_SHARE_DB else "tel"


def share_above_db(speech: Pcm16) -> float:
    """Return the power of (n,) speech at 16 kHz between 4.3 and 7 kHz over that of the telephone's band, in dB."""
    count = len(speech) // _WINDOW
    if not count:
        return -np.inf
    frames = speech[: count * _WINDOW].reshape(count, _WINDOW) * np.hanning(_WINDOW)
    power = np.mean(np.abs(np.fft.rfft(frames)) ** 2, axis=0)
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / MODEL_RATE_HZ)
    voice, above = (power[(frequencies >= low) & (frequencies < high)].sum() for low, high in (_VOICE_HZ, _ABOVE_HZ))
    return float(10 * np.log10((above + 1e-9) / (voice + 1.0)))
