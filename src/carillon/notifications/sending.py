"""What a sink must do for the dispatcher, and how long to wait when it does not."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from carillon.concurrency import backoff_seconds
from carillon.errors import CarillonError, Transient
from carillon.notifications.deliveries import SinkTarget
from carillon.notifications.events import Event
from carillon.notifications.settings import NotificationSettings

Jitter = Callable[[], float]
"""Returns numbers in [0, 1), so that what failed together is not tried again together."""

any_jitter: Final[Jitter] = random.SystemRandom().random


class SendFailed(Transient):
    """A sink did not take an event; it will be tried again."""


class EventRefused(CarillonError):
    """A sink will never take this event, too large or malformed for it as it is; the next one may well be taken."""


class Sender(Protocol):
    """One kind of sink."""

    async def send(self, target: SinkTarget, event: Event) -> None:
        """Hand an event over; return only when the other side has it. May be canceled at any time.

        Raises:
            SendFailed: the other side did not take it, or is not there.
            EventRefused: the other side answered that it never will.
        """
        ...


def pause(settings: NotificationSettings, failures: int, jitter: Jitter) -> timedelta:
    """Return how long to wait after so many failures in a row: doubling up to a limit, half of it left to chance."""
    seconds = backoff_seconds(settings.first_retry_seconds, settings.longest_retry_seconds, failures)
    return timedelta(seconds=seconds * (0.5 + jitter() / 2))
