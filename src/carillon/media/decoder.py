"""One participant out of fragment after fragment: samples with a wall time, each once, gaps reported.

Producers are not tidy. After a broken connection they send fragments again under new numbers, their clocks are set,
they pause, and what an endpoint cannot read is missing. What adjoins what is judged by the producer's own clock, in
which a fragment begins where the one before ended; the endpoint's clock tells a gap from a clock that was set. Within a
fragment a pause is silence: whoever suppresses silence sends blocks whose times go on though no samples came.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

import numpy as np
from prometheus_client import Counter

from carillon.audio import Pcm
from carillon.clock import to_millis
from carillon.matroska import BlockRead
from carillon.media.channels import Channel, ChannelSource, find_channel
from carillon.media.codecs import UnsupportedMedia
from carillon.media.fragments import Fragment
from carillon.media.packets import PacketDecoder
from carillon.media.pcm import bytes_per_sample, to_pcm

_LONGEST_FRAGMENT_MS: Final = 60_000  # Kinesis allows 20 s
_MOST_SAMPLES: Final = 60 * 48_000
_APART: Final = timedelta(seconds=1)
_LEAST_LOST: Final = timedelta(seconds=0.5)
"""Clocks jitter, and a fragment's last block may be late: less than this is no loss."""
_MOST_RECENT: Final = 64

_LOST: Final = Counter(
    "carillon_media_lost_seconds_total",
    "Audio that tasks did not hear: what no fragment brought, between one and the next",
)


class RateMismatch(UnsupportedMedia):
    """The track's rate is not the declared one."""

    def __init__(self, track_hz: int, declared_hz: int) -> None:
        super().__init__(
            f"The stream has {track_hz} samples a second, but {declared_hz} were declared. "
            "Set MediaSampleRate to what the producer sends, or tasks.rate_mismatch to lenient."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """One fragment's samples for one leg."""

    fragment_number: str
    started_at: datetime
    """Wall time of the first sample."""
    rate_hz: int
    samples: Pcm = field(repr=False)
    """(n,), maybe none."""
    is_apart: bool = False
    """It does not adjoin the chunk before: over a second is missing, a clock was set, or the rate is another one than
    before (at first: than was declared)."""


@dataclass(frozen=True, slots=True)
class FragmentFingerprint:
    """What a decoded fragment is recognized by if the producer sends it again."""

    at_ms: int
    """Of the producer's clock."""
    size: int
    """Bytes of the channel's track."""
    checksum: int


@dataclass(frozen=True, slots=True)
class DecoderState:
    """All that a ChannelDecoder remembers across a restart: under 80 kB. Replaced, never mutated."""

    rate_hz: int = 0
    """Of the last chunk; 0 before the first."""
    ended_at: datetime | None = None
    """When the last sample was over, by the producer's clock."""
    server_ended_at: datetime | None = None
    """The same by the endpoint's clock, as if it had received every sample when it was said."""
    lead: tuple[bytes, ...] = field(default=(), repr=False)
    """Packets that a decoder must have decoded before the next."""
    recent: tuple[FragmentFingerprint, ...] = ()


class ChannelDecoder:
    """Turns fragments, in the order of their numbers, into one participant's samples.

    Args:
        source: what was declared.
        state: where an earlier decoder of the same leg stopped. What follows is then the same: to the bit for samples,
            and as far as packets let a decoder begin anew (`packets.py`) for compressed audio.
        is_lenient: take the track's rate where it is not the declared one.
        counts_losses: what is missing shows in the metrics.
        tolerance_seconds: a block that begins later than the samples before it end, but not by more than this, only
            has a time that jitters.
    """

    def __init__(
        self,
        source: ChannelSource,
        state: DecoderState | None = None,
        *,
        is_lenient: bool = False,
        counts_losses: bool = True,
        tolerance_seconds: float = 0.2,
    ) -> None:
        self.state = state or DecoderState()
        self._source = source
        self._is_lenient = is_lenient
        self._counts_losses = counts_losses
        self._tolerance_seconds = tolerance_seconds
        self._packets: PacketDecoder | None = None  # what it remembers is made again of `state.lead`

    def decode(self, fragment: Fragment) -> Chunk:
        """Return the samples that the participant has in a fragment: none of what was decoded before.

        Samples are counted from the first block on, since block times have only milliseconds; where a block is later
        than that by more than the tolerance, it was silent in between. Audio whose times run back, or overlap, is kept
        in the order in which it came, and ends as much later. A sample frame that a block cuts off is completed by the
        next block, or dropped at the end of the fragment.

        Raises:
            UnsupportedMedia: no such channel, a codec that we do not read, or more than a minute in one fragment.
            RateMismatch: the track has another rate than was declared, and we are not lenient.
        """
        channel = find_channel(fragment.tracks, self._source)
        blocks = [block for block in fragment.blocks if block.track == channel.track.number]
        offset = _offset(fragment, blocks)
        blocks = self._new(fragment, blocks, offset)
        if not blocks:
            return self._silence(fragment, offset)
        offset = _offset(fragment, blocks)
        ahead = self._ahead(fragment.producer_at + offset)
        is_apart = abs(ahead) > _APART
        samples, rate_hz, delay = self._samples(channel, blocks, is_apart=is_apart)
        if not rate_hz:
            return self._silence(fragment, offset)
        if rate_hz != self._source.rate_hz and not self._is_lenient:
            raise RateMismatch(rate_hz, self._source.rate_hz)
        if self._counts_losses:
            _LOST.inc(self._lost(fragment, ahead).total_seconds())
        is_apart = is_apart or rate_hz != (self.state.rate_hz or self._source.rate_hz)
        length = timedelta(seconds=len(samples) / rate_hz)
        self.state = replace(
            self.state,
            rate_hz=rate_hz,
            ended_at=fragment.producer_at + offset - delay + length,
            server_ended_at=fragment.server_at + length,
        )
        return Chunk(fragment.number, fragment.wall_at + offset - delay, rate_hz, samples, is_apart)

    def _new(self, fragment: Fragment, blocks: list[BlockRead], offset: timedelta) -> list[BlockRead]:
        """Leave out what the producer has sent before: all of a fragment, or the beginning that got through then."""
        if not fragment.has_real_time or not blocks:
            return blocks  # clocks that count from zero say the same again at every connection
        at_ms = to_millis(fragment.producer_at + offset)
        before = {(sent.size, sent.checksum) for sent in self.state.recent if sent.at_ms == at_ms}
        size = checksum = heard = 0
        for count, block in enumerate(blocks, start=1):
            size += len(block.data)
            checksum = zlib.crc32(block.data, checksum)
            if (size, checksum) in before:
                heard = count
        recent = [sent for sent in self.state.recent if sent.at_ms != at_ms]
        recent.append(FragmentFingerprint(at_ms, size, checksum))
        self.state = replace(self.state, recent=tuple(recent[-_MOST_RECENT:]))
        return blocks[heard:]

    def _ahead(self, began_at: datetime) -> timedelta:
        """Return by how much a fragment begins later than the last one ended, by the producer's clock."""
        return timedelta() if self.state.ended_at is None else began_at - self.state.ended_at

    def _lost(self, fragment: Fragment, ahead: timedelta) -> timedelta:
        """Return how much audio is missing before a fragment: what both clocks agree on."""
        if self.state.server_ended_at is None or abs(ahead) < _LEAST_LOST:
            return timedelta()
        received = fragment.server_at - self.state.server_ended_at
        lost = received if ahead < timedelta() else min(ahead, received)
        return lost if lost >= _LEAST_LOST else timedelta()

    def _samples(self, channel: Channel, blocks: Sequence[BlockRead], *, is_apart: bool) -> tuple[Pcm, int, timedelta]:
        """Return the channel's samples, their rate, and by how much the first is older than its block."""
        times_ms = [block.timecode_ms for block in blocks]
        if not channel.codec.encoding.is_compressed:
            samples, starts = _plain(channel, blocks)
            rate_hz = channel.codec.rate_hz or self._source.rate_hz
            return _with_pauses(samples, starts, times_ms, rate_hz, self._tolerance_seconds), rate_hz, timedelta()
        decoder = self._decoder_of(channel, is_apart=is_apart)
        decoded = decoder.decode([block.data for block in blocks], _MOST_SAMPLES)
        self.state = replace(self.state, lead=decoder.lead)
        if not decoded.rate_hz:
            if not self.state.rate_hz:  # it never worked, so it is not only this fragment
                raise UnsupportedMedia(
                    f"Nothing in track {channel.track.number} ({channel.track.codec_id}) can be decoded. "
                    "Check that its CodecPrivate belongs to what is sent."
                )
            return _nothing(), 0, timedelta()
        if len(decoded.planes) != channel.count:
            raise UnsupportedMedia(
                f"Track {channel.track.number} decodes to {len(decoded.planes)} channels instead of {channel.count}. "
                "Let the producer say in the track what it sends."
            )
        samples = decoded.planes[channel.at]
        placed = _with_pauses(samples, decoded.starts, times_ms, decoded.rate_hz, self._tolerance_seconds)
        return placed, decoded.rate_hz, timedelta(seconds=decoded.delay_seconds)

    def _decoder_of(self, channel: Channel, *, is_apart: bool) -> PacketDecoder:
        """Return the decoder that has decoded what came before; after a gap a new one."""
        if self._packets is None or is_apart or self._packets.codec != channel.codec:
            is_resuming = self._packets is None and not is_apart
            self._packets = PacketDecoder(channel.codec, self.state.lead if is_resuming else ())
        return self._packets

    def _silence(self, fragment: Fragment, offset: timedelta) -> Chunk:
        rate_hz = self.state.rate_hz or self._source.rate_hz
        return Chunk(fragment.number, fragment.wall_at + offset, rate_hz, _nothing())


def _nothing() -> Pcm:
    return np.zeros(0, np.float32)


def _plain(channel: Channel, blocks: Sequence[BlockRead]) -> tuple[Pcm, Sequence[int]]:
    """Return the channel's samples, and at which of them each block begins."""
    encoding = channel.codec.encoding
    data = b"".join(block.data for block in blocks)
    frame_bytes = bytes_per_sample(encoding) * channel.count
    if len(data) > _MOST_SAMPLES * frame_bytes:
        raise UnsupportedMedia(f"A fragment holds over {_MOST_SAMPLES} samples. Let the producer send shorter ones.")
    samples = to_pcm(encoding, data[: len(data) - len(data) % frame_bytes])
    ends = accumulate(len(block.data) for block in blocks)
    starts = [0, *(-(-end // frame_bytes) for end in ends)][:-1]
    return np.ascontiguousarray(samples[channel.at :: channel.count]), starts


def _with_pauses(
    samples: Pcm, starts: Sequence[int], times_ms: Sequence[int], rate_hz: int, tolerance_seconds: float
) -> Pcm:
    """Return samples with silence where blocks begin later than the samples before them end.

    What is over a minute off, or would make the fragment as long, is no pause but another clock, and leaves none.
    """
    tolerance = tolerance_seconds * rate_hz
    parts: list[Pcm] = []
    done = added = 0
    for start, at_ms in zip(starts, times_ms, strict=False):
        pause = (at_ms - times_ms[0]) * rate_hz // 1000 - (start - starts[0]) - added
        if pause > tolerance and len(samples) + added + pause <= _LONGEST_FRAGMENT_MS * rate_hz // 1000:
            parts += [samples[done:start], np.zeros(pause, np.float32)]
            done, added = start, added + pause
    return np.concatenate([*parts, samples[done:]]) if parts else samples


def _offset(fragment: Fragment, blocks: Sequence[BlockRead]) -> timedelta:
    """Return how long after the Cluster's timecode the first block begins."""
    offset_ms = blocks[0].timecode_ms - fragment.timecode_ms if blocks else 0
    if abs(offset_ms) > _LONGEST_FRAGMENT_MS:
        raise UnsupportedMedia(f"Fragment {fragment.number} has audio {offset_ms} ms from its Cluster's timecode.")
    return timedelta(milliseconds=offset_ms)
