import pytest

from carillon.evaluation.tone.figures import ALL, Inputs, Judgment, figures_of
from carillon.inference import Probabilities


def _judged(
    truth: int,
    probabilities: Probabilities | None,
    *,
    corpus: str = "one",
    speaker: str = "anna",
    inputs: Inputs = "acoustics",
    is_english: bool = True,
) -> Judgment:
    return Judgment("telephone", "clip", inputs, corpus, speaker, truth, probabilities, is_english)


def test_figures_of_a_corpus_and_of_all_together() -> None:
    rows = {
        row.corpus: row
        for row in figures_of(
            [
                _judged(0, (0.8, 0.1, 0.1)),
                _judged(0, (0.2, 0.2, 0.6)),
                _judged(1, None),
                _judged(1, (0.3, 0.4, 0.3), corpus="two"),
            ]
        )
    }
    assert list(rows) == ["one", "two", ALL]
    one = rows["one"]
    assert (one.judged, one.skipped, one.speakers) == (2, 1, 1)
    assert one.quality is not None
    assert one.quality.confusion == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert one.quality.recalls == [0.5, None, None]
    assert one.quality.unweighted_average_recall == 0.5
    assert one.quality.interval is None
    assert one.quality.ece == pytest.approx((0.2 + 0.6) / 2)
    assert rows[ALL].speakers == 2, "two corpora may use one name for two people"
    assert rows[ALL].quality is not None
    assert rows[ALL].quality.unweighted_average_recall == pytest.approx((0.5 + 1) / 2)
    assert rows[ALL].quality.ece == pytest.approx((0.2 + 0.6 + 0.6) / 3)


def test_where_nothing_was_judged_there_is_no_quality() -> None:
    for row in figures_of([_judged(0, None)]):
        assert (row.judged, row.skipped, row.quality) == (0, 1, None)


def test_words_are_not_measured_where_nobody_speaks_english() -> None:
    polish = [
        _judged(0, (0.8, 0.1, 0.1), inputs=i, corpus="nemo", is_english=False) for i in ("acoustics", "with words")
    ]
    assert {(row.corpus, row.inputs) for row in figures_of(polish)} == {("nemo", "acoustics"), (ALL, "acoustics")}
    english = _judged(0, (0.8, 0.1, 0.1), inputs="with words")
    assert {(row.corpus, row.judged) for row in figures_of([*polish, english]) if row.inputs == "with words"} == {
        ("one", 1),
        (ALL, 2),
    }


def test_a_corpus_may_be_called_all() -> None:
    rows = figures_of([_judged(0, (0.8, 0.1, 0.1), corpus=ALL), _judged(0, (0.8, 0.1, 0.1))])
    assert [row.judged for row in rows] == [1, 1, 2]
