"""How audio is written, and what a WAVEFORMATEX says of it: the words that tracks, files and pipes share."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple


class Encoding(Enum):
    """How audio is written. The values of compressed ones are FFmpeg's names."""

    S8 = "s8"
    U8 = "u8"
    S16LE = "s16le"
    S16BE = "s16be"
    S24LE = "s24le"
    S24BE = "s24be"
    S32LE = "s32le"
    S32BE = "s32be"
    F32LE = "f32le"
    F32BE = "f32be"
    F64LE = "f64le"
    F64BE = "f64be"
    A_LAW = "alaw"
    MU_LAW = "mulaw"
    AAC = "aac"
    OPUS = "opus"

    @property
    def is_compressed(self) -> bool:
        """Return whether it comes in packets that need a decoder, instead of samples that can be cut anywhere."""
        return self in {Encoding.AAC, Encoding.OPUS}


class Widths(NamedTuple):
    """The encodings of one family by bits per sample, and how many bits there are where nothing is said."""

    by_bits: Mapping[int, Encoding]
    default: int


INTEGERS: Final = Widths({8: Encoding.U8, 16: Encoding.S16LE, 24: Encoding.S24LE, 32: Encoding.S32LE}, 16)
BIG_INTEGERS: Final = Widths({8: Encoding.U8, 16: Encoding.S16BE, 24: Encoding.S24BE, 32: Encoding.S32BE}, 16)
FLOATS: Final = Widths({32: Encoding.F32LE, 64: Encoding.F64LE}, 32)
BIG_FLOATS: Final = Widths({32: Encoding.F32BE, 64: Encoding.F64BE}, 32)

PCM: Final = 1
FLOAT: Final = 3
A_LAW: Final = 6
MU_LAW: Final = 7
_EXTENSIBLE: Final = 0xFFFE
_G711: Final = {A_LAW: Encoding.A_LAW, MU_LAW: Encoding.MU_LAW}
_FIELDS: Final = struct.Struct("<HHIIHH")
_BIG_FIELDS: Final = struct.Struct(">HHIIHH")
_LEAST: Final = struct.Struct("<HHI")
_SUBFORMAT_AT: Final = 24


@dataclass(frozen=True, slots=True)
class WaveFormat:
    """A WAVEFORMATEX, or the beginning of one: Matroska's `A_MS/ACM` and the `fmt ` chunk of a WAV hold it.

    Source: Microsoft, "WAVEFORMATEX structure" and "WAVEFORMATEXTENSIBLE structure".
    """

    tag: int
    """Of the format; that of the subformat where the structure is extensible."""
    channels: int
    rate_hz: int
    block_bytes: int = 0
    """Of one sample of every channel; 0 where it is not said."""
    bits: int = 0
    """Of one sample; 0 where it is not said."""

    @classmethod
    def read(cls, data: bytes, *, is_big: bool = False) -> "WaveFormat | None":
        """Return what bytes say; None if not even the rate is there."""
        if len(data) < _LEAST.size:
            return None
        fields = _BIG_FIELDS if is_big else _FIELDS
        tag, channels, rate_hz, _, block_bytes, bits = fields.unpack(data[: fields.size].ljust(fields.size, b"\0"))
        if tag == _EXTENSIBLE:
            subformat = data[_SUBFORMAT_AT : _SUBFORMAT_AT + 2]
            tag = int.from_bytes(subformat, "big" if is_big else "little") or PCM
        return cls(tag, channels, rate_hz, block_bytes, bits)

    @property
    def sample_bits(self) -> int:
        """Return the bits that a sample takes, padding included; 0 if that is not said."""
        if self.channels and self.block_bytes and self.block_bytes % self.channels == 0:
            container = 8 * (self.block_bytes // self.channels)
            if container >= self.bits:
                return container
        return -(-self.bits // 8) * 8

    def encoding(self, *, is_big: bool = False) -> Encoding | None:
        """Return how samples are written, None if not as plain samples; the bits that G.711 is said to have are not
        looked at, since many writers say 16 or 0.
        """
        if self.tag in _G711:
            return _G711[self.tag]
        if self.tag not in {PCM, FLOAT}:
            return None
        integers, floats = (BIG_INTEGERS, BIG_FLOATS) if is_big else (INTEGERS, FLOATS)
        widths = integers if self.tag == PCM else floats
        return widths.by_bits.get(self.sample_bits or widths.default)

    def packed(self) -> bytes:
        """Return it as a WAVEFORMATEX without extension."""
        a_second = self.rate_hz * self.block_bytes
        return _FIELDS.pack(self.tag, self.channels, self.rate_hz, a_second, self.block_bytes, self.bits) + b"\0\0"
