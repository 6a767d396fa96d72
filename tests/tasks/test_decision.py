import math

import pytest

from carillon.audio import BandPair
from carillon.profiles import Likeness, VoiceMatch
from carillon.tasks import Candidate, decide
from carillon.tasks.decision import plausible

KNOWN = 0.5


class Scores:
    """A cosine counts twenty times itself on one channel, ten times across."""

    def log_likelihood_ratio(self, score: float, speech_seconds: float, channel: BandPair) -> float:
        return score * (10 if channel == "cross" else 20)


def match(profile_id: str, score: float, channel: BandPair = "tel", size: int = 100) -> VoiceMatch:
    return VoiceMatch(profile_id, score, channel, size)


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


def test_what_the_line_took_from_a_cosine_is_given_back_before_it_is_weighed() -> None:
    (as_heard,) = decide([match("a", 0.4)], Scores(), 10, KNOWN)
    (given_back,) = decide([match("a", 0.4)], Scores(), 10, KNOWN, shift=0.05)
    assert given_back.log_ratio == pytest.approx(as_heard.log_ratio + 1)
    assert given_back.score == as_heard.score


class Telephone:
    """Much as the shipped model scores 10 s by telephone; a cosine of 0.5 says nothing."""

    def log_likelihood_ratio(self, score: float, speech_seconds: float, channel: BandPair) -> float:
        return min(max(36.4 * score - 18.1, -13.8), 13.8)


def decided(cosines: dict[str, float], likenesses: dict[str, float], size: int) -> list[Candidate]:
    """Decide about a caller, given the cosines with profiles and, by pairs such as "ab", between them."""
    found = [match(name, score, size=size) for name, score in cosines.items()]
    alike = [Likeness(pair[0], pair[1], "tel", score) for pair, score in likenesses.items()]
    return list(decide(found, Telephone(), 10, KNOWN, alike))


def confidence(cosine: float, size: int) -> float:
    (found,) = decided({"a": cosine}, {}, size)
    return found.confidence


def test_somebody_who_was_enrolled_twice_is_found_as_both_with_the_confidence_of_one() -> None:
    found = decided({"a": 0.97, "b": 0.90}, {"ab": 0.9}, size=2)
    assert [candidate.profile_id for candidate in found] == ["a", "b"]
    assert {candidate.confidence for candidate in found} == {confidence(0.97, size=1)}
    assert {candidate.person for candidate in found} == {0}


@pytest.mark.parametrize("size", [3, 100, 10_000, 100_000])
def test_three_profiles_of_one_person_are_one_in_a_domain_of_any_size(size: int) -> None:
    found = decided({"a": 0.86, "b": 0.85, "c": 0.84}, {"ab": 0.87, "ac": 0.85, "bc": 0.86}, size)
    assert [candidate.person for candidate in found] == [0, 0, 0]
    assert {candidate.confidence for candidate in found} == {confidence(0.86, size - 2)}


def test_without_a_likeness_each_profile_is_a_person_of_its_own() -> None:
    found = decided({"a": 0.97, "b": 0.90}, {}, size=2)
    assert [candidate.person for candidate in found] == [0, 1]
    assert found[0].confidence == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("alike", [0.6, 0.68])
def test_two_people_who_sound_alike_stay_two(alike: float) -> None:
    found = decided({"a": 0.88, "b": alike}, {"ab": alike}, size=50)
    assert [candidate.person for candidate in found] == [0, 1]
    assert found[0].confidence > 0.9
    assert found[1].confidence < 0.01


def test_a_caller_between_two_people_is_neither() -> None:
    found = decided({"a": 0.88, "b": 0.88}, {"ab": 0.5}, size=50)
    assert [candidate.person for candidate in found] == [0, 1]
    assert found[0].confidence == found[1].confidence == pytest.approx(0.5, abs=0.01)


def test_who_is_like_one_profile_of_a_person_and_not_like_another_is_somebody_else() -> None:
    found = decided({"a": 0.9, "b": 0.88, "c": 0.86}, {"ab": 0.9, "bc": 0.85, "ac": 0.2}, size=50)
    assert {candidate.profile_id: candidate.person for candidate in found} == {"a": 0, "b": 0, "c": 1}


def test_two_people_enrolled_twice_are_two_persons_that_exclude_each_other() -> None:
    alike = {"ab": 0.9, "cd": 0.9, "ac": 0.3, "ad": 0.3, "bc": 0.3, "bd": 0.3}
    found = decided({"a": 0.9, "c": 0.55, "b": 0.88, "d": 0.54}, alike, size=50)
    assert [(candidate.profile_id, candidate.person) for candidate in found[:2]] == [("a", 0), ("b", 0)]
    assert found[0].confidence == found[1].confidence > 0.9
    assert found[2].confidence < 0.01


def test_a_likeness_that_is_enough_among_few_may_be_chance_among_very_many() -> None:
    def persons(size: int) -> int:
        return len({one.person for one in decided({"a": 0.75, "b": 0.74}, {"ab": 0.7}, size)})

    assert persons(100) == 1
    assert persons(1_000_000) == 2


def test_only_profiles_that_something_speaks_for_are_compared_with_each_other() -> None:
    matches = [match("a", 0.8), match("b", 0.3), match("c", 0.6), match("c", 0.2)]
    assert plausible(matches, Telephone(), 10) == ["a", "c"]
