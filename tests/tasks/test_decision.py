import math

import pytest

from carillon.profiles import Channel, Match
from carillon.tasks import decide

KNOWN = 0.5


class Scores:
    """A cosine counts twenty times itself on one channel, ten times across."""

    def log_likelihood_ratio(self, score: float, speech_seconds: float, channel: Channel) -> float:
        return score * (10 if channel == "cross" else 20)


def match(profile_id: str, score: float, channel: Channel = "tel", size: int = 100) -> Match:
    return Match(profile_id, score, channel, size)


def test_nobody_found_is_nobody() -> None:
    assert decide((), Scores(), 10, KNOWN) == ()


def test_the_best_evidence_comes_first_whatever_its_cosine() -> None:
    found = decide([match("a", 0.5, "cross"), match("b", 0.4)], Scores(), 10, KNOWN)
    assert [candidate.profile_id for candidate in found] == ["b", "a"]


def test_a_profile_of_several_voices_counts_once_by_the_one_that_speaks_most_for_it() -> None:
    (found,) = decide([match("a", 0.2), match("a", 0.5, "cross"), match("a", 0.1)], Scores(), 10, KNOWN)
    assert (found.score, found.channel, found.log_ratio) == (0.5, "cross", 5.0)


def test_confidences_are_probabilities_that_exclude_each_other() -> None:
    found = decide([match(name, 0.9) for name in "abc"], Scores(), 10, KNOWN)
    assert sum(candidate.confidence for candidate in found) <= 1
    assert found[0].confidence == pytest.approx(1 / 3, abs=0.01)


def test_the_same_cosine_says_less_in_a_larger_domain() -> None:
    small, large = (decide([match("a", 0.5, size=size)], Scores(), 10, KNOWN)[0].confidence for size in (10, 10_000))
    assert small > large
    odds = KNOWN / 10_000 * math.exp(10) / (1 - KNOWN)
    assert large == pytest.approx(odds / (1 + odds))
