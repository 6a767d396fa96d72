"""Which frames are a key being pressed? Two tones and nothing else, one of each group of the telephone's keypad.

The detector of speech knows a tone when it hears one, but not right after speech: digits that follow a sentence are
taken for a third of their time as its continuation. So tones are found before it, by what no voice does.

Source: ITU-T Q.23 (frequencies) and Q.24 (receivers).
"""

from math import ceil, floor
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.audio import MODEL_RATE_HZ, Pcm16

_WINDOW: Final = 512
_BIN_HZ: Final = MODEL_RATE_HZ / _WINDOW
_GROUPS_HZ: Final = ((640.0, 1_000.0), (1_150.0, 1_700.0))  # 697 to 941 and 1209 to 1633, and what a window smears
_GROUPS: Final = tuple(slice(ceil(low / _BIN_HZ), floor(high / _BIN_HZ) + 1) for low, high in _GROUPS_HZ)
_FIRST_BIN: Final = 3  # an offset or hum beside the tones is neither for nor against them
_PEAK_BINS: Final = np.arange(-2, 3)  # the main lobe of the Hann window
_LEAST_SHARE: Final = 0.95
"""Of a frame's power, in the two peaks: noise may be 13 dB below the tones. docs/speech-accounting.md has how
many frames of people speaking are taken for a key."""
_LEAST_WEAKER_SHARE: Final = 0.05
"""In the weaker peak: the groups may differ by 10 dB, which is more than lines do to them."""

_HANN: Final = np.hanning(_WINDOW).astype(np.float32)

_Powers = npt.NDArray[np.float32]


def are_key_tones(frames: Pcm16) -> npt.NDArray[np.bool_]:
    """Judge (k, 512) frames at 16 kHz, each alone, as (k,)."""
    spectrum = np.fft.rfft(frames * _HANN)
    power: _Powers = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
    whole = power[:, _FIRST_BIN:].sum(axis=1)
    low, high = (_peak(power, group) for group in _GROUPS)
    found: npt.NDArray[np.bool_] = (low + high > _LEAST_SHARE * whole) & (
        np.minimum(low, high) > _LEAST_WEAKER_SHARE * whole
    )
    return found


def _peak(power: _Powers, group: slice) -> _Powers:
    """Return (k,) the power in and beside the strongest bin of a group."""
    strongest = group.start + np.argmax(power[:, group], axis=1)
    peak: _Powers = np.take_along_axis(power, strongest[:, None] + _PEAK_BINS, axis=1).sum(axis=1)
    return peak
