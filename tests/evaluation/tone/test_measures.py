"""Figures of merit whose values can be worked out by hand."""

from math import log

import numpy as np
import pytest

from carillon.evaluation.tone.measures import (
    brier_score,
    confusion,
    guess_of,
    log_loss,
    macro_f1,
    recall_interval,
    recalls,
    unweighted_average_recall,
)

THIRDS = (1 / 3, 1 / 3, 1 / 3)


def test_recall_and_f1_are_averaged_over_the_classes_that_occur() -> None:
    counts = confusion([0, 0, 0, 0, 1], [0, 0, 0, 2, 1])
    assert counts.tolist() == [[3, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert recalls(counts) == [0.75, 1.0, None]
    assert unweighted_average_recall(counts) == pytest.approx((0.75 + 1) / 2)
    assert macro_f1(counts) == pytest.approx((2 * 3 / (4 + 3) + 2 * 1 / (1 + 1)) / 2)


def test_f1_of_three_classes() -> None:
    counts = np.array([[4, 1, 0], [2, 2, 1], [0, 1, 4]])
    assert macro_f1(counts) == pytest.approx((8 / 11 + 4 / 9 + 8 / 10) / 3)
    assert unweighted_average_recall(counts) == pytest.approx((0.8 + 0.4 + 0.8) / 3)


def test_a_class_that_is_never_guessed_has_an_f1_of_0() -> None:
    assert macro_f1(np.array([[2, 0, 0], [2, 0, 0], [0, 0, 0]])) == pytest.approx((4 / 6 + 0) / 2)


def test_nothing_has_no_recall() -> None:
    empty = confusion([], [])
    assert unweighted_average_recall(empty) == macro_f1(empty) == 0.0
    assert recalls(empty) == [None, None, None]


def test_brier_score_is_the_squared_distance_to_the_truth() -> None:
    assert brier_score([THIRDS], [1]) == pytest.approx(2 / 3)
    assert brier_score([(1.0, 0.0, 0.0)], [0]) == 0.0
    assert brier_score([(1.0, 0.0, 0.0)], [2]) == 2.0
    assert brier_score([(0.7, 0.2, 0.1), (1.0, 0.0, 0.0)], [0, 0]) == pytest.approx((0.09 + 0.04 + 0.01) / 2)


def test_log_loss_is_in_nats_and_finite() -> None:
    assert log_loss([THIRDS], [2]) == pytest.approx(log(3))
    assert log_loss([(0.5, 0.25, 0.25), (0.5, 0.25, 0.25)], [0, 1]) == pytest.approx((log(2) + log(4)) / 2)
    assert log_loss([(1.0, 0.0, 0.0)], [1]) == pytest.approx(log(1e6))


def test_the_guess_is_the_most_probable_and_neutral_where_that_is_undecided() -> None:
    assert guess_of((0.5, 0.3, 0.2)) == 0
    assert guess_of((0.2, 0.3, 0.5)) == 2
    assert guess_of((0.4, 0.4, 0.2)) == guess_of(THIRDS) == 1
    assert guess_of((0.4, 0.2, 0.4)) == 0


def test_the_interval_is_as_wide_as_speakers_differ() -> None:
    right, wrong = np.diag([2, 2, 2]), np.roll(np.diag([2, 2, 2]), 1, axis=1)
    assert recall_interval(np.array([right, right, right])) == (1.0, 1.0)
    assert recall_interval(np.array([right, wrong])) == (0.0, 1.0)
    assert recall_interval(np.array([right])) is None


def test_draws_of_speakers_that_miss_a_class_do_not_count() -> None:
    negative, positive = np.zeros((3, 3), np.int64), np.zeros((3, 3), np.int64)
    negative[0, 0], positive[2, 0] = 3, 3
    assert recall_interval(np.array([negative, positive])) == (0.5, 0.5)


def test_the_interval_is_the_same_every_time() -> None:
    counts = np.random.default_rng(1).integers(0, 5, (8, 3, 3))
    assert recall_interval(counts) == recall_interval(counts)
