"""Who is it? From cosines to the probability of each candidate, with what it was made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from carillon.inference import posteriors
from carillon.profiles import Band, Channel, Match


class Scores(Protocol):
    """What a speaker model knows of its own cosines."""

    def log_likelihood_ratio(self, score: float, speech_seconds: float, channel: Channel) -> float:
        """Tell how much likelier a cosine is of one voice than of two, as a natural logarithm."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A profile that it may be, and why."""

    profile_id: str
    channel: Channel
    score: float
    """Cosine in [-1, 1]."""
    log_ratio: float
    """How much likelier that cosine is of one voice than of two: natural logarithm."""
    confidence: float
    """The probability that this is the person, the size of the domain and all other candidates considered."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the answer to one search was made from, for whoever asks later: numbers and ids, nothing of a voice."""

    task_id: str
    domain_id: str
    model_id: str
    band: Band
    """How the caller was heard."""
    speech_seconds: float
    """Behind the searched embedding."""
    known_voices: int
    """In the domain, of which the candidates are the nearest."""
    threshold: float
    """The confidence from which on a candidate is a match."""
    candidates: tuple[Candidate, ...]
    """Best first, matches or not."""

    @property
    def matches(self) -> tuple[Candidate, ...]:
        """Return the candidates that are told of."""
        return tuple(candidate for candidate in self.candidates if candidate.confidence >= self.threshold)


def decide(
    matches: Sequence[Match], model: Scores, speech_seconds: float, known_callers: float
) -> tuple[Candidate, ...]:
    """Return the profiles, best first; one that is known by several voices counts by the one that speaks most for it.

    Args:
        matches: what a search of one domain found.
        model: made the embeddings.
        speech_seconds: speech behind the searched embedding, the shorter of the two sides.
        known_callers: how likely a caller is in the domain at all, in (0, 1).
    """
    if not matches:
        return ()
    found: dict[str, tuple[float, Match]] = {}
    for match in matches:
        ratio = model.log_likelihood_ratio(match.score, speech_seconds, match.channel)
        if match.profile_id not in found or ratio > found[match.profile_id][0]:
            found[match.profile_id] = ratio, match
    ordered = sorted(found.values(), key=lambda pair: (-pair[0], -pair[1].score))
    confidences = posteriors([ratio for ratio, _ in ordered], max(matches[0].size, len(ordered)), known_callers)
    return tuple(
        Candidate(match.profile_id, match.channel, match.score, ratio, confidence)
        for (ratio, match), confidence in zip(ordered, confidences, strict=True)
    )
