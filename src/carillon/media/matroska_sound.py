"""A Matroska recording as samples: decoded as a live stream's fragments are, pauses between its blocks silent."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from carillon.clock import from_millis
from carillon.matroska import (
    AUDIO,
    BlockRead,
    ClusterEnded,
    ClusterTimecode,
    Demuxer,
    Limits,
    MatroskaEvent,
    Track,
    TracksRead,
    TruncatedElement,
)
from carillon.media.channels import ChannelSource
from carillon.media.codecs import UnsupportedMedia, codec_of
from carillon.media.decoder import ChannelDecoder, Chunk
from carillon.media.fragments import Fragment

_READ_BYTES: Final = 65_536
_MOST_BLOCK_BYTES: Final = 50 << 20
_LONGEST_MS: Final = 10_000
_MOST_BLOCKS: Final = 5_000
_STEREO: Final = 2
_ANY_RATE_HZ: Final = 8_000  # of PCM whose track has no rate
_LEAST_GAP_SECONDS: Final = 0.5
_MOST_GAP_SECONDS: Final = 3_600.0
"""A time further off than this is no pause but another clock, and leaves none."""
_SILENT_FRAMES: Final = 480_000
_LATEST_MS: Final = 10**14  # a datetime ends with the year 9999


class MatroskaSound:
    """The audio of a Matroska file: one track of one or two channels, or the first two of several mono tracks.

    Args:
        file: can seek.

    Raises:
        UnsupportedMedia: no audio that we read; also while reading.
        MatroskaError: damaged; also while reading.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        first_fragment = next(_fragments(file), None)
        self._source = ChannelSource(1, 0, _ANY_RATE_HZ) if first_fragment is None else _source(first_fragment.tracks)
        self.channels: Final = self._source.count
        first = next((chunks[0] for chunks in self._chunks()), None)
        self.rate_hz: Final = self._source.rate_hz if first is None else first.rate_hz

    def frames(self) -> int:
        """Return how many samples each channel has, by decoding everything."""
        return sum(len(block) for block in self.blocks())

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield (n, channels) samples from the beginning; what is cut off just ends sooner."""
        began = None
        done = 0
        for chunks in self._chunks():
            starts = [chunk.started_at for chunk in chunks if len(chunk.samples)]
            began = began or min(starts)
            at = round((min(starts) - began).total_seconds() * self.rate_hz)
            if _LEAST_GAP_SECONDS * self.rate_hz < at - done <= _MOST_GAP_SECONDS * self.rate_hz:
                for begin in range(done, at, _SILENT_FRAMES):
                    yield np.zeros((min(at - begin, _SILENT_FRAMES), self.channels), np.float32)
                done = at
            block = self._beside(chunks)
            done += len(block)
            yield block

    def _beside(self, chunks: list[Chunk]) -> npt.NDArray[np.float32]:
        """Return the channels of one stretch of time side by side, silent where one has nothing."""
        began = min(chunk.started_at for chunk in chunks if len(chunk.samples))
        offsets = [max(0, round((chunk.started_at - began).total_seconds() * self.rate_hz)) for chunk in chunks]
        length = max(at + len(chunk.samples) for at, chunk in zip(offsets, chunks, strict=True) if len(chunk.samples))
        block = np.zeros((length, self.channels), np.float32)
        for channel, (at, chunk) in enumerate(zip(offsets, chunks, strict=True)):
            if len(chunk.samples):
                block[at : at + len(chunk.samples), channel] = chunk.samples
        return block

    def _chunks(self) -> Iterator[list[Chunk]]:
        """Yield what each channel has in each fragment in which one has something."""
        sources = [replace(self._source, index=index) for index in range(self.channels)]
        decoders = [ChannelDecoder(source, is_lenient=True, counts_losses=False) for source in sources]
        rate_hz = None
        for fragment in _fragments(self._file):
            chunks = [decoder.decode(fragment) for decoder in decoders]
            heard = [chunk for chunk in chunks if len(chunk.samples)]
            if heard:
                rate_hz = rate_hz or heard[0].rate_hz
                if any(chunk.rate_hz != rate_hz for chunk in heard):
                    raise UnsupportedMedia("Its sample rate changes on the way.")
                yield chunks


def _source(tracks: tuple[Track, ...]) -> ChannelSource:
    heard = sorted((track for track in tracks if track.kind == AUDIO), key=lambda track: track.number)
    if not heard:
        raise UnsupportedMedia("It has no audio track.")
    codec = codec_of(heard[0])
    count = codec.channels or 1
    if count > _STEREO:
        raise UnsupportedMedia(f"Its audio track has {count} channels; one or two can be read.")
    if count == 1 and len(heard) >= _STEREO:
        count = _STEREO
    return ChannelSource(count, 0, codec.rate_hz or _ANY_RATE_HZ)


def _fragments(file: IO[bytes]) -> Iterator[Fragment]:
    """Yield a file's Clusters, cut where they are long."""
    gathered = _Gathered()
    for event in _events(file):
        match event:
            case TracksRead(tracks=tracks) if not gathered.tracks:
                gathered.tracks = tracks
            case ClusterTimecode() | ClusterEnded():
                yield from gathered.taken()
            case BlockRead():
                if gathered.is_full(event):
                    yield from gathered.taken()
                gathered.blocks.append(event)
    yield from gathered.taken()


def _events(file: IO[bytes]) -> Iterator[MatroskaEvent]:
    file.seek(0)
    demuxer = Demuxer(Limits(max_element_bytes=_MOST_BLOCK_BYTES))
    while data := file.read(_READ_BYTES):
        yield from demuxer.feed(data)
    with suppress(TruncatedElement):
        yield from demuxer.end()


class _Gathered:
    """Blocks that will be a fragment."""

    def __init__(self) -> None:
        self.tracks: tuple[Track, ...] = ()
        self.blocks: list[BlockRead] = []

    def is_full(self, block: BlockRead) -> bool:
        if not self.blocks:
            return False
        return len(self.blocks) >= _MOST_BLOCKS or block.timecode_ms - self.blocks[0].timecode_ms >= _LONGEST_MS

    def taken(self) -> Iterator[Fragment]:
        if self.blocks:
            at_ms = self.blocks[0].timecode_ms
            at = from_millis(0) + timedelta(milliseconds=min(at_ms, _LATEST_MS))
            yield Fragment(str(at_ms), at, at, self.tracks, tuple(self.blocks), {}, at_ms)
            self.blocks = []
