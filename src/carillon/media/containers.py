"""What a recording is, by its first bytes and never by its name: which decides who reads it."""

from enum import Enum
from typing import Final

from carillon.media.headers import SNIFFED_BYTES, reading_of


class Container(Enum):
    """What holds a recording, as far as it matters who reads it."""

    PLAIN = "WAV or AU"
    MATROSKA = "Matroska"
    LIBSNDFILE = "another sound file"
    LIBAV = "MP4, AAC or AMR"


_EBML: Final = b"\x1a\x45\xdf\xa3"
_WAVE64: Final = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb"
_IRCAM: Final = (b"\x64\xa3\x01\x00", b"\x00\x01\xa3\x64")
_OTHERS: Final = (b"fLaC", b"OggS", b"ID3", b"FORM", b"caff", b"NIST_1A", b"Creative Voice File")
_LIBSNDFILE: Final = (*_OTHERS, *_IRCAM, _WAVE64)
_LIBAV: Final = (b"#!AMR",)
_SYNC: Final = 0xFFE0  # of an MPEG audio frame: eleven ones
_LAYER: Final = 0x06  # zero only in ADTS
_VERSION: Final = 0x18
_RESERVED_VERSION: Final = 0x08
_BIT_RATE: Final = 0xF0  # all ones are no bit rate, and no sample rate
_RATE: Final = 0x0C


def container_of(head: bytes, *, is_described: bool = False) -> Container | None:
    """Return what a recording is, None if it is nothing that we read.

    Args:
        head: its first SNIFFED_BYTES bytes, or all there are.
        is_described: somebody says that it is raw samples, which can look like the beginning of an MPEG frame.
    """
    if reading_of(head) is not None:
        return Container.PLAIN
    if head.startswith(_EBML):
        return Container.MATROSKA
    if head.startswith(_LIBSNDFILE):
        return Container.LIBSNDFILE
    if head[4:8] == b"ftyp" or head.startswith(_LIBAV):
        return Container.LIBAV
    if is_described or len(head) < SNIFFED_BYTES or int.from_bytes(head[:2], "big") & _SYNC != _SYNC:
        return None
    if not head[1] & _LAYER:
        return Container.LIBAV  # ADTS
    is_mpeg = head[1] & _VERSION != _RESERVED_VERSION and head[2] & _BIT_RATE != _BIT_RATE
    return Container.LIBSNDFILE if is_mpeg and head[2] & _RATE != _RATE else None
