"""Fragment numbers: 47 digits that grow with every fragment of a stream, across connections and restarts.

    2^156 + sequence * 2^92 + server time in ms * 2^28 + 28 random bits

The width never changes, so numbers compare alike as strings, as integers and in every database; some consumers of
GetMedia compare them as strings. The sequence leads, so the clock may be set back without harm.

Source: eight numbers recorded from AWS, all of which decode so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from carillon.clock import to_millis
from carillon.streams.errors import NotAFragmentNumber

RANDOM_BITS: Final = 28
_TIME_BITS: Final = 64
_SEQUENCE_BITS: Final = 64
_BASE: Final = 1 << (_SEQUENCE_BITS + _TIME_BITS + RANDOM_BITS)
_DIGITS: Final = 47

BEFORE_ALL: Final = "0" * _DIGITS
"""Sorts before every fragment number."""


@dataclass(frozen=True, slots=True)
class FragmentNumber:
    """What a fragment number says."""

    sequence: int
    server_millis: int
    random: int

    @classmethod
    def parse(cls, text: str) -> "FragmentNumber":
        """Take a number apart.

        Raises:
            NotAFragmentNumber: not digits, or not in the layout.
        """
        if not (text.isascii() and text.isdigit() and len(text) <= 2 * _DIGITS):
            raise NotAFragmentNumber(text)
        rest = int(text) - _BASE
        if not 0 <= rest < _BASE:
            raise NotAFragmentNumber(text)
        return cls(
            sequence=rest >> (_TIME_BITS + RANDOM_BITS),
            server_millis=(rest >> RANDOM_BITS) % (1 << _TIME_BITS),
            random=rest % (1 << RANDOM_BITS),
        )

    def __str__(self) -> str:
        return str(_BASE + (((self.sequence << _TIME_BITS) + self.server_millis) << RANDOM_BITS) + self.random)


def last_of(sequence: int) -> str:
    """Return the greatest number that this sequence could have: all later sequences sort after it."""
    return str(_BASE + ((sequence + 1) << (_TIME_BITS + RANDOM_BITS)) - 1)


def just_before(number: str) -> str:
    """Return the number that sorts right before this one."""
    return str(int(number) - 1)


class NumberSource:
    """Gives out the numbers of one connection, by 1 each, from a range that was reserved for it in the database.

    Args:
        used: the last sequence that may have been given out before.
        random: returns RANDOM_BITS random bits.
    """

    def __init__(self, used: int, random: Callable[[], int]) -> None:
        self.used = used
        """The last one that may have been given out."""
        self._reserved = used
        self._random = random

    @property
    def left(self) -> int:
        """How many numbers can be given out before more must be reserved."""
        return self._reserved - self.used

    def extend(self, reserved: int) -> None:
        """Extend the range: all sequences up to `reserved` are ours."""
        self._reserved = reserved

    def next(self, server_at: datetime) -> str:
        """Return the number of a fragment that began to arrive at this time; the caller has seen to `left`."""
        assert self.left, "numbers are reserved before the bytes that need them are read"
        self.used += 1
        return str(FragmentNumber(self.used, to_millis(server_at), self._random()))
