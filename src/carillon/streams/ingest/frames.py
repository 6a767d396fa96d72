"""What the frames of a fragment say of it: when it begins and ends, and which tracks are in it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from carillon.matroska import BlockRead, Track

TrackPaces: TypeAlias = Mapping[int, float]
"""Bytes per millisecond, by the numbers of the tracks."""


@dataclass(slots=True)
class FrameTimes:
    """Those that have come so far. Times are milliseconds since the Segment's zero."""

    tracks: set[int] = field(default_factory=set)
    first_ms: int = 0
    first_track: int = 0
    last_ms: int = 0
    last_track: int = 0
    end_ms: int = 0
    """When the last one to end does, as far as that can be told."""

    @property
    def span_ms(self) -> int:
        """Return how much later the last began than the first."""
        return self.last_ms - self.first_ms

    def add(self, frame: BlockRead, pace: float, longest_ms: float) -> None:
        """Take the next one.

        Args:
            frame: the frame.
            pace: of its track.
            longest_ms: no frame is taken to be longer.
        """
        duration_ms = 0
        if pace:
            duration_ms = round(min(len(frame.data) / pace, longest_ms))
        elif self.last_track == frame.track:  # then it lasts about as long as the one before
            duration_ms = max(0, frame.timecode_ms - self.last_ms)
        if not self.tracks:
            self.first_ms, self.first_track = frame.timecode_ms, frame.track
        self.tracks.add(frame.track)
        self.last_ms, self.last_track = frame.timecode_ms, frame.track
        self.end_ms = max(self.end_ms, frame.timecode_ms + duration_ms)

    def follow(self, before: "FrameTimes") -> bool:
        """Return whether the first is later than the last of another fragment, if that has any.

        Frames of two tracks may share a moment and yet be cut apart, so equal times count for one and the same track.
        """
        if not before.tracks:
            return True
        if self.first_ms == before.last_ms:
            return self.first_track != before.last_track
        return self.first_ms > before.last_ms


def pace(track: Track) -> float:
    """Return how many bytes of a track play in a millisecond; 0 for codecs whose frames do not say."""
    bytes_per_ms = track.rate_hz * track.channels * (track.bit_depth or 0) / 8000
    return bytes_per_ms if track.codec_id.startswith("A_PCM/") and 0 < bytes_per_ms < math.inf else 0.0
