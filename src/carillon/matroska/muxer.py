"""Writes live Matroska as Kinesis producers do: one header, then Cluster after Cluster."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from carillon.matroska import elements as ids
from carillon.matroska.elements import write_element, write_float, write_id, write_text, write_uint, write_vint
from carillon.matroska.events import AUDIO, Track

_WRITER: Final = "carillon"
_KEYFRAME: Final = 0x80
_INT16: Final = range(-0x8000, 0x8000)


@dataclass(frozen=True, slots=True)
class Block:
    """One frame to write."""

    track: int
    timecode_ms: int
    data: bytes = field(repr=False)


class Muxer:
    """Writes one document with timecodes in milliseconds.

    Args:
        tracks: one or more, numbers distinct.
        metadata: tags of the document, written after Tracks.
    """

    def __init__(self, *tracks: Track, metadata: Sequence[tuple[str, str]] = ()) -> None:
        if not tracks:
            raise ValueError("A Matroska document needs at least one track.")
        self._tracks = tracks
        self._metadata = metadata

    def header(self) -> bytes:
        """Return all that stands before the first Cluster: EBML header, a Segment of unknown size, Info, Tracks."""
        return b"".join(
            [
                _ebml_header(),
                ids.UNKNOWN_SIZE_SEGMENT,
                _info(),
                write_element(ids.TRACKS, b"".join(_track_entry(track) for track in self._tracks)),
                tags_element(self._metadata) if self._metadata else b"",
            ]
        )

    def cluster(self, timecode_ms: int, blocks: Sequence[Block], known_size: bool = True) -> bytes:
        """Return one Cluster of SimpleBlocks.

        Args:
            timecode_ms: since the Segment's zero, at least 0.
            blocks: in order, each within -32768..32767 ms of the Cluster.
            known_size: False leaves the end to whatever follows, as the KVS producer SDK does.

        Raises:
            ValueError: a block is too far from the Cluster's timecode.
        """
        body = b"".join([write_uint(ids.TIMECODE, timecode_ms), *(_simple_block(b, timecode_ms) for b in blocks)])
        return write_element(ids.CLUSTER, body) if known_size else ids.UNKNOWN_SIZE_CLUSTER + body


def tags_element(pairs: Sequence[tuple[str, str]]) -> bytes:
    """Return one Tags with one Tag and a SimpleTag for each (name, text), without Targets."""
    simple_tags = (
        write_element(ids.SIMPLE_TAG, write_text(ids.TAG_NAME, name) + write_text(ids.TAG_STRING, text))
        for name, text in pairs
    )
    return write_element(ids.TAGS, write_element(ids.TAG, b"".join(simple_tags)))


def _ebml_header() -> bytes:
    body = [
        write_uint(0x4286, 1),  # EBMLVersion
        write_uint(0x42F7, 1),  # EBMLReadVersion
        write_uint(ids.EBML_MAX_ID_LENGTH, 4),
        write_uint(ids.EBML_MAX_SIZE_LENGTH, 8),
        write_text(ids.DOC_TYPE, "matroska"),
        write_uint(0x4287, 4),  # DocTypeVersion
        write_uint(0x4285, 2),  # DocTypeReadVersion: SimpleBlock came with 2
    ]
    return write_element(ids.EBML, b"".join(body))


def _info() -> bytes:
    body = [
        write_uint(ids.TIMECODE_SCALE, ids.DEFAULT_TIMECODE_SCALE_NS),
        write_text(0x4D80, _WRITER),  # MuxingApp
        write_text(0x5741, _WRITER),  # WritingApp
    ]
    return write_element(ids.INFO, b"".join(body))


def _track_entry(track: Track) -> bytes:
    body = [
        write_uint(ids.TRACK_NUMBER, track.number),
        write_uint(ids.TRACK_UID, track.uid),
        write_uint(ids.TRACK_TYPE, track.kind),
        write_uint(0x9C, 0),  # FlagLacing: we never lace
        write_text(ids.CODEC_ID, track.codec_id),
    ]
    if track.name:
        body.append(write_text(ids.TRACK_NAME, track.name))
    if track.codec_private:
        body.append(write_element(ids.CODEC_PRIVATE, track.codec_private))
    if track.codec_delay_ns:
        body.append(write_uint(ids.CODEC_DELAY, track.codec_delay_ns))
    if track.kind == AUDIO:
        body.append(write_element(ids.AUDIO_SETTINGS, _audio_settings(track)))
    return write_element(ids.TRACK_ENTRY, b"".join(body))


def _audio_settings(track: Track) -> bytes:
    body = write_float(ids.SAMPLING_FREQUENCY, track.rate_hz) + write_uint(ids.CHANNELS, track.channels)
    return body if track.bit_depth is None else body + write_uint(ids.BIT_DEPTH, track.bit_depth)


def _simple_block(block: Block, cluster_timecode_ms: int) -> bytes:
    relative = block.timecode_ms - cluster_timecode_ms
    if relative not in _INT16:
        raise ValueError(f"A block {relative} ms from its Cluster does not fit; begin a new Cluster.")
    head = write_vint(block.track) + struct.pack(">hB", relative, _KEYFRAME)
    return write_id(ids.SIMPLE_BLOCK) + write_vint(len(head) + len(block.data)) + head + block.data
