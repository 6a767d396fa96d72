"""Several frames in one Block (RFC 9559, section 10.3): Xiph, EBML and fixed-size lacing undone."""

from typing import Final

from carillon.matroska.elements import read_vint
from carillon.matroska.errors import InvalidElement

LACING_BITS: Final = 0x06
_XIPH: Final = 0x02
_FIXED: Final = 0x04


def unlace(body: bytes, flags: int, offset: int) -> list[bytes]:
    """Split what follows the flags of a laced Block into its frames, at most 256.

    Args:
        body: from the byte that counts the frames to the end of the Block.
        flags: the Block's flags, some lacing bit set.
        offset: of the Block in the stream, for the error.

    Raises:
        InvalidElement: the sizes do not add up to the Block.
    """
    if not body:
        raise InvalidElement("A laced block does not say how many frames it has", offset)
    count = body[0] + 1
    lacing = flags & LACING_BITS
    if lacing == _FIXED:
        sizes, at = _fixed_sizes(len(body) - 1, count, offset), 1
    elif lacing == _XIPH:
        sizes, at = _xiph_sizes(body, count, offset)
    else:
        sizes, at = _ebml_sizes(body, count, offset)
    frames = []
    for size in sizes:
        frames.append(body[at : at + size])
        at += size
    return frames


def _fixed_sizes(total: int, count: int, offset: int) -> list[int]:
    # Without the check for nothing at all, seven bytes would make 256 empty frames.
    if total % count or not total:
        raise InvalidElement(f"A block of {total} bytes does not divide into {count} laced frames", offset)
    return [total // count] * count


def _xiph_sizes(body: bytes, count: int, offset: int) -> tuple[list[int], int]:
    sizes, at = [], 1
    for _ in range(count - 1):
        size = 0
        while at < len(body) and body[at] == 0xFF:
            size += 0xFF
            at += 1
        if at == len(body):
            raise _runs_over(offset)
        sizes.append(size + body[at])
        at += 1
    return _with_last(sizes, len(body) - at, offset), at


def _ebml_sizes(body: bytes, count: int, offset: int) -> tuple[list[int], int]:
    sizes: list[int] = []
    at = 1
    for _ in range(count - 1):
        read = read_vint(body, at, offset)
        if read is None or read[0] is None:
            raise _runs_over(offset)
        value, after = read[0], read[1]
        if sizes:  # a difference: half of the range lies below zero
            value += sizes[-1] + 1 - (1 << 7 * (after - at) - 1)
        if value < 0:
            raise _runs_over(offset)
        sizes.append(value)
        at = after
    return _with_last(sizes, len(body) - at, offset), at


def _with_last(sizes: list[int], room: int, offset: int) -> list[int]:
    last = room - sum(sizes)
    if last < 0:
        raise _runs_over(offset)
    return [*sizes, last]


def _runs_over(offset: int) -> InvalidElement:
    return InvalidElement("The sizes of laced frames run over the end of their block", offset)
