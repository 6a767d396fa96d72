import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.evaluation.measures import confusion, equal_error_rate, unweighted_average_recall


def test_separated_scores_have_no_error() -> None:
    assert equal_error_rate(np.array([0.8, 0.9]), np.array([0.1, 0.2])) == 0.0


def test_scores_the_wrong_way_round_are_all_error() -> None:
    assert equal_error_rate(np.array([0.1, 0.2]), np.array([0.8, 0.9])) == 1.0


def test_scores_that_say_nothing_are_wrong_half_of_the_time() -> None:
    same = np.full(10, 0.5)
    assert equal_error_rate(same, same) == pytest.approx(0.5)


def test_one_of_four_overlapping_is_a_quarter() -> None:
    genuine, impostor = np.array([0.1, 0.7, 0.8, 0.9]), np.array([0.0, 0.2, 0.3, 0.75])
    assert equal_error_rate(genuine, impostor) == pytest.approx(0.25)


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=40),
    st.lists(st.floats(-1, 1), min_size=1, max_size=40),
    st.floats(0.1, 10),
)
def test_only_the_order_of_scores_counts(genuine: list[float], impostor: list[float], scale: float) -> None:
    rate = equal_error_rate(np.array(genuine), np.array(impostor))
    assert 0.0 <= rate <= 1.0
    ranks = np.unique(np.array(genuine + impostor), return_inverse=True)[1].astype(np.float64) * scale
    assert equal_error_rate(ranks[: len(genuine)], ranks[len(genuine) :]) == pytest.approx(rate)


def test_recall_is_averaged_over_the_classes_that_occur() -> None:
    labels = ("negative", "neutral", "positive")
    counts = confusion(["negative"] * 4 + ["neutral"], ["negative"] * 3 + ["positive", "neutral"], labels)
    assert counts == [[3, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert unweighted_average_recall(counts) == pytest.approx((0.75 + 1) / 2)
    assert unweighted_average_recall([[0, 0], [0, 0]]) == 0.0
