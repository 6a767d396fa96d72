"""Uncompressed samples of every kind as float32: linear PCM, floating point, G.711.

Each kind is a table from bytes to numbers, so a second of telephone costs microseconds. Nothing here remembers.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.audio import Pcm, Pcm16, from_pcm16
from carillon.media.encodings import Encoding

_BYTES: Final[Mapping[Encoding, int]] = {
    Encoding.S8: 1,
    Encoding.U8: 1,
    Encoding.S16LE: 2,
    Encoding.S16BE: 2,
    Encoding.S24LE: 3,
    Encoding.S24BE: 3,
    Encoding.S32LE: 4,
    Encoding.S32BE: 4,
    Encoding.F32LE: 4,
    Encoding.F32BE: 4,
    Encoding.F64LE: 8,
    Encoding.F64BE: 8,
    Encoding.A_LAW: 1,
    Encoding.MU_LAW: 1,
}
_INTEGERS: Final[Mapping[Encoding, str]] = {
    Encoding.S8: "i1",
    Encoding.S16LE: "<i2",
    Encoding.S16BE: ">i2",
    Encoding.S32LE: "<i4",
    Encoding.S32BE: ">i4",
}
_FLOATS: Final[Mapping[Encoding, str]] = {
    Encoding.F32LE: "<f4",
    Encoding.F32BE: ">f4",
    Encoding.F64LE: "<f8",
    Encoding.F64BE: ">f8",
}


def bytes_per_sample(encoding: Encoding) -> int:
    """Return how many bytes hold one sample of one channel."""
    return _BYTES[encoding]


def to_pcm(encoding: Encoding, data: bytes) -> Pcm:
    """Decode whole samples, all channels interleaved as they come; (n,) in [-1, 1].

    Floating point out of range is clipped, and what is no number is silence.
    """
    if encoding in _INTEGERS:
        return _scaled(np.frombuffer(data, _INTEGERS[encoding]))
    if encoding in _FLOATS:
        finite = np.nan_to_num(np.frombuffer(data, _FLOATS[encoding]), posinf=1.0, neginf=-1.0)
        return _clipped(finite)
    codes = np.frombuffer(data, np.uint8)
    if encoding is Encoding.U8:
        return (codes.astype(np.float32) - np.float32(128)) / np.float32(128)
    if encoding in {Encoding.S24LE, Encoding.S24BE}:
        return _of_24_bits(codes, is_big=encoding is Encoding.S24BE)
    decoded: Pcm = (_A_LAW if encoding is Encoding.A_LAW else _MU_LAW)[codes]
    return decoded


def _scaled(samples: npt.NDArray[np.signedinteger]) -> Pcm:
    full_scale = np.float32(2.0 ** (8 * samples.itemsize - 1))
    scaled: Pcm = samples.astype(np.float32) / full_scale
    return scaled


def _clipped(samples: npt.NDArray[np.floating]) -> Pcm:
    clipped: Pcm = np.clip(samples, -1.0, 1.0).astype(np.float32)
    return clipped


def _of_24_bits(codes: npt.NDArray[np.uint8], *, is_big: bool) -> Pcm:
    """Widen each sample to 32 bits by a low byte of zero."""
    wide = np.zeros((len(codes) // 3, 4), np.uint8)
    wide[:, 0 if is_big else 1 :][:, :3] = codes.reshape(-1, 3)
    return _scaled(wide.view(">i4" if is_big else "<i4").ravel())


def _mu_law() -> Pcm16:
    """Return what each of the 256 codes means (ITU-T G.711, table 2; 14 bits scaled to 16)."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _a_law() -> Pcm16:
    """Return what each of the 256 codes means (ITU-T G.711, table 1; 13 bits scaled to 16)."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code >> 4) & 7
    step = ((code & 0x0F) << 4) + 8
    magnitude = np.where(exponent, (step + 0x100) << np.maximum(exponent - 1, 0), step)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_MU_LAW: Final = from_pcm16(_mu_law())
_A_LAW: Final = from_pcm16(_a_law())
