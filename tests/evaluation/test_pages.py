import sys
from pathlib import Path

import pytest

from carillon.commands.evaluate import evaluate_calls, evaluate_speaker, evaluate_tone
from carillon.commands.labels import label_calls
from carillon.evaluation.pages import render, require_pages
from carillon.inference import NotInstalled


def test_names_are_text_whatever_they_are() -> None:
    text = render("page.html", {"title": "<script>"})
    assert "<script>" not in text
    assert text.count("&lt;script&gt;") == 2


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_without_the_extra_one_line_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require_pages("--report")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NotInstalled, match=rf"--report needs the package '{package}'.*carillon-voice\[evaluation\]"):
        require_pages("--report")


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for command in (evaluate_speaker, evaluate_tone, evaluate_calls):
        with pytest.raises(NotInstalled):
            command(tmp_path / "nothing", report=tmp_path)
    with pytest.raises(NotInstalled):
        label_calls(tmp_path / "nothing")
