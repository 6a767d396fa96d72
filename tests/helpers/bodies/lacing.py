"""Several frames in one block, as RFC 9559 (section 10.3) says; ours never writes them."""

from collections.abc import Sequence
from itertools import pairwise
from struct import pack
from typing import Final

from carillon.matroska.elements import SIMPLE_BLOCK, write_element, write_vint

XIPH: Final = 0x02
FIXED: Final = 0x04
EBML: Final = 0x06
KINDS: Final = {"Xiph": XIPH, "fixed": FIXED, "EBML": EBML}
_KEYFRAME: Final = 0x80


def laced_block(frames: Sequence[bytes], lacing: int, relative: int = 0) -> bytes:
    """Return a SimpleBlock of track 1."""
    return write_element(SIMPLE_BLOCK, b"\x81" + pack(">hB", relative, _KEYFRAME | lacing) + lace(frames, lacing))


def lace(frames: Sequence[bytes], lacing: int) -> bytes:
    """Return what follows the flags: how many frames, all their sizes but the last, the frames."""
    sizes = [len(frame) for frame in frames[:-1]]
    if lacing == XIPH:
        written = [b"\xff" * (size // 255) + bytes([size % 255]) for size in sizes]
    elif lacing == EBML:
        written = [write_vint(size) for size in sizes[:1]]
        written += [_difference(after - before) for before, after in pairwise(sizes)]
    else:
        written = []
    return bytes([len(frames) - 1]) + b"".join(written) + b"".join(frames)


def _difference(value: int) -> bytes:
    """Return a signed vint; half of each length's range lies below zero, and all ones stays reserved."""
    length = next(n for n in range(1, 9) if abs(value) < (1 << 7 * n - 1) - 1)
    return write_vint(value + (1 << 7 * length - 1) - 1, length)
