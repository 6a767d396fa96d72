"""Who is it? From cosines to the probability of each candidate, with what it was made from.

How it works. Each cosine becomes evidence: how much likelier it is of one voice than of two, by the tables of its model
for this channel and this much speech. A profile that is known by several voices counts by the one that speaks most for
it. Then Bayes' rule: the hypotheses are the persons of the domain and "somebody else"; before anything is heard, a
caller is in the domain with `known_callers`, and each person of it is as likely as any other.

The invariant. The hypotheses exclude each other, so the confidences of all persons sum to less than 1, and evidence for
one is evidence against the others. That is why somebody who was enrolled twice must be one hypothesis: as two, they
would halve each other's confidence, and the best of candidates would never be a match. All profiles of a person have
the confidence of the person.

What was decided against. A threshold on the cosine: the same cosine says much in a small domain, over a good line,
after 20 s, and little in a large one after 2. Adding up the evidence of a profile's voices: they are of one person,
often of one recording, and so not independent. To join profiles that are merely like each other: in a large domain
somebody sounds like nearly everybody, so the caller must be like both as well (`_persons`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from carillon.analysis.speaker import LogLikelihoodRatio
from carillon.audio import BandPair
from carillon.inference import posteriors
from carillon.profiles import Likeness, VoiceMatch

ENROLLED_SECONDS: Final = 20.0
"""Speech behind every enrolled voice."""
_LEAST_LIKENESS: Final = math.log(100)
_FEWEST_PEOPLE: Final = 1_000
"""In a smaller domain two profiles are not taken for one person any sooner."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A profile that it may be, and why."""

    profile_id: str
    channel: BandPair
    score: float
    """Cosine in [-1, 1]."""
    log_ratio: float
    """How much likelier that cosine is of one voice than of two: natural logarithm."""
    confidence: float
    """The probability that this is the person, the size of the domain and all other candidates considered."""
    person: int = 0
    """Candidates with the same number are taken for one person who was enrolled several times. Counted from 0."""


def decide(
    matches: Sequence[VoiceMatch],
    model: LogLikelihoodRatio,
    speech_seconds: float,
    known_callers: float,
    likenesses: Sequence[Likeness] = (),
    shift: float = 0.0,
) -> tuple[Candidate, ...]:
    """Return the profiles, best first; one that is known by several voices counts by the one that speaks most for it.

    Profiles that are one person are one hypothesis: each has the confidence of the person.

    Args:
        matches: what a search of one domain found.
        model: made the embeddings.
        speech_seconds: speech behind the searched embedding, the shorter of the two sides.
        known_callers: how likely a caller is in the domain at all, in (0, 1).
        likenesses: of the profiles that `plausible` names; without them each profile is a person of its own.
        shift: what the line of the call took from its cosines.
    """
    if not matches:
        return ()
    weighed = _weighed(matches, model, speech_seconds, shift)
    persons = _persons(weighed, _alike(likenesses, model), matches[0].size)
    size = max(matches[0].size - (len(weighed) - len(persons)), len(persons))
    confidences = posteriors([person[0].ratio for person in persons], size, known_callers)
    return tuple(
        Candidate(one.match.profile_id, one.match.channel, one.match.score, one.ratio, confidence, number)
        for number, (person, confidence) in enumerate(zip(persons, confidences, strict=True))
        for one in person
    )


def plausible(
    matches: Sequence[VoiceMatch], model: LogLikelihoodRatio, speech_seconds: float, shift: float = 0.0
) -> list[str]:
    """Return the profiles that something speaks for: those of which it matters whether they are one person."""
    return [one.match.profile_id for one in _weighed(matches, model, speech_seconds, shift) if one.ratio > 0]


@dataclass(frozen=True, slots=True)
class _Weighed:
    match: VoiceMatch
    ratio: float


def _weighed(
    matches: Sequence[VoiceMatch], model: LogLikelihoodRatio, speech_seconds: float, shift: float
) -> list[_Weighed]:
    """Return the best evidence for each profile, strongest first."""
    found: dict[str, _Weighed] = {}
    for match in matches:
        ratio = model.log_likelihood_ratio(match.score + shift, speech_seconds, match.channel)
        if match.profile_id not in found or ratio > found[match.profile_id].ratio:
            found[match.profile_id] = _Weighed(match, ratio)
    return sorted(found.values(), key=lambda one: (-one.ratio, -one.match.score))


def _alike(likenesses: Sequence[Likeness], model: LogLikelihoodRatio) -> Mapping[frozenset[str], float]:
    """Return for each pair of profiles how much likelier their voices are of one person than of two."""
    found: dict[frozenset[str], float] = {}
    for likeness in likenesses:
        ratio = model.log_likelihood_ratio(likeness.score, ENROLLED_SECONDS, likeness.channel)
        pair = frozenset((likeness.one, likeness.other))
        found[pair] = max(ratio, found.get(pair, ratio))
    return found


def _persons(
    weighed: Sequence[_Weighed], alike: Mapping[frozenset[str], float], size: int
) -> Sequence[Sequence[_Weighed]]:
    """Put the profiles of one person together: best first, each with those that it is like on average.

    Their voices must speak for one person, at odds of 100 to 1 at least. And since a large domain has people who sound
    alike, that and the weaker of the caller's likenesses must outweigh the odds of meeting one of them, each once: of a
    person who is enrolled twice a caller is like both; somebody's double is less like the caller than he himself is.
    """
    needed = 2 * math.log(max(size, _FEWEST_PEOPLE))
    persons: list[list[_Weighed]] = []
    for one in weighed:
        for person in persons:
            ratios = [alike.get(frozenset((one.match.profile_id, other.match.profile_id)), 0.0) for other in person]
            likeness = sum(ratios) / len(ratios)
            if likeness >= _LEAST_LIKENESS and likeness + one.ratio >= needed:
                person.append(one)
                break
        else:
            persons.append([one])
    return persons
