import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.evaluation.measures import (
    calibration_error,
    equal_error_rate,
    error_rates,
    log_ratio_cost,
    minimum_detection_cost,
    reliability,
)


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


def test_weights_count_as_often_as_they_say() -> None:
    genuine, impostor = np.array([0.1, 0.7, 0.8]), np.array([0.0, 0.2, 0.75])
    repeated = equal_error_rate(np.repeat(genuine, [2, 1, 1]), np.repeat(impostor, [1, 1, 2]))
    assert equal_error_rate(genuine, impostor, np.array([2.0, 1, 1]), np.array([1.0, 1, 2])) == pytest.approx(repeated)


def test_rates_run_from_accepting_all_to_rejecting_all() -> None:
    rates = error_rates(np.array([0.3, 0.9]), np.array([0.1, 0.2, 0.5]))
    assert (rates.missed[0], rates.accepted[0]) == (0.0, 1.0)
    assert (rates.missed[-1], rates.accepted[-1]) == pytest.approx((1.0, 0.0))
    assert (np.diff(rates.missed) >= 0).all()
    assert (np.diff(rates.accepted) <= 0).all()


def test_a_verifier_costs_nothing_if_perfect_and_one_if_useless() -> None:
    assert minimum_detection_cost(np.array([0.8, 0.9]), np.array([0.1, 0.2]), 0.01) == pytest.approx(0)
    assert minimum_detection_cost(np.array([0.1, 0.2]), np.array([0.8, 0.9]), 0.01) == pytest.approx(1)
    one_of_ten_missed = np.array([0.0] + [0.9] * 9)
    assert minimum_detection_cost(one_of_ten_missed, np.array([0.1, 0.2]), 0.01) == pytest.approx(0.1)


def test_ratios_that_say_nothing_cost_one_bit_and_lies_cost_more() -> None:
    nothing = np.zeros(4)
    assert log_ratio_cost(nothing, nothing) == pytest.approx(1)
    assert log_ratio_cost(np.full(4, 9.0), np.full(4, -9.0)) < 0.001
    assert log_ratio_cost(np.full(4, -9.0), np.full(4, 9.0)) > 10


def test_confidence_that_means_what_it_says_has_no_error() -> None:
    confidences = np.array([0.85] * 20 + [0.25] * 4)
    is_right = np.array([True] * 17 + [False] * 3 + [True] + [False] * 3)
    bins = reliability(confidences, is_right)
    assert [(item.confidence, item.right) for item in bins] == [
        pytest.approx((0.25, 0.25)),
        pytest.approx((0.85, 0.85)),
    ]
    assert calibration_error(bins) == pytest.approx(0)


def test_overconfidence_is_the_error_weighed_by_how_often() -> None:
    bins = reliability(np.array([0.95, 0.95, 0.05]), np.array([True, False, False]), np.array([1.0, 1.0, 2.0]))
    assert calibration_error(bins) == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
    assert reliability(np.array([1.0]), np.array([True]))[0].share == 1.0
