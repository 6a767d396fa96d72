"""The Matroska that the SDK's generator writes: every size field has one fixed width, whatever it holds.

| element | size field |
|---|---|
| EBML, and everything in the Segment Information | 1 byte |
| Segment, Cluster | 1 byte, unknown (0xFF) |
| Info | 2 bytes |
| Tracks, TrackEntry, Audio | 4 bytes |
| TrackName, CodecID, CodecPrivate | as many as it takes |
| SimpleBlock, Tags, Tag, SimpleTag, TagName, TagString | 8 bytes |
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

APPLICATION = b"Kinesis Video SDK"
VERSION = b"1.1.0"
END_OF_FRAGMENT = "AWS_KINESISVIDEO_END_OF_FRAGMENT"
KEY_FRAME = 0x80
AUDIO = 2
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


@dataclass(frozen=True)
class Track:
    """One audio track, numbered by its place in the list."""

    name: str
    codec_id: str
    private: bytes
    rate_hz: int
    channels: int
    uid: int = 1


@dataclass(frozen=True)
class Frame:
    """What becomes one SimpleBlock."""

    track: int
    at_ms: int
    data: bytes
    flags: int = 0


def header(tracks: Sequence[Track], segment_uid: bytes, client_id: str = "") -> bytes:
    """Return everything that a connection begins with."""
    return _ebml() + bytes.fromhex("18538067 FF") + _info(segment_uid, client_id) + _tracks(tracks)


def cluster(timecode_ms: int, frames: Sequence[Frame]) -> bytes:
    """Return one fragment: a Cluster whose end is whatever comes next."""
    head = bytes.fromhex("1F43B675 FF") + _element("E7", timecode_ms.to_bytes(8, "big")) + _element("A7", b"\0")
    return head + b"".join(_block(frame, timecode_ms) for frame in frames)


def tags(name: str, value: str) -> bytes:
    """Return one piece of fragment metadata: each stands in a Tags of its own."""
    simple = _element("45A3", name.encode(), 8) + _element("4487", value.encode(), 8)
    return _element("1254C367", _element("7373", _element("67C8", simple, 8), 8), 8)


def g711(law: int, rate_hz: int, channels: int) -> bytes:
    """Return a WAVEFORMATEX, 6 for A-law or 7 for mu-law: too low a byte rate, and no bits per sample."""
    return struct.pack("<HHIIHHH", law, channels, rate_hz, channels * rate_hz // 8, channels, 0, 0)


def aac(rate_hz: int, channels: int) -> bytes:
    """Return an AudioSpecificConfig of two bytes for AAC-LC."""
    return (2 << 11 | AAC_RATES.index(rate_hz) << 7 | channels << 3).to_bytes(2, "big")


def _ebml() -> bytes:
    fields = [("4286", b"\1"), ("42F7", b"\1"), ("42F2", b"\4"), ("42F3", b"\x08")]
    fields += [("4282", b"matroska"), ("4287", b"\2"), ("4285", b"\2")]
    return _element("1A45DFA3", b"".join(_element(name, value) for name, value in fields))


def _info(segment_uid: bytes, client_id: str) -> bytes:
    application = b" ".join([APPLICATION, VERSION, *([client_id.encode()] if client_id else [])])
    fields = [("73A4", segment_uid), ("2AD7B1", (1_000_000).to_bytes(8, "big")), ("7BA9", APPLICATION)]
    fields += [("4D80", application), ("5741", application)]
    return _element("1549A966", b"".join(_element(name, value) for name, value in fields), 2)


def _tracks(tracks: Sequence[Track]) -> bytes:
    return _element("1654AE6B", b"".join(_entry(number, track) for number, track in enumerate(tracks, 1)), 4)


def _entry(number: int, track: Track) -> bytes:
    audio = _element("B5", struct.pack(">d", track.rate_hz)) + _element("9F", bytes([track.channels]))
    fields = [("D7", bytes([number])), ("73C5", track.uid.to_bytes(8, "big")), ("83", bytes([AUDIO]))]
    fields += [("536E", track.name.encode()), ("86", track.codec_id.encode())]
    body = b"".join(_element(name, value) for name, value in fields)
    return _element("AE", body + _element("E1", audio, 4) + _element("63A2", track.private), 4)


def _block(frame: Frame, cluster_ms: int) -> bytes:
    head = bytes([0x80 | frame.track]) + struct.pack(">h", frame.at_ms - cluster_ms) + bytes([frame.flags])
    return _element("A3", head + frame.data, 8)


def _element(name: str, body: bytes, width: int = 1) -> bytes:
    assert len(body) < (1 << 7 * width) - 1, f"{name} needs a wider size than the SDK gives it"
    return bytes.fromhex(name) + ((1 << 7 * width) | len(body)).to_bytes(width, "big") + body
