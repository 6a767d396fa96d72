"""Request rates by family of operations, as AWS has them; off unless an operator wants them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from carillon.access.errors import RateExceeded
from carillon.bounds import Rate, Seconds
from carillon.clock import Clock


@dataclass(frozen=True, slots=True)
class ThrottleSettings:
    """How often and how much at once clients may ask; 0 means as much as they like.

    Requests a second are of one access key, and of one family of operations.
    """

    configurations: Rate = 0.0
    """Create, Get, Update, Delete and List of pipeline configurations (AWS: 5)."""
    pipelines: Rate = 0.0
    """Create, Get, List and Delete of pipelines, Pause and Resume."""
    domains: Rate = 0.0
    """Voice profile domains."""
    profiles: Rate = 0.0
    """Voice profiles."""
    speaker_searches: Rate = 0.0
    """Speaker search tasks."""
    voice_tones: Rate = 0.0
    """Voice tone analysis tasks."""
    burst_seconds: Seconds = 1.0
    """How many seconds' worth of requests may come at once."""
    concurrent_calls: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Requests at the same time that change one voice profile domain, voice profile or task (AWS: 1)."""


_FAMILIES: Final[tuple[tuple[str, str], ...]] = (  # the first part of a name that an operation's name contains
    ("MediaInsightsPipelineConfiguration", "configurations"),
    ("MediaInsightsPipeline", "pipelines"),
    ("MediaPipeline", "pipelines"),
    ("VoiceProfileDomain", "domains"),
    ("VoiceProfile", "profiles"),
    ("SpeakerSearchTask", "speaker_searches"),
    ("VoiceToneAnalysisTask", "voice_tones"),
)
_MOST_CALLERS: Final = 10_000


@dataclass(slots=True)
class _Bucket:
    """What is left of a rate: tokens that come back with time."""

    tokens: float
    at: float  # monotonic


class Throttle:
    """Counts requests by caller and family."""

    def __init__(self, settings: ThrottleSettings, clock: Clock) -> None:
        self._burst_seconds = settings.burst_seconds
        self._clock = clock
        self._rates: Mapping[str, float] = {
            family: rate for _, family in _FAMILIES if (rate := getattr(settings, family)) > 0
        }
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def check(self, caller: str, operation: str) -> None:
        """Count a request.

        Raises:
            RateExceeded: the caller asks too often.
        """
        if not self._rates:
            return
        family = family_of(operation)
        rate = self._rates.get(family or "")
        if rate is None or family is None:
            return
        most = max(1.0, rate * self._burst_seconds)
        now = self._clock.monotonic()
        bucket = self._bucket(caller, family, most, now)
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1:
            raise RateExceeded(
                f"{operation} belongs to {family}, of which {rate:g} requests a second are allowed. Ask again later."
            )
        bucket.tokens -= 1

    def _bucket(self, caller: str, family: str, most: float, now: float) -> _Bucket:
        if len(self._buckets) >= _MOST_CALLERS:
            self._buckets.clear()  # only keys that were verified get this far, so there are never really so many
        return self._buckets.setdefault((caller, family), _Bucket(most, now))


def family_of(operation: str) -> str | None:
    """Return the family that an operation's rate is counted in, None for one that has no rate."""
    return next((family for part, family in _FAMILIES if part in operation), None)
