"""Matroska that others have made, as Kinesis takes it: the audio alone, every Cluster as long as a fragment may be.

Recorders write Clusters of half a minute, or a single one; Kinesis refuses a fragment of more than 20 s, and a fragment
is only analyzed once it is whole. So longer Clusters are cut. Times, tags and the frames of the blocks stay as they
were.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from carillon.matroska import (
    AUDIO,
    Block,
    BlockRead,
    ClusterEnded,
    ClusterTimecode,
    Demuxer,
    DocumentStarted,
    Limits,
    MatroskaEvent,
    Muxer,
    TagsRead,
    Track,
    TracksRead,
    TruncatedElement,
    tags_element,
)
from carillon.media.codecs import Codec, UnsupportedMedia, codec_of
from carillon.media.pcm import bytes_per_sample

_MOST_BLOCK_BYTES: Final = 50 << 20  # as much as Kinesis takes in a fragment
_MOST_BYTES: Final = 4 << 20
_EARLIEST_MS: Final = -30_000  # a Cluster holds what is less than 32.8 s from it


class Recut:
    """Takes the bytes of a document, any number at a time; returns those of one with shorter Clusters.

    Args:
        fragment_seconds: a Cluster holds no more than so much, and no second block beyond 4 MiB.
    """

    def __init__(self, fragment_seconds: float) -> None:
        self._fragment_ms = round(fragment_seconds * 1000)
        self._demuxer = Demuxer(Limits(max_element_bytes=_MOST_BLOCK_BYTES))
        self._tracks: tuple[Track, ...] | None = None
        self._audio: dict[int, Codec] = {}
        self._muxer: Muxer | None = None
        self._blocks: list[Block] = []
        self._bytes = 0
        self._first_ms: int | None = None
        self._last_ms = 0
        self._step_ms = 0

    @property
    def seconds(self) -> float:
        """Return how much has come, by the blocks' times: the last block is taken to be as long as the one before."""
        return 0.0 if self._first_ms is None else (self._last_ms - self._first_ms + self._step_ms) / 1000

    @property
    def is_empty(self) -> bool:
        """Return whether no sound has come."""
        return self._first_ms is None

    def push(self, data: bytes) -> bytes:
        """Take some bytes; return those that are whole with them, maybe none.

        Raises:
            UnsupportedMedia: there is no audio track.
            MatroskaError: damaged.
        """
        return b"".join(self._take(event) for event in self._demuxer.feed(data))

    def end(self) -> bytes:
        """Return what is left; where the document was cut off, all that is there.

        Raises:
            MatroskaError: damaged.
        """
        with suppress(TruncatedElement):
            self._demuxer.end()
        return self._cluster()

    def _take(self, event: MatroskaEvent) -> bytes:
        match event:
            case BlockRead() if event.track in self._audio:
                return b"".join(self._take_block(block) for block in self._cut(event))
            case TracksRead(tracks=tracks) if tracks != self._tracks:
                return self._cluster() + self._begin(tracks)
            case TagsRead(tags=tags) if tags and self._muxer is not None:
                return self._cluster() + tags_element(tags)
            case ClusterTimecode() | ClusterEnded():
                return self._cluster()
            case DocumentStarted():
                self._tracks = None
        return b""

    def _begin(self, tracks: tuple[Track, ...]) -> bytes:
        audio = [track for track in tracks if track.kind == AUDIO]
        if not audio:
            raise UnsupportedMedia("It has no audio track.")
        self._tracks = tracks
        self._audio = {track.number: codec_of(track) for track in audio}
        self._muxer = Muxer(*audio)
        return self._muxer.header()

    def _cut(self, block: BlockRead) -> Iterator[Block]:
        """Yield a block, cut where it holds more plain samples than a fragment may."""
        codec = self._audio[block.track]
        if not codec.encoding.is_compressed and codec.rate_hz:
            frame_bytes = bytes_per_sample(codec.encoding) * (codec.channels or 1)
            step = max(1, self._fragment_ms * codec.rate_hz // 1000) * frame_bytes
            for at in range(0, len(block.data), step):
                later_ms = at // frame_bytes * 1000 // codec.rate_hz
                yield Block(block.track, block.timecode_ms + later_ms, block.data[at : at + step])
        else:
            yield Block(block.track, block.timecode_ms, block.data)

    def _take_block(self, block: Block) -> bytes:
        at_ms = block.timecode_ms
        if self._first_ms is None:
            self._first_ms = self._last_ms = at_ms
        if at_ms > self._last_ms:
            self._last_ms, self._step_ms = at_ms, min(at_ms - self._last_ms, self._fragment_ms)
        cluster = b""
        if self._blocks and not (
            _EARLIEST_MS <= at_ms - self._blocks[0].timecode_ms < self._fragment_ms
            and self._bytes + len(block.data) < _MOST_BYTES
        ):
            cluster = self._cluster()
        self._blocks.append(block)
        self._bytes += len(block.data)
        return cluster

    def _cluster(self) -> bytes:
        """Return what was gathered as one Cluster, nothing if there is nothing."""
        if not self._blocks or self._muxer is None:
            return b""
        blocks, self._blocks, self._bytes = self._blocks, [], 0
        return self._muxer.cluster(max(0, blocks[0].timecode_ms), blocks)
