"""The places where reading a stream can start."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from carillon.clock import Clock, from_millis
from carillon.streams.fragment_numbers import BEFORE_ALL, FragmentNumber, just_before
from carillon.streams.live.live_stream import LiveStream
from carillon.streams.live.store import Cursor, Store

_CLOCK_SLACK: Final = timedelta(days=1)
"""By how much clocks may have been set back or forth since a fragment number was made."""


@dataclass(frozen=True, slots=True)
class Now:
    """Start with the newest fragment if it is only just over, else with the next."""


@dataclass(frozen=True, slots=True)
class Earliest:
    """Start with the oldest fragment there is."""


@dataclass(frozen=True, slots=True)
class AfterFragment:
    """Start with the fragment that follows this one.

    Raises:
        NotAFragmentNumber: the digits are none.
    """

    number: str

    def __post_init__(self) -> None:
        FragmentNumber.parse(self.number)


@dataclass(frozen=True, slots=True)
class AtServerTime:
    """Start with the fragment that was arriving at this time, or else with the next."""

    at: datetime


@dataclass(frozen=True, slots=True)
class AtProducerTime:
    """Start with the fragment that was recorded at this time, or else with the one recorded next."""

    at: datetime


StartSelector: TypeAlias = Now | Earliest | AfterFragment | AtServerTime | AtProducerTime


async def find(start: StartSelector, live: LiveStream, store: Store, clock: Clock, now_seconds: float) -> Cursor | None:
    """Return the place in a stream; None for a fragment that the stream never had."""
    match start:
        case Earliest():
            return Cursor(BEFORE_ALL)
        case AtServerTime(at):
            return await store.before_server_time(live, at)
        case AtProducerTime(at):
            return await store.before_producer_time(live, at)
        case AfterFragment(number):
            is_known = _may_be_of(live, FragmentNumber.parse(number), clock) or await store.has(live, number)
            return Cursor(str(FragmentNumber.parse(number))) if is_known else None
        case Now():
            return _before_newest(live, clock, now_seconds)


def _before_newest(live: LiveStream, clock: Clock, now_seconds: float) -> Cursor:
    # AWS: "the latest fragment" is no use to a listener if it is of yesterday's call.
    newest = live.newest
    if newest is None:
        return Cursor(BEFORE_ALL)
    if newest.completed_at is not None:
        is_recent = clock.monotonic() - newest.completed_at <= now_seconds
    else:
        is_recent = timedelta() <= clock.now() - newest.received_at <= timedelta(seconds=now_seconds)
    return Cursor(just_before(newest.number) if is_recent else newest.number)


def before_current_speech(live: LiveStream, clock: Clock) -> str:
    """Return the number after which somebody begins who is to hear what is being said now, and nothing before.

    That is the fragment that is arriving, or else the next; or the newest, if it was sent faster than it is spoken and
    would still be playing. Empty if the stream has no fragment yet. Clocks may be set at any time: none is asked but
    the one that only runs forward.
    """
    newest = live.newest
    if newest is None:
        return ""
    if newest.completed_at is None or newest.left is None:
        return newest.number
    return just_before(newest.number) if clock.monotonic() - newest.completed_at < newest.left else newest.number


def _may_be_of(live: LiveStream, number: FragmentNumber, clock: Clock) -> bool:
    """Return whether we gave this number to a fragment of the stream, be it still arriving, broken off, or expired.

    A reader that got a fragment which a crash then took from us before it was stored must be able to read on.
    """
    was_given = 0 < number.sequence <= live.reserved_sequence
    since, until = live.stream.created_at - _CLOCK_SLACK, clock.now() + _CLOCK_SLACK
    try:
        return was_given and since <= from_millis(number.server_millis) <= until
    except OverflowError:
        return False
