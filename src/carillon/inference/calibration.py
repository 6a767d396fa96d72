"""From a cosine to a confidence in [0, 1]: what the same cosine means depends on how much speech it was made from.

The tables come with the manifest. They assume that both answers, same person and another, are equally likely; the prior
of a large domain is not in them.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from carillon.inference.catalog import CalibrationEntry

Channel: TypeAlias = Literal["wb", "tel", "cross"]
"""Which channels are compared: both wideband, both telephone (300-3400 Hz), or one of each."""

MOST_CONFIDENT: Final = 0.99
"""The tables rest on too few errors to claim more."""


def confidence(table: Sequence[CalibrationEntry], score: float, speech_seconds: float, channel: Channel) -> float:
    """Return how likely a cosine in [-1, 1] is of one person, in [0, 0.99].

    Args:
        table: the manifest's; the entry for the most speech that is not more than `speech_seconds` counts, and below
            the shortest that one. Without any entry for the channel the cosine itself is returned, cut to the range.
        score: cosine of two embeddings of the same model.
        speech_seconds: speech on the shorter of the two sides.
        channel: which channels the two sides are from.
    """
    entries = sorted((entry for entry in table if entry.channel == channel), key=lambda entry: entry.min_seconds)
    if not entries:
        return min(max(score, 0.0), MOST_CONFIDENT)
    reached = [entry for entry in entries if entry.min_seconds <= speech_seconds]
    entry = reached[-1] if reached else entries[0]
    return min(1.0 / (1.0 + math.exp(-(entry.a * score + entry.b))), MOST_CONFIDENT)
