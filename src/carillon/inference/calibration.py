"""From a cosine to the probability that this is the person.

Two steps. A cosine becomes a log likelihood ratio: how much likelier it is between two stretches of one voice than
between two voices, which depends on how much speech there was and on the channels (tables, fitted on speech whose
speakers are known). Then Bayes' rule, over all candidates of a domain at once: before any audio every one of
its profiles is as likely, so a cosine says less in a large domain, and a strong runner-up takes from the winner.

The tables come with the speaker model's manifest, or from `carillon calibrate` in a file of the operator's own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from carillon.audio import BandPair
from carillon.inference.catalog import CalibrationEntry, ModelBroken

MOST_CONFIDENT: Final = 0.99
"""The tables rest on too few errors to claim more."""
MOST_EVIDENCE: Final = math.log(1e6)
"""No cosine counts for more than odds of a million to one: the tables extrapolate there, and people have siblings."""


@dataclass(frozen=True, slots=True)
class CalibrationLine:
    """Natural log likelihood ratio = a * cosine + b, before the cap; a >= 0."""

    a: float
    b: float

    def at(self, score: float) -> float:
        """Return the log likelihood ratio of a cosine, capped on both sides."""
        return min(max(self.a * score + self.b, -MOST_EVIDENCE), MOST_EVIDENCE)


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `carillon calibrate` writes: tables for one speaker model, made from an operator's own calls."""

    model: str
    """Id of the speaker model; with another one the file is refused."""
    made_on: str
    people: int
    calibration: tuple[CalibrationEntry, ...]


def line_of(table: Sequence[CalibrationEntry], speech_seconds: float, channel: BandPair) -> CalibrationLine | None:
    """Return what a cosine says at so much speech; None if the table has nothing on the channel.

    Between two lengths of the table both are interpolated, linearly in the logarithm of the length; outside, the
    shortest or the longest counts.
    """
    entries = sorted((entry for entry in table if entry.channel == channel), key=lambda entry: entry.min_seconds)
    if not entries:
        return None
    longer = next((i for i, entry in enumerate(entries) if entry.min_seconds > speech_seconds), len(entries))
    below, above = entries[max(longer - 1, 0)], entries[min(longer, len(entries) - 1)]
    if below is above:
        return CalibrationLine(below.a, below.b)
    share = math.log(speech_seconds / below.min_seconds) / math.log(above.min_seconds / below.min_seconds)
    return CalibrationLine(below.a + share * (above.a - below.a), below.b + share * (above.b - below.b))


def log_likelihood_ratio(
    table: Sequence[CalibrationEntry], score: float, speech_seconds: float, channel: BandPair
) -> float:
    """Return how much likelier a cosine is of one person than of two: natural logarithm, within +-`MOST_EVIDENCE`.

    Args:
        table: lines by length and channel. Without one for the channel a cosine says nothing: 0.
        score: cosine in [-1, 1] of two embeddings of the same model.
        speech_seconds: speech on the shorter of the two sides, above 0.
        channel: which channels the two sides are from.
    """
    line = line_of(table, speech_seconds, channel)
    return 0.0 if line is None else line.at(score)


def posteriors(log_ratios: Sequence[float], size: int, known: float = 0.5) -> list[float]:
    """Return the probability of each candidate to be the person, in [0, 0.99]; together at most 1.

    P(i) = (known / size) LR_i / ((1 - known) + sum over j of (known / size) LR_j). Candidates that are left out of the
    sum, because they are not among the best, are taken to have a ratio of nothing.

    Args:
        log_ratios: of the best candidates, natural logarithms.
        size: profiles in the domain that was searched, at least as many as candidates.
        known: how likely a caller is in the domain at all, before any audio, in (0, 1).
    """
    weights = [known / size * math.exp(ratio) for ratio in log_ratios]
    total = (1.0 - known) + sum(weights)
    return [min(weight / total, MOST_CONFIDENT) for weight in weights]


def read_calibration(path: Path, model_id: str) -> Calibration:
    """Read a file of `carillon calibrate`.

    Raises:
        ModelBroken: it cannot be read, is of another model, or holds a line that cannot be: says which.
    """
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=Calibration)
    except OSError as error:
        raise ModelBroken(path, f"the calibration cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelBroken(path, f"the calibration cannot be used: {error}.") from error
    if found.model != model_id:
        raise ModelBroken(path, f"it was made for the model {found.model!r}, not {model_id!r}. Run carillon calibrate.")
    if len({(entry.channel, entry.min_seconds) for entry in found.calibration}) < len(found.calibration):
        raise ModelBroken(path, "two tables are for the same channel and length.")
    for entry in found.calibration:
        if not (entry.min_seconds > 0 and entry.a >= 0 and math.isfinite(entry.a) and math.isfinite(entry.b)):
            raise ModelBroken(path, f"the table for {entry.channel} at {entry.min_seconds} s is not a rising line.")
    return found


def replaced(table: Sequence[CalibrationEntry], own: Sequence[CalibrationEntry]) -> tuple[CalibrationEntry, ...]:
    """Return the model's tables with those of an operator's own in place of all that are for the same channels."""
    channels = {entry.channel for entry in own}
    return (*(entry for entry in table if entry.channel not in channels), *own)
