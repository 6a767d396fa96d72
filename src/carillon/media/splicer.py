"""Audio that comes in pieces, on one clock: placed by time, what is missing made silent, cut into fragments. No I/O.

Where pieces carry no time, one follows another. Where they do, a piece stands where its time says, but for what is
less than a piece: senders round their times, and audio that was sent is never torn by that. Times that run apart from
the samples shift the clock; audio in order is never dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from carillon.matroska import AUDIO, Block, Muxer, Track
from carillon.media.encodings import A_LAW, MU_LAW, WaveFormat
from carillon.media.files import check_fragment_seconds

_BLOCK_SECONDS: Final = 0.02  # as telephones packetize
_DRIFT_SECONDS: Final = 1.0
"""Audio that is so far behind its own times has been held up for good: the clock is shifted, for all tracks alike."""


class SampleFormat(Enum):
    """How one sample is written; the values are ffmpeg's names."""

    S16LE = "s16le"
    MU_LAW = "mulaw"
    A_LAW = "alaw"

    @property
    def sample_bytes(self) -> int:
        """Return 2 for PCM, 1 for G.711."""
        return len(_SILENCE[self])

    @property
    def silence(self) -> bytes:
        """Return one silent sample."""
        return _SILENCE[self]


_SILENCE: Final = {SampleFormat.S16LE: b"\0\0", SampleFormat.MU_LAW: b"\xff", SampleFormat.A_LAW: b"\xd5"}
_WAVE_TAGS: Final = {SampleFormat.MU_LAW: MU_LAW, SampleFormat.A_LAW: A_LAW}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the samples of a live stream are written."""

    format: SampleFormat
    rate_hz: int
    channels: int
    """1 or 2; two are interleaved."""

    def track(self) -> Track:
        """Return the Matroska track that carries such samples."""
        tag = _WAVE_TAGS.get(self.format)
        private = b"" if tag is None else WaveFormat(tag, self.channels, self.rate_hz, self.channels, 8).packed()
        return Track(
            number=1,
            uid=1,
            kind=AUDIO,
            name="call",
            codec_id="A_PCM/INT/LIT" if tag is None else "A_MS/ACM",
            codec_private=private,
            rate_hz=float(self.rate_hz),
            channels=self.channels,
            bit_depth=8 * self.format.sample_bytes,
        )


@dataclass(slots=True)
class _TrackBuffer:
    """What one track has sent that is not in a fragment yet."""

    data: bytearray = field(default_factory=bytearray, repr=False)
    head: int = 0  # the frame up to which `data` reaches, counted from the beginning of the stream
    gaps: list[tuple[int, int]] = field(default_factory=list)  # frames of `data` that were made silent, not sent
    rest: bytes = field(default=b"", repr=False)  # the beginning of a frame
    last_ms: int | None = None


class Splicer:
    """Takes pieces of one or two tracks and returns Clusters, each a fragment.

    Args:
        layout: of what is returned.
        started_at_ms: epoch time of the first sample.
        tracks: how many come separately, 1 or 2. Two are mono and become the left and the right channel.
        fragment_seconds: how long each fragment is; the last may be shorter.
        late_seconds: how long a fragment waits for what is missing in it, after more recent audio has come.
        most_gap_seconds: a time further off than this is no gap but another clock, and leaves none.
        metadata: tags of the document.

    Raises:
        BadFragmentLength: out of range.
    """

    def __init__(
        self,
        layout: Layout,
        started_at_ms: int,
        *,
        tracks: int = 1,
        fragment_seconds: float = 1.0,
        late_seconds: float = 0.2,
        most_gap_seconds: float = 60.0,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        check_fragment_seconds(fragment_seconds)
        rate_hz = layout.rate_hz
        self._layout = layout
        self._started_at_ms = started_at_ms
        self._muxer = Muxer(layout.track(), metadata=metadata)
        self._buffers = [_TrackBuffer() for _ in range(tracks)]
        self._silence = layout.format.silence * (layout.channels // tracks)  # one frame of one track
        self._start = 0  # the first frame that was not returned
        self._shift: int | None = None  # from the senders' times, in frames, to ours
        self._fragment = max(1, round(fragment_seconds * rate_hz))
        self._late = round(late_seconds * rate_hz)
        self._most_gap = round(most_gap_seconds * rate_hz)
        self._drift = round(_DRIFT_SECONDS * rate_hz)
        self._filled = 0
        self._dropped = 0

    @property
    def seconds(self) -> float:
        """Return how far the track that is furthest has come."""
        return max(buffer.head for buffer in self._buffers) / self._layout.rate_hz

    @property
    def filled_seconds(self) -> float:
        """Return how much silence was put in, of all tracks together."""
        return self._filled / self._layout.rate_hz

    @property
    def dropped_seconds(self) -> float:
        """Return how much came out of order and too late."""
        return self._dropped / self._layout.rate_hz

    def header(self) -> bytes:
        """Return what stands before the first Cluster."""
        return self._muxer.header()

    def push(self, track: int, data: bytes, at_ms: int | None = None) -> list[bytes]:
        """Take the next piece of a track; return the fragments that are whole with it.

        Args:
            track: 0 or 1.
            data: any number of bytes; a frame that it cuts off is completed by the next piece.
            at_ms: when it begins, on the sender's clock, whose zero may be anywhere; None says right after the last.
        """
        buffer = self._buffers[track]
        whole = buffer.rest + data if buffer.rest else data
        length = len(whole) // len(self._silence)
        buffer.rest = whole[length * len(self._silence) :]
        if not length:
            return []
        at = self._place(buffer, length, at_ms)
        if at is None:
            self._fill_in(buffer, whole, length, at_ms)
            return self._cut()
        return [*self._reach(buffer, at, is_gap=True), *self._append(buffer, whole, length)]

    def fill_until(self, seconds: float) -> list[bytes]:
        """Make all tracks silent up to a time since the beginning, where nothing came; return what is whole with it."""
        target = round(seconds * self._layout.rate_hz)
        fragments: list[bytes] = []
        for buffer in self._buffers:
            if buffer.head < target:
                fragments += self._reach(buffer, target, is_gap=False)
        return fragments + self._cut()

    def end(self) -> list[bytes]:
        """Return all that is left, as nothing more will come."""
        fragments = self._cut()
        furthest = max(buffer.head for buffer in self._buffers)
        while self._start < furthest:
            fragments.append(self._take(min(self._start + self._fragment, furthest)))
        return fragments

    def _place(self, buffer: _TrackBuffer, length: int, at_ms: int | None) -> int | None:
        """Return the frame at which a piece begins, not before its head; None if it is older than what came."""
        if at_ms is None:
            return buffer.head
        at = at_ms * self._layout.rate_hz // 1000
        last_ms, buffer.last_ms = buffer.last_ms, at_ms
        if self._shift is None:
            self._shift = max(other.head for other in self._buffers) - at
        ahead = at + self._shift - buffer.head
        if abs(ahead) > self._most_gap:
            self._shift -= ahead
            return buffer.head
        if last_ms is not None and at_ms < last_ms:
            buffer.last_ms = last_ms
            return None
        if ahead < -self._drift:
            self._shift -= ahead
        return buffer.head + ahead if ahead >= length else buffer.head

    def _fill_in(self, buffer: _TrackBuffer, data: bytes, length: int, at_ms: int | None) -> None:
        """Put a late piece into the gap that it left, or drop it."""
        assert at_ms is not None
        assert self._shift is not None
        at = at_ms * self._layout.rate_hz // 1000 + self._shift
        size = len(self._silence)
        for index, (start, end) in enumerate(buffer.gaps):
            if start - length < at < end and end - start >= length:
                at = min(max(at, start), end - length)
                offset = (at - self._start) * size
                buffer.data[offset : offset + length * size] = data[: length * size]
                left = ((start, at), (at + length, end))
                buffer.gaps[index : index + 1] = [gap for gap in left if gap[0] < gap[1]]
                self._filled -= length
                return
        self._dropped += length

    def _reach(self, buffer: _TrackBuffer, at: int, *, is_gap: bool) -> list[bytes]:
        """Make a buffer silent up to a frame; return fragments on the way there, so that little is ever buffered."""
        fragments = []
        while self._start + self._fragment + self._late <= at:
            fragments.append(self._take(self._start + self._fragment))
        if at > buffer.head:
            if is_gap:
                buffer.gaps.append((buffer.head, at))
            self._extend(buffer, at)
        return fragments

    def _extend(self, buffer: _TrackBuffer, at: int) -> None:
        self._filled += at - buffer.head
        buffer.data += self._silence * (at - buffer.head)
        buffer.head = at

    def _append(self, buffer: _TrackBuffer, data: bytes, length: int) -> list[bytes]:
        buffer.data += data[: length * len(self._silence)]
        buffer.head += length
        return self._cut()

    def _cut(self) -> list[bytes]:
        """Return the fragments that are whole, or have waited long enough to be."""
        fragments = []
        while self._is_due(self._start + self._fragment):
            fragments.append(self._take(self._start + self._fragment))
        return fragments

    def _is_due(self, end: int) -> bool:
        if max(buffer.head for buffer in self._buffers) >= end + self._late:
            return True
        return all(buffer.head >= end and not (buffer.gaps and buffer.gaps[0][0] < end) for buffer in self._buffers)

    def _take(self, end: int) -> bytes:
        """Return the fragment up to a frame, what is missing in it silent."""
        parts = []
        for buffer in self._buffers:
            if buffer.head < end:
                self._extend(buffer, end)
            size = (end - self._start) * len(self._silence)
            parts.append(bytes(buffer.data[:size]))
            del buffer.data[:size]
            buffer.gaps = [(max(start, end), stop) for start, stop in buffer.gaps if stop > end]
        cluster = self._cluster(parts[0] if len(parts) == 1 else self._interleaved(*parts))
        self._start = end
        return cluster

    def _interleaved(self, left: bytes, right: bytes) -> bytes:
        width = len(self._silence)
        both = bytearray(2 * len(left))
        for byte in range(width):
            both[byte :: 2 * width] = left[byte::width]
            both[width + byte :: 2 * width] = right[byte::width]
        return bytes(both)

    def _cluster(self, data: bytes) -> bytes:
        """Return frames, which stand at the start, as one Cluster."""
        rate_hz = self._layout.rate_hz
        size = self._layout.format.sample_bytes * self._layout.channels
        step = max(1, round(_BLOCK_SECONDS * rate_hz)) * size
        blocks = [
            Block(1, self._started_at_ms + (self._start + at // size) * 1000 // rate_hz, data[at : at + step])
            for at in range(0, len(data), step)
        ]
        return self._muxer.cluster(blocks[0].timecode_ms, blocks)
