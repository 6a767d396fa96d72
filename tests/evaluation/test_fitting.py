from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carillon.evaluation import Calibrated, CalibrationRefused, Needed, write_calibration
from carillon.evaluation.conditions import Condition, EmbeddedSpeech
from carillon.evaluation.figures import Decision, answers_of, bins_of, figures_of, joined
from carillon.evaluation.fitting import MOST_OVERLAP, STEEPEST, fit_condition, fit_line
from carillon.evaluation.measures import calibration_error
from carillon.evaluation.trials import Pairs, open_searches, pairs_of
from carillon.inference import CalibrationEntry, CalibrationLine, read_calibration

WIDEBAND = Condition("wideband", False, 5)
DECISION = Decision(threshold=0.7, known=0.5, limit=10)
FEW = Needed(people=4, genuine_pairs=10)


def _pairs(genuine: np.ndarray, impostor: np.ndarray) -> Pairs:
    return Pairs(genuine, impostor, np.zeros(len(genuine), np.int64), np.zeros((len(impostor), 2), np.int64), 0)


def test_the_line_of_two_equal_bells_is_the_one_of_the_textbook() -> None:
    generator = np.random.default_rng(0)
    line = fit_line(_pairs(generator.normal(0.7, 0.15, 40_000), generator.normal(0.2, 0.15, 40_000)))
    slope = (0.7 - 0.2) / 0.15**2
    assert line.a == pytest.approx(slope, rel=0.05)
    assert line.b == pytest.approx(-slope * 0.45, rel=0.05)


def test_both_classes_weigh_the_same_however_many_pairs_they_have() -> None:
    generator = np.random.default_rng(0)
    genuine, impostor = generator.normal(0.7, 0.15, 2_000), generator.normal(0.2, 0.15, 2_000)
    line, of_more = (fit_line(_pairs(genuine, np.repeat(impostor, times))) for times in (1, 9))
    assert (line.a, line.b) == pytest.approx((of_more.a, of_more.b))


def test_classes_that_do_not_touch_give_no_endless_slope() -> None:
    line = fit_line(_pairs(np.array([0.61, 0.62]), np.array([0.59, 0.595])))
    assert 0 < line.a <= STEEPEST
    assert abs(line.a * 0.6 + line.b) < 1


def test_scores_the_wrong_way_round_are_evidence_of_nothing() -> None:
    line = fit_line(_pairs(np.array([0.1, 0.2, 0.15]), np.array([0.5, 0.6])))
    assert line.a == 0
    assert line.b == pytest.approx(0, abs=1e-4)


def test_what_was_fitted_means_what_it_says_on_other_people(crowd: Any) -> None:
    fitted = fit_condition(crowd(people=50, spread=0.6), WIDEBAND, CalibrationLine(60, -5), FEW)
    assert fitted.verdict == "fitted"
    assert fitted.held_out is not None
    assert fitted.before is not None
    assert fitted.held_out.ece < 0.05
    assert fitted.held_out.cllr < 0.5 < fitted.before.cllr


def test_figures_of_separated_people_are_perfect(crowd: Any) -> None:
    comparison = crowd(people=24, spread=0.2).compared(WIDEBAND)
    pairs = pairs_of(comparison)
    assert pairs is not None
    figures = figures_of(comparison, fit_line(pairs), DECISION)
    assert figures is not None
    assert figures.open_set is not None
    assert figures.verifying.equal_error_rate == 0
    assert figures.verifying.interval == (0, 0)
    assert figures.identifying.rank_1 == figures.identifying.rank_10 == 1
    assert figures.open_set.false_positives == figures.open_set.mistaken == 0
    assert figures.open_set.found == 1
    assert figures.open_set.enrolled == 12


def test_errors_are_seen_and_their_interval_holds_them(crowd: Any) -> None:
    comparison = crowd(people=30, spread=0.8).compared(WIDEBAND)
    figures = figures_of(comparison, CalibrationLine(20, -10), DECISION)
    assert figures is not None
    low, high = figures.verifying.interval
    assert 0.01 < low < figures.verifying.equal_error_rate < high < 0.2
    assert figures.identifying.rank_1 < figures.identifying.rank_10 <= 1
    assert len(figures.curves.missed) == len(figures.curves.accepted) > 20


def test_without_a_line_nothing_is_said_of_confidence(crowd: Any) -> None:
    figures = figures_of(crowd().compared(WIDEBAND), None, DECISION)
    assert figures is not None
    assert figures.open_set is None
    assert figures.verifying.cllr is None
    assert not figures.curves.bins


def test_known_people_and_strangers_weigh_as_the_prior_says(crowd: Any) -> None:
    comparison = crowd(people=30, spread=0.6).compared(WIDEBAND)
    pairs = pairs_of(comparison)
    assert pairs is not None
    line = fit_line(pairs)
    for known in (0.2, 0.5, 0.8):
        decision = Decision(0.7, known, 10)
        answers = joined([answers_of(search, line, decision) for search in open_searches(comparison)])
        assert answers is not None
        assert calibration_error(bins_of(answers, decision)) < 0.06


def test_too_few_people_are_told_how_many(crowd: Any) -> None:
    fitted = fit_condition(crowd(people=3), WIDEBAND, None, FEW)
    assert (fitted.verdict, fitted.people, fitted.line) == ("too little", 3, None)
    assert fit_condition(crowd(people=3, pieces=1), WIDEBAND, None, FEW).verdict == "too little"


def test_classes_that_overlap_too_far_get_no_number(crowd: Any) -> None:
    fitted = fit_condition(crowd(people=12, spread=8), WIDEBAND, None, FEW)
    assert fitted.verdict == "overlap"
    assert fitted.line is None
    assert fitted.equal_error_rate is not None
    assert fitted.equal_error_rate > MOST_OVERLAP


def test_a_line_that_is_worse_than_the_one_in_force_is_not_taken(crowd: Any) -> None:
    listened = crowd(people=20, spread=0.6)
    pairs = pairs_of(listened.compared(WIDEBAND))
    assert pairs is not None
    best = fit_line(pairs)
    assert fit_condition(listened, WIDEBAND, best, FEW).verdict == "no better"


def _calibrated(listened: EmbeddedSpeech, in_force: tuple[CalibrationEntry, ...] = ()) -> Calibrated:
    lengths = [Condition("wideband", False, seconds) for seconds in (3, 5, 10)]
    fits = [fit_condition(listened, condition, None, FEW) for condition in lengths]
    return Calibrated("some-model", len(listened.people), fits, [], in_force)


def test_the_file_holds_what_was_fitted_and_what_stays(crowd: Any, tmp_path: Path) -> None:
    packaged = (
        CalibrationEntry(min_seconds=10, channel="wb", a=50, b=-30),
        CalibrationEntry(min_seconds=10, channel="tel", a=40, b=-20),
    )
    file = tmp_path / "made" / "calibration.toml"
    write_calibration(_calibrated(crowd(people=12, pieces=2), packaged), file, date(2026, 11, 22))
    found = {entry.min_seconds: entry for entry in read_calibration(file, "some-model").calibration}
    assert set(found) == {3, 5, 10}
    assert found[10] == packaged[0]
    assert found[5].a > 0
    assert "as it was: too little" in file.read_text()


def test_where_classes_overlap_the_file_says_that_a_score_tells_nothing(crowd: Any, tmp_path: Path) -> None:
    calibrated = _calibrated(crowd(people=20, spread=1.0))
    assert {fit.verdict for fit in calibrated.fits} == {"overlap", "fitted"}
    write_calibration(calibrated, tmp_path / "calibration.toml", date(2026, 11, 22))
    entries = read_calibration(tmp_path / "calibration.toml", "some-model").calibration
    assert {(entry.a, entry.b) for entry in entries if entry.min_seconds == 3} == {(0, 0)}
    assert next(entry.a for entry in entries if entry.min_seconds == 10) > 0


@pytest.mark.parametrize(("of", "reason"), [({"people": 3}, "too few"), ({"people": 12, "spread": 12}, "overlap")])
def test_if_nothing_can_be_fitted_nothing_is_written(
    crowd: Any, tmp_path: Path, of: dict[str, float], reason: str
) -> None:
    with pytest.raises(CalibrationRefused, match=reason):
        write_calibration(_calibrated(crowd(**of)), tmp_path / "calibration.toml", date(2026, 11, 22))
    assert list(tmp_path.iterdir()) == []
