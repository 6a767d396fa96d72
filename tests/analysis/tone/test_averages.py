"""The evidence of a stretch of speech: agreeing seconds make it surer, few ones leave it modest, none is invented."""

import pytest

from carillon.analysis.tone.averages import MOST_JUDGMENTS, ToneAverage, ToneSegment, ToneSum, average_of, judgments

ANGRY = (0.6, 0.2, 0.2)
CALM = (0.2, 0.6, 0.2)
GLAD = (0.2, 0.2, 0.6)


def _average(*segments: ToneSegment) -> ToneAverage:
    average = average_of(segments, 0, 1_000_000)
    assert average is not None
    return average


def _said(seconds: float, tone: tuple[float, float, float] = ANGRY, begin: int = 0) -> ToneSegment:
    return ToneSegment(tuple(range(begin, begin + round(seconds / 0.032))), tone, 0.9)


def test_seconds_that_agree_make_a_window_surer_than_its_parts() -> None:
    sure = [_average(_said(seconds)).negative for seconds in (1, 3, 10, 30, 300)]
    assert sure == sorted(sure)
    assert sure[-2] > ANGRY[0]


def test_a_moment_of_speech_leaves_a_window_more_modest_than_its_judgment() -> None:
    assert _average(_said(0.5)).negative < ANGRY[0]


def test_before_there_is_evidence_people_on_calls_are_neutral() -> None:
    average = _average(_said(0.5))
    assert average.label == "neutral"
    assert _average(_said(10)).label == "negative"


def test_however_much_is_said_is_worth_a_few_judgments_at_most() -> None:
    assert judgments(3_600) < MOST_JUDGMENTS
    assert judgments(0) == 0


def test_every_frame_weighs_the_same() -> None:
    apart = _average(_said(2), _said(1, begin=100), _said(3, GLAD, begin=200))
    assert apart.negative == pytest.approx(apart.positive, rel=0.05)
    assert apart.speech_seconds == pytest.approx(6, abs=0.1)


def test_a_few_seconds_never_decide_alone_however_sure_they_are() -> None:
    average = _average(_said(0.5, (1.0, 0.0, 0.0)), _said(30, CALM, begin=100))
    assert average.label == "neutral"
    assert average.negative > 0


def test_arousal_is_the_mean_over_frames() -> None:
    average = _average(ToneSegment((0, 1, 2), ANGRY, 0.9), ToneSegment((3,), CALM, 0.1))
    assert average.arousal == pytest.approx(0.7)


@pytest.mark.parametrize("arousals", [(None, None), (None, 0.9), (0.9, None)])
def test_arousal_that_no_head_told_is_not_made_up(arousals: tuple[float | None, float | None]) -> None:
    first, second = arousals
    assert _average(ToneSegment((0,), ANGRY, first), ToneSegment((1,), CALM, second)).arousal is None


def test_without_speech_there_is_no_average() -> None:
    assert ToneSum().average(0, 1000) is None
