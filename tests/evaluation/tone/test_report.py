import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carillon.evaluation.tone import ToneReport, show_tone, write_tone_report
from carillon.evaluation.tone.clips import ToneModels
from carillon.evaluation.tone.evaluation import known_corpora, listen
from carillon.evaluation.tone.figures import figures_of
from carillon.evaluation.tone.report import page
from carillon.evaluation.tone.show import notes_on, rows_of, warnings_on
from html_pages import Page

# The fixtures `people` and `ears` are in conftest.py: a pitch for each tone.


@pytest.fixture
def report(people: Callable[..., Any], ears: ToneModels) -> ToneReport:
    crowd = people(("anna", "negative", "12"), ("anna", "neutral", "2"), ("<bert>", "negative", "2"))
    figures = figures_of(listen(crowd, ears, 1))
    return ToneReport("a & b", {}, "head-1", "asr-1", "", ("emodb",), (), 2, 3, figures)


def test_the_page_fetches_nothing_and_closes_what_it_opens(report: ToneReport, tmp_path: Path) -> None:
    write_tone_report(report, tmp_path / "new")
    text = (tmp_path / "new" / "tone.html").read_text()
    assert text == page(report)
    read = Page(text)
    assert read.fetched == []
    assert "script" not in read.tags
    assert "a & b" in read.text
    assert text.count('<table class="matrix"') == 2 * 4 * 2
    assert read.tags.count("img") == 2 * 4, "a reliability diagram for each band and unit"


def test_json_has_every_figure_and_the_written_one_the_bins_too(
    report: ToneReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_tone(report, as_json=True)
    said = json.loads(capsys.readouterr().out)
    write_tone_report(report, tmp_path)
    written = json.loads((tmp_path / "tone.json").read_text())
    for row in written["figures"]:
        assert row.pop("bins")
    assert written == said
    row = said["figures"][0]
    assert (row["band"], row["unit"], row["inputs"], row["corpus"]) == ("wideband", "clip", "acoustics", "acted")
    assert row["recalls"] == [1.0, 1.0, None]
    assert row["confusion"] == [[2, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert row["macro_f1"] == row["unweighted_average_recall"] == 1.0
    assert row["brier"] == pytest.approx(0.04 + 2 * 0.01, abs=1e-3)


def test_what_must_be_known_stands_below_the_table(report: ToneReport, capsys: pytest.CaptureFixture[str]) -> None:
    show_tone(report, as_json=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "head-1 on a & b" in said
    assert "acted has no positive" in said
    assert "less than 10 s" in said
    assert "no label has a say" in said


def test_of_one_corpus_the_sum_is_not_shown_again(report: ToneReport) -> None:
    assert {row.corpus for row in rows_of(report)} == {"acted"}
    other = [replace(row, corpus="other") for row in report.figures if row.corpus == "acted"]
    assert {row.corpus for row in rows_of(replace(report, figures=[*report.figures, *other]))} == {
        "acted",
        "other",
        "all",
    }


def test_a_model_that_knows_the_corpus_is_told_of(report: ToneReport, capsys: pytest.CaptureFixture[str]) -> None:
    assert warnings_on(report) == []
    known = replace(report, known=["RAVDESS"])
    show_tone(known, as_json=False)
    said = " ".join(capsys.readouterr().err.split())
    assert "trained on RAVDESS" in said
    assert "training/tone" in said
    assert "trained on RAVDESS" in page(known)
    assert "does not say" in warnings_on(replace(report, trained_on=()))[0]


def test_corpora_are_known_whatever_the_spelling() -> None:
    assert known_corpora(["RAVDESS", "Emo-DB", "nEMO", "CREMA-D"], ("ravdess", "emodb")) == ["Emo-DB", "RAVDESS"]
    assert known_corpora(["x"], ()) == []


def test_without_words_the_report_says_why(report: ToneReport) -> None:
    assert any("not installed" in note for note in notes_on(replace(report, words_missing="not installed")))


def test_where_everybody_is_neutral_it_says_how_often_that_is_called_a_mood(
    people: Callable[..., Any], ears: ToneModels
) -> None:
    figures = figures_of(listen(people(("anna", "neutral", "12"), ("bert", "neutral", "2")), ears, 1))
    report = ToneReport("readers", {}, "head-1", "", "", ("emodb",), (), 2, 3, figures)
    told = [note for note in notes_on(report) if "is all neutral" in note]
    assert (
        "acted is all neutral; wideband, clip, acoustics, it is called negative 0%, neutral 100%, positive 0%." in told
    )
