from typing import Any

import numpy as np
import pytest

from carillon.evaluation.conditions import Condition, EmbeddedSpeech
from carillon.evaluation.pieces import PIECE_SECONDS, Hearing
from carillon.evaluation.trials import MOST_STRETCHES, Comparison, closed_searches, open_searches, pairs_of, voices_of
from carillon.inference import LineCompensation

WIDEBAND, TWIN = Condition("wideband", False, 5), Condition("cross, narrowband", False, 5)


def _compared(listened: EmbeddedSpeech, condition: Condition) -> Comparison:
    comparison = listened.compared(condition)
    assert comparison is not None
    return comparison


def test_every_pair_of_one_condition_is_counted_once(crowd: Any) -> None:
    pairs = pairs_of(_compared(crowd(people=3, pieces=4), WIDEBAND))
    assert pairs is not None
    assert len(pairs.genuine) == 3 * (4 * 3 // 2)
    assert len(pairs.impostor) == 3 * 4 * 4
    assert pairs.across_sessions == 0


def test_across_two_hearings_nothing_is_compared_with_the_same_audio(crowd: Any) -> None:
    pairs = pairs_of(_compared(crowd(people=3, pieces=4), TWIN))
    assert pairs is not None
    assert len(pairs.genuine) == 3 * 4 * 3
    assert len(pairs.impostor) == 6 * 4 * 4


def test_who_has_several_sessions_is_compared_only_across_them(crowd: Any) -> None:
    pairs = pairs_of(_compared(crowd(people=2, pieces=3, sessions=("monday", "tuesday")), WIDEBAND))
    assert pairs is not None
    assert len(pairs.genuine) == pairs.across_sessions == 2 * 3 * 3


def test_only_a_telephones_voice_that_is_searched_is_rid_of_what_its_line_did(crowd: Any) -> None:
    plain = crowd(people=3, pieces=4)
    nothing = np.zeros((1, plain.pieces[Hearing("wideband"), 5][0].embedding.size), np.float32)
    lines = LineCompensation(nothing, nothing[0], bias=0.0, shift=0.2, usual=0.0)
    rid = EmbeddedSpeech(plain.pieces, plain.people, lines)
    for condition, lacking in ((WIDEBAND, 0.0), (TWIN, 0.1)):
        one, other = _compared(plain, condition).scores, _compared(rid, condition).scores
        np.testing.assert_allclose(other, one + lacking, atol=1e-6)


def test_longer_stretches_are_means_within_a_session(crowd: Any) -> None:
    listened = crowd(people=2, pieces=5, sessions=("monday", "tuesday"))
    voices = voices_of(listened.pieces, Hearing("wideband"), 10, listened.people)
    assert len(voices) == 2 * 2 * 2
    np.testing.assert_allclose(np.linalg.norm(voices.embeddings, axis=1), 1, rtol=1e-6)
    pieces = listened.pieces[Hearing("wideband"), PIECE_SECONDS]
    mean = pieces[0].embedding + pieces[1].embedding
    np.testing.assert_allclose(voices.embeddings[0], mean / np.linalg.norm(mean), rtol=1e-5)
    assert (voices.first_frame[0], voices.last_frame[0]) == (pieces[0].first_frame, pieces[1].last_frame)


def test_a_talkative_person_does_not_decide_the_figure(crowd: Any) -> None:
    listened = crowd(people=2, pieces=30, sessions=("monday", "tuesday"))
    voices = voices_of(listened.pieces, Hearing("wideband"), 5, listened.people)
    assert len(voices) == 2 * MOST_STRETCHES
    assert {int((voices.session == session).sum()) for session in set(voices.session.tolist())} == {MOST_STRETCHES // 2}


def test_a_large_folder_is_compared_in_bounded_memory(crowd: Any) -> None:
    assert len(voices_of(*_of(crowd(people=1_300, pieces=2)))) == 2_500


def _of(listened: EmbeddedSpeech) -> tuple[Any, ...]:
    return listened.pieces, Hearing("wideband"), 5, listened.people


@pytest.mark.parametrize("condition", [WIDEBAND, TWIN])
def test_in_a_closed_set_everybody_is_enrolled_and_nothing_finds_itself(crowd: Any, condition: Condition) -> None:
    searches = list(closed_searches(_compared(crowd(people=5, pieces=4), condition)))
    assert len(searches) == 10
    for search in searches:
        assert search.scores.shape == (5 * 3, 5)
        own = search.scores[np.arange(len(search.right)), search.right]
        assert (own < 0.9999).all()


def test_in_an_open_set_half_of_the_people_are_strangers(crowd: Any) -> None:
    searches = list(open_searches(_compared(crowd(people=6, pieces=4), WIDEBAND)))
    assert len(searches) == 20
    for search in searches:
        assert search.scores.shape == (3 * 3 + 3 * 4, 3)
        assert (search.right == -1).sum() == 3 * 4
    assert len({search.scores.tobytes() for search in searches}) > 10


def test_people_who_cannot_be_found_again_are_enrolled_like_others(crowd: Any) -> None:
    listened = crowd(people=4, pieces=2)
    key = Hearing("wideband"), 5
    kept = [piece for piece in listened.pieces[key] if piece.speaker < "person 002" or piece.first_frame == 0]
    comparison = _compared(EmbeddedSpeech({key: kept}, listened.people), WIDEBAND)
    searches = list(open_searches(comparison))
    assert {search.scores.shape[1] for search in searches} == {2}
    assert {int((search.right >= 0).sum()) for search in searches} == {0, 1, 2}
    assert list(open_searches(comparison.among(np.array([1])))) == []


def test_some_people_can_be_compared_with_each_other(crowd: Any) -> None:
    comparison = _compared(crowd(people=6, pieces=3), WIDEBAND)
    among = comparison.among(np.array([1, 4]))
    assert set(among.enrolled.tolist()) == {1, 4}
    pairs = pairs_of(among)
    assert pairs is not None
    assert len(pairs.genuine) == 2 * 3
    assert pairs_of(comparison.among(np.array([2]))) is None


def test_nobody_is_no_comparison(crowd: Any) -> None:
    assert crowd(people=2, pieces=1).compared(Condition("wideband", False, 10)) is None
    assert crowd(people=2, pieces=1).compared(Condition("wideband", True, 5)) is None
