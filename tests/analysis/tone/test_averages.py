"""Averages weigh every frame alike, and never invent what a model did not tell."""

import pytest

from carillon.analysis.tone.averages import Segment, Total, average_of

ANGRY = (0.8, 0.1, 0.1)
CALM = (0.1, 0.8, 0.1)


def test_every_frame_weighs_the_same() -> None:
    average = average_of([Segment((0, 1, 2), ANGRY, 0.9), Segment((3,), CALM, 0.1)], 0, 1000)
    assert average is not None
    assert (average.negative, average.neutral) == pytest.approx((0.625, 0.275))
    assert average.arousal == pytest.approx(0.7)


@pytest.mark.parametrize("arousals", [(None, None), (None, 0.9), (0.9, None)])
def test_arousal_that_no_head_told_is_not_made_up(arousals: tuple[float | None, float | None]) -> None:
    first, second = arousals
    average = average_of([Segment((0,), ANGRY, first), Segment((1,), CALM, second)], 0, 1000)
    assert average is not None
    assert average.arousal is None
    assert average.neutral == pytest.approx(0.45)


def test_without_speech_there_is_no_average() -> None:
    assert Total().average(0, 1000) is None
