import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.inference import Models, ModelSettings
from carillon.inference.calibration import (
    MOST_CONFIDENT,
    MOST_EVIDENCE,
    line_of,
    log_likelihood_ratio,
    posteriors,
    read_calibration,
    replaced,
)
from carillon.inference.catalog import CalibrationEntry, ModelBroken

TABLE = (
    CalibrationEntry(min_seconds=10, channel="tel", a=60, b=-42),
    CalibrationEntry(min_seconds=3, channel="tel", a=30, b=-15),
    CalibrationEntry(min_seconds=3, channel="wb", a=30, b=-12),
)


@pytest.mark.parametrize(("seconds", "even_score"), [(1, 0.5), (3, 0.5), (10, 0.7), (60, 0.7)])
def test_at_and_beyond_the_lengths_of_the_table_its_own_lines_count(seconds: float, even_score: float) -> None:
    assert log_likelihood_ratio(TABLE, even_score, seconds, "tel") == pytest.approx(0)


def test_between_two_lengths_the_evidence_is_between_theirs() -> None:
    halfway = math.sqrt(3 * 10)
    for score in (0.5, 0.55, 0.65):
        ends = [line.at(score) for line in (line_of(TABLE, 3, "tel"), line_of(TABLE, 10, "tel")) if line]
        assert log_likelihood_ratio(TABLE, score, halfway, "tel") == pytest.approx(sum(ends) / 2)


@given(st.floats(0.5, 60), st.lists(st.floats(-1, 1), min_size=2, max_size=9))
def test_evidence_never_falls_as_the_score_rises_and_is_capped(seconds: float, scores: list[float]) -> None:
    found = [log_likelihood_ratio(TABLE, score, seconds, "tel") for score in sorted(scores)]
    assert found == sorted(found)
    assert all(abs(ratio) <= MOST_EVIDENCE for ratio in found)


def test_channels_have_their_own_lines_and_without_one_a_score_says_nothing() -> None:
    assert log_likelihood_ratio(TABLE, 0.4, 10, "wb") == pytest.approx(0)
    assert log_likelihood_ratio(TABLE, 1.0, 10, "cross") == 0.0
    assert log_likelihood_ratio((), 1.0, 10, "tel") == 0.0


def test_one_profile_and_even_odds_is_bayes_rule() -> None:
    assert posteriors([math.log(3)], 1) == [pytest.approx(0.75)]
    assert posteriors([0.0], 1) == [pytest.approx(0.5)]
    assert posteriors([], 1) == []


def test_the_size_of_the_domain_is_the_prior() -> None:
    of_small, of_large = (posteriors([math.log(1_000)], size)[0] for size in (10, 100_000))
    assert of_small > 0.98
    assert of_large < 0.01


def test_a_strong_runner_up_takes_from_the_winner() -> None:
    alone, *_ = posteriors([9.0, -5.0], 50)
    beside, second = posteriors([9.0, 8.5], 50)
    assert beside < 0.65 < 0.9 < alone
    assert second < beside


def test_who_is_rarely_known_must_be_heard_more_clearly() -> None:
    rarely, often = (posteriors([5.0], 20, known)[0] for known in (0.05, 0.9))
    assert rarely < 0.5 < often


@given(st.lists(st.floats(-MOST_EVIDENCE, MOST_EVIDENCE), max_size=10), st.integers(10, 10**7), st.floats(0.01, 0.99))
def test_confidences_are_probabilities(ratios: list[float], size: int, known: float) -> None:
    found = posteriors(ratios, size, known)
    assert all(0.0 <= value <= MOST_CONFIDENT for value in found)
    assert sum(found) <= 1.0 + 1e-9


def test_tables_of_ones_own_stand_in_for_those_of_the_same_channels() -> None:
    own = CalibrationEntry(min_seconds=5, channel="tel", a=1, b=0)
    assert replaced(TABLE, (own,)) == (TABLE[2], own)
    assert replaced(TABLE, ()) == TABLE


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(**changed: str) -> Path:
        values = {"model": '"some-model"', "a": "40.0", "seconds": "10", "more": ""} | changed
        file = tmp_path / "calibration.toml"
        file.write_text(
            f'model = {values["model"]}\nmade_on = "2026-11-22"\npeople = 40\n[[calibration]]\n'
            f'min_seconds = {values["seconds"]}\nchannel = "tel"\na = {values["a"]}\nb = -24.0\n{values["more"]}'
        )
        return file

    return write


def test_a_file_is_read(written: Callable[..., Path]) -> None:
    (entry,) = read_calibration(written(), "some-model").calibration
    assert (entry.channel, entry.min_seconds, entry.a, entry.b) == ("tel", 10, 40, -24)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"model": '"another"'}, "another"),
        ({"a": "-1.0"}, "rising"),
        ({"a": "nan"}, "rising"),
        ({"seconds": "0"}, "rising"),
        ({"seconds": '"ten"'}, "min_seconds"),
        ({"more": "c = 1"}, "c"),
        ({"more": '[[calibration]]\nmin_seconds = 10\nchannel = "tel"\na = 1.0\nb = 0.0\n'}, "same channel"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(
    written: Callable[..., Path], changed: dict[str, str], named: str
) -> None:
    with pytest.raises(ModelBroken, match=named):
        read_calibration(written(**changed), "some-model")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=r"nowhere\.toml"):
        read_calibration(tmp_path / "nowhere.toml", "some-model")


def test_the_setting_names_the_file_and_another_models_is_refused_at_once(
    written: Callable[..., Path], models: Models
) -> None:
    own = Models(ModelSettings(calibration=str(written(model=f'"{models.speaker.id}"'))))
    assert own.speaker.log_likelihood_ratio(0.6, 10, "tel") == pytest.approx(0)
    assert own.speaker.log_likelihood_ratio(0.6, 10, "wb") == models.speaker.log_likelihood_ratio(0.6, 10, "wb")
    with pytest.raises(ModelBroken, match="some-model"):
        Models(ModelSettings(calibration=str(written())))
