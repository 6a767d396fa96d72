"""Ties media time, the position in the call, to wall time, when it was said.

Media time counts samples; it stands still while audio is missing. So the timeline keeps where audio began anew: after a
gap, and where a producer's clock was set. Within a report times never run backwards, whatever clocks did.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from carillon.media import Chunk
from carillon.tasks.model import Anchor, Checkpoint

_MOST_ANCHORS: Final = 32


@dataclass(frozen=True, slots=True)
class Timeline:
    """The audio that a task has analyzed so far. Replaced after each chunk, never mutated."""

    start_fragment: str
    """The fragment that the analysis started at."""
    anchors: tuple[Anchor, ...]
    """Where audio began: the first sample, then the latest places where it began anew."""
    rate_hz: int
    """Of the last samples."""
    heard_samples: int
    """Samples so far, in units of that rate: media time, counted exactly."""
    heard_until: datetime
    """Wall time of the last sample: re-anchored at every fragment, since block times have only milliseconds."""

    @classmethod
    def begun(cls, chunk: Chunk) -> "Timeline":
        """Return the timeline of a task that has analyzed nothing but a chunk."""
        at = chunk.started_at
        return cls(chunk.fragment_number, (Anchor(0, at),), chunk.rate_hz, 0, at).advanced(chunk)

    @classmethod
    def resumed(cls, checkpoint: Checkpoint, start_fragment: str, rate_hz: int) -> "Timeline":
        """Take up the timeline that a checkpoint kept.

        Args:
            checkpoint: of the task.
            start_fragment: that the analysis started at.
            rate_hz: of the last samples.
        """
        anchors = (Anchor(0, checkpoint.first_at), *checkpoint.anchors)
        return cls(start_fragment, anchors, rate_hz, checkpoint.heard_samples, checkpoint.heard_until)

    @property
    def heard_ms(self) -> int:
        """Return the media time of the last sample."""
        return self.heard_samples * 1000 // self.rate_hz

    @property
    def first_at(self) -> datetime:
        """Return the wall time of the first sample."""
        return self.anchors[0].at

    def advanced(self, chunk: Chunk) -> "Timeline":
        """Return what it is after a chunk. One without samples changes nothing: it may be of any time."""
        if not len(chunk.samples):
            return self
        anchors = self.anchors
        if not self.heard_samples:
            anchors = (Anchor(0, chunk.started_at),)
        elif chunk.is_apart:
            later = (*anchors[1:], Anchor(self.heard_ms, chunk.started_at))
            anchors = (anchors[0], *later[1 - _MOST_ANCHORS :])
        return replace(
            self,
            anchors=anchors,
            rate_hz=chunk.rate_hz,
            heard_samples=self.heard_samples * chunk.rate_hz // self.rate_hz + len(chunk.samples),
            heard_until=chunk.started_at + timedelta(seconds=len(chunk.samples) / chunk.rate_hz),
        )

    def wall(self, media_ms: int) -> datetime:
        """Return when something at a media time was said; never before the first sample of its stretch of audio."""
        last = self.anchors[-1]
        if media_ms >= last.media_ms:
            return max(last.at, self.heard_until - timedelta(milliseconds=self.heard_ms - media_ms))
        began = max(index for index, anchor in enumerate(self.anchors) if anchor.media_ms <= media_ms)
        anchor, *later = self.anchors[began:]
        return min(anchor.at + timedelta(milliseconds=media_ms - anchor.media_ms), *(after.at for after in later))
