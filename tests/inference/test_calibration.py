import pytest

from carillon.inference.calibration import MOST_CONFIDENT, confidence
from carillon.inference.catalog import CalibrationEntry

TABLE = (
    CalibrationEntry(min_seconds=10, channel="tel", a=60, b=-42),
    CalibrationEntry(min_seconds=3, channel="tel", a=30, b=-15),
    CalibrationEntry(min_seconds=3, channel="wb", a=30, b=-12),
)


@pytest.mark.parametrize(
    ("seconds", "even_score"),
    [(1, 0.5), (3, 0.5), (9.99, 0.5), (10, 0.7), (60, 0.7)],
)
def test_the_entry_for_as_much_speech_as_there_is_counts(seconds: float, even_score: float) -> None:
    assert confidence(TABLE, even_score, seconds, "tel") == pytest.approx(0.5)


def test_channels_have_their_own_entries() -> None:
    assert confidence(TABLE, 0.4, 10, "wb") == pytest.approx(0.5)


def test_confidence_rises_with_the_score_and_stays_in_range() -> None:
    scores = [-1.0, -0.2, 0.3, 0.5, 0.6, 0.7, 0.72, 1.0]
    found = [confidence(TABLE, score, 10, "tel") for score in scores]
    assert found == sorted(found)
    assert 0 <= found[0] < 1e-9
    assert found[-1] == MOST_CONFIDENT


def test_without_a_table_the_score_itself_is_shown() -> None:
    assert confidence((), 0.4, 10, "tel") == 0.4
    assert confidence((), -0.4, 10, "tel") == 0.0
    assert confidence(TABLE, 1.0, 10, "cross") == MOST_CONFIDENT
