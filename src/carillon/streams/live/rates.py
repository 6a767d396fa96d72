"""So much a second, and who asks for more waits or is refused."""

import math
from dataclasses import dataclass
from typing import Final

import anyio

from carillon.clock import Clock
from carillon.streams.settings import StreamSettings

_BURST_SECONDS: Final = 1.0
"""What may come in this time may come at once."""
_ROUNDING_SECONDS: Final = 1e-6


class RateLimiter:
    """Counts what comes, of whatever kind.

    Args:
        per_second: how much is allowed; 0 means no limit.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._burst_seconds = max(_BURST_SECONDS, 1 / per_second) if per_second else 0.0  # one may always come
        self._paid_until = -math.inf  # when all that was counted would have come at exactly this rate

    @property
    def is_limited(self) -> bool:
        """Whether there is any need to count."""
        return self._per_second > 0

    def allows(self, amount: float, now: float) -> bool:
        """Return whether so much more may come now; 0 asks whether any pause is over."""
        return not self.is_limited or self._after(amount, now) <= now + _ROUNDING_SECONDS

    def spend(self, amount: float, now: float) -> float:
        """Count what came; return for how many seconds whoever sent it must pause to keep to the rate."""
        if not self.is_limited:
            return 0.0
        self._paid_until = self._after(amount, now)
        return max(0.0, self._paid_until - now)

    async def pause(self, amount: float, clock: Clock) -> None:
        """Count what came, and let whoever sent it pause."""
        if seconds := self.spend(amount, clock.monotonic()):
            await anyio.sleep(seconds)

    def _after(self, amount: float, now: float) -> float:
        return max(self._paid_until, now - self._burst_seconds) + amount / self._per_second


@dataclass(frozen=True, slots=True)
class StreamRateLimiters:
    """Those of one stream."""

    put_calls: RateLimiter
    get_calls: RateLimiter
    written_bytes: RateLimiter
    written_fragments: RateLimiter

    @classmethod
    def of(cls, settings: StreamSettings) -> "StreamRateLimiters":
        """Return rates of which nothing is used."""
        return cls(
            put_calls=RateLimiter(settings.calls_per_second),
            get_calls=RateLimiter(settings.calls_per_second),
            written_bytes=RateLimiter(settings.written_bytes_per_second),
            written_fragments=RateLimiter(settings.written_fragments_per_second),
        )
