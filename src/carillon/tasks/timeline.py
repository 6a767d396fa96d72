"""Ties media time, the position in the call, to wall time, when it was said."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.tasks.model import Checkpoint


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a task has heard so far. Replaced after each chunk, never mutated."""

    start_fragment: str
    """The fragment that the analysis started at."""
    first_at: datetime
    """Wall time of the first sample."""
    heard_samples: int
    """Samples heard at the leg's rate: media time, counted exactly."""
    heard_ms: int
    """Media time of the last sample."""
    heard_until: datetime
    """Wall time of the last sample: re-anchored at every fragment, since block times have only milliseconds."""

    @classmethod
    def resumed(cls, checkpoint: Checkpoint, start_fragment: str) -> "Timeline":
        """Take up the timeline that a checkpoint kept."""
        return cls(
            start_fragment, checkpoint.first_at, checkpoint.heard_samples, checkpoint.heard_ms, checkpoint.heard_until
        )

    def wall(self, media_ms: int) -> datetime:
        """Return when something at a media time was said; never before the first sample."""
        return max(self.first_at, self.heard_until - timedelta(milliseconds=self.heard_ms - media_ms))
