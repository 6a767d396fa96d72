"""Headers of recordings: what stands before the samples of a WAV, an AU or a CAF, whoever wrote it. No I/O.

Recorders die before they fill in sizes, pipes cannot go back to, and chunks of any size stand anywhere. So a reader
here is a generator that asks for bytes at an offset (`BytesNeeded`) and ends with what it found (`Header`): a file
gives them by seeking, a pipe by waiting for them, and both find the same.

Sources: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0"; EBU Tech 3306 (RF64); ITU-R BS.2088
(BW64); Sun, "au(4)"; Apple, "Core Audio Format Specification 1.0".
"""

import math
import struct
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from carillon.errors import InvalidRequest
from carillon.media.encodings import FLOAT, PCM, Encoding, WaveFormat

SNIFFED_BYTES: Final = 52
"""The most that it takes to recognize a format."""

_WAVES: Final = (b"RIFF", b"RF64", b"BW64", b"RIFX")
_AU: Final = (b".snd", b"dns.")
_UNKNOWN: Final = 0xFFFFFFFF
_ENDLESS: Final = 0x7FFF0000
"""A pipe's header with a size from here on was written before anybody knew: sox says 0x7FFFF000, others 0xFFFFFFDB."""
_NAMES: Final = (
    b"fmt data fact LIST JUNK junk PAD FLLR bext iXML axml chna PEAK cue smpl inst plst labl note ltxt acid strc DISP "
    b"levl umid afsp cart r64m id3 ID3 _PMX"
)
_AROUND: Final = frozenset(name.ljust(4) for name in _NAMES.split())
"""Chunks that may stand beside the samples."""
_MAX_CHUNK_BYTES: Final = 4096  # of those that are looked into
_DS64: Final = struct.Struct("<QQ")
_AU_FIELDS: Final = 24
_AU_ENCODINGS: Final[Mapping[int, Encoding]] = {
    1: Encoding.MU_LAW,
    2: Encoding.S8,
    3: Encoding.S16BE,
    4: Encoding.S24BE,
    5: Encoding.S32BE,
    6: Encoding.F32BE,
    7: Encoding.F64BE,
    27: Encoding.A_LAW,
}
_LITTLE: Final[Mapping[Encoding, Encoding]] = {
    Encoding.S16BE: Encoding.S16LE,
    Encoding.S24BE: Encoding.S24LE,
    Encoding.S32BE: Encoding.S32LE,
    Encoding.F32BE: Encoding.F32LE,
    Encoding.F64BE: Encoding.F64LE,
}
_CAF_DESCRIPTION: Final = struct.Struct(">d4sIIIII")  # rate, format, flags, bytes and frames a packet, channels, bits
_CAF_DESCRIPTION_AT: Final = 20
_CAF_G711: Final = {b"ulaw": Encoding.MU_LAW, b"alaw": Encoding.A_LAW}
_CAF_FLOAT: Final = 1
_CAF_LITTLE: Final = 2


class BadHeader(InvalidRequest):
    """A header that cannot be made sense of; the message goes on after "it"."""


@dataclass(frozen=True, slots=True)
class BytesNeeded:
    """So many bytes are to be looked at, from an offset on; fewer are given only at the end."""

    at: int
    size: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says of the samples."""

    encoding: Encoding | None
    """None if they are no plain samples, or if that stands behind them: only a decoder that can seek will do."""
    rate_hz: int
    channels: int
    at: int
    """Where they begin."""
    size: int | None
    """How many bytes they are at most; None: all that follows."""
    again: bytes = field(default=b"", repr=False)
    """A shorter header that says the same, for a decoder that reads what follows."""


Reading: TypeAlias = Generator[BytesNeeded, bytes, Header]


def reading_of(head: bytes, *, is_live: bool = False) -> Reading | None:
    """Return what reads the header; None if it is no WAV and no AU, and no CAF of plain samples.

    Args:
        head: the first SNIFFED_BYTES.
        is_live: nothing can be looked at twice; a size that nobody can have known means "until the end".

    Raises:
        BadHeader: while it reads.
    """
    if head[:4] in _WAVES and head[8:12] == b"WAVE":
        return _read_wave(is_live)
    if head[:4] in _AU:
        return _read_au()
    return _read_caf(head) if _caf_encoding(head) is not None else None


def _read_wave(is_live: bool) -> Reading:
    head = yield BytesNeeded(0, 12)
    is_big = head[:4] == b"RIFX"
    order = ">4sI" if is_big else "<4sI"
    form, fact, long_size = b"", b"", 0
    samples: tuple[int, int | None] | None = None
    at = 12
    while len(head := (yield BytesNeeded(at, 8))) == 8:
        name, size = struct.unpack(order, head)
        if name == b"data":
            samples = at + 8, (yield from _size_of_data(at + 8, size, long_size, is_live))
            if not form and samples[1] is None:
                break
            if form or is_live:
                return _wave(form, fact, *samples, is_big=is_big)
            size = samples[1] or 0
        elif name in {b"fmt ", b"ds64", b"fact"}:
            body = yield BytesNeeded(at + 8, min(size, _MAX_CHUNK_BYTES))
            if name == b"fmt ":
                form = body
            elif name == b"fact":
                fact = body
            elif len(body) >= _DS64.size:
                long_size = _DS64.unpack_from(body)[1]
            if form and samples is not None:
                return _wave(form, fact, *samples, is_big=is_big)
        at += 8 + size
        if size % 2:  # chunks are padded to an even size, but not by everybody
            after = yield BytesNeeded(at, 4)
            at += 0 if after in _AROUND else 1
    raise BadHeader("does not say what its samples are" if samples else "ends before its samples")


def _size_of_data(at: int, size: int, long_size: int, is_live: bool) -> Generator[BytesNeeded, bytes, int | None]:
    """Return how many bytes of samples there are, None if that is open."""
    if size in {0, _UNKNOWN} and long_size:
        return long_size
    if size == 0:  # the recorder died; or there are none, and something else follows
        following = yield BytesNeeded(at, 4)
        return 0 if following in _AROUND else None
    return None if size == _UNKNOWN or (is_live and size >= _ENDLESS) else size


def _wave(form: bytes, fact: bytes, at: int, size: int | None, *, is_big: bool) -> Header:
    magic, order = (b"RIFX", ">I") if is_big else (b"RIFF", "<I")

    def chunk(name: bytes, size: int) -> bytes:
        return name + struct.pack(order, min(size, _UNKNOWN))

    data_size = _UNKNOWN if size is None else size
    again = magic + struct.pack(order, _UNKNOWN) + b"WAVE"
    for name, body in ((b"fmt ", form), (b"fact", fact)):
        if body:
            again += chunk(name, len(body)) + body + b"\0" * (len(body) % 2)
    again += chunk(b"data", data_size)
    if not form:
        return Header(None, 0, 0, at, None, again)
    said = WaveFormat.read(form, is_big=is_big)
    if said is None:
        raise BadHeader("does not say what its samples are")
    return Header(said.encoding(is_big=is_big), said.rate_hz, said.channels, at, size, again)


def _read_au() -> Reading:
    head = yield BytesNeeded(0, _AU_FIELDS)
    if len(head) < _AU_FIELDS:
        raise BadHeader("ends before its samples")
    is_little = head[:4] == b"dns."
    order = "<" if is_little else ">"
    at, size, number, rate_hz, channels = struct.unpack(f"{order}5I", head[4:])
    if at < _AU_FIELDS:
        raise BadHeader("does not say where its samples are")
    encoding = _AU_ENCODINGS.get(number)
    if is_little and encoding is not None:
        encoding = _LITTLE.get(encoding, encoding)
    again = head[:4] + struct.pack(f"{order}5I", _AU_FIELDS, size, number, rate_hz, channels)
    return Header(encoding, rate_hz, channels, at, None if size in {0, _UNKNOWN} else size, again)


def _read_caf(head: bytes) -> Reading:
    rate_hz, _, _, _, _, channels, _ = _CAF_DESCRIPTION.unpack_from(head, _CAF_DESCRIPTION_AT)
    at = 8
    while len(chunk := (yield BytesNeeded(at, 12))) == 12:
        name, size = struct.unpack(">4sq", chunk)
        if name == b"data":
            at += 16  # a count of edits precedes the samples
            yield BytesNeeded(at, 0)
            rate_hz = round(rate_hz) if math.isfinite(rate_hz) else 0
            return Header(_caf_encoding(head), rate_hz, channels, at, None if size < 4 else size - 4)
        if size < 0:
            break
        at += 12 + size
    raise BadHeader("ends before its samples")


def _caf_encoding(head: bytes) -> Encoding | None:
    """Return how a CAF's samples are written; None if it is no CAF, or not plain."""
    if head[:4] != b"caff" or head[8:12] != b"desc" or len(head) < _CAF_DESCRIPTION_AT + _CAF_DESCRIPTION.size:
        return None
    _, name, flags, packet_bytes, _, channels, bits = _CAF_DESCRIPTION.unpack_from(head, _CAF_DESCRIPTION_AT)
    if name in _CAF_G711:
        return _CAF_G711[name]
    if name != b"lpcm" or packet_bytes * 8 != channels * bits:
        return None
    if bits == 8:
        return Encoding.S8
    is_big = not flags & _CAF_LITTLE
    return WaveFormat(FLOAT if flags & _CAF_FLOAT else PCM, channels, 0, 0, bits).encoding(is_big=is_big)
