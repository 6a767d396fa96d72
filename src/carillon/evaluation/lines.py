"""Lines that calls really come over: codecs of mobile networks and of voice over IP, and packets that never came."""

import zlib
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from carillon.audio import Pcm
from carillon.media.lossy import LossyCodec, through_codec

PhoneLine: TypeAlias = Literal["GSM-FR", "AMR-NB", "Opus", "5 % lost"]
LINES: Final[tuple[PhoneLine, ...]] = get_args(PhoneLine)

_PACKET: Final = 160  # 20 ms at 8 kHz
_LOST_SHARE: Final = 0.05
_LAGS: Final = range(40, 121)  # a period of a voice of 66 to 200 Hz
_FADE: Final = 0.8
"""How loud each 10 ms of a gap are, beside those before; the first are as loud as the voice."""


def over_line(samples: Pcm, line: PhoneLine, name: str) -> Pcm:
    """Return (n,) samples in [-1, 1] at 8 kHz as a line would deliver them; the same for the same name.

    Raises:
        UndecodableFile: the line needs PyAV, which is not installed.
    """
    codec: LossyCodec | None = None if line == "5 % lost" else line
    return with_losses(samples, name) if codec is None else through_codec(samples, codec)


def with_losses(samples: Pcm, name: str) -> Pcm:
    """Lose one packet of 20 ms in twenty, and conceal it by the last period of the voice, again and again, ever softer.

    Source: ITU-T G.711 Appendix I, without its overlap at the end of a gap.
    """
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    heard, gap = samples.copy(), 0
    for start in range(3 * _PACKET, len(samples) - _PACKET + 1, _PACKET):
        if generator.random() >= _LOST_SHARE:
            gap = 0
            continue
        period = heard[start - _lag(heard[:start]) : start]
        gains = _FADE ** np.repeat([2 * gap, 2 * gap + 1], _PACKET // 2)
        heard[start : start + _PACKET] = np.resize(period, _PACKET) * gains.astype(np.float32)
        gap += 1
    return heard


def _lag(past: Pcm) -> int:
    """Return after how many samples the end of (n,) samples, n >= 480, repeats itself best."""
    recent = past[-_PACKET:]
    earlier = np.lib.stride_tricks.sliding_window_view(past[-_PACKET - _LAGS[-1] : -_LAGS[0]], _PACKET)[::-1]
    likeness = earlier @ recent / np.sqrt(np.sum(earlier**2, axis=1) + np.float32(1e-9))
    return _LAGS[int(np.argmax(likeness))]
