"""Calls through the analyzers of live calls, with judges whose answers are known, onto a page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from carillon.audio import Pcm
from carillon.evaluation.calls.files import BadCall, call_files
from carillon.evaluation.calls.follow import CallAnalysis, follow
from carillon.evaluation.calls.page import page, write_pages
from carillon.evaluation.calls.show import show_calls
from carillon.evaluation.tone.clips import ToneModels
from carillon.inference import AcousticJudgment, SpeakerBaseline, VadState, WordsJudgment
from carillon.storage.permissions import exposed
from html_pages import Page

RATE_HZ = 8_000


class LoudnessVad:
    def push(self, frames: Pcm, state: VadState) -> tuple[Pcm, VadState]:
        return (np.abs(frames).mean(axis=1) > 0.02).astype(np.float32), state


class CalmTone:
    id = "calm"

    def judge(self, speech: Pcm, baseline: SpeakerBaseline, /) -> tuple[AcousticJudgment, SpeakerBaseline]:
        return AcousticJudgment((0.1, 0.8, 0.1), 0.5), baseline


class Angry:
    def judge(self, speech: Pcm, /) -> WordsJudgment:
        return WordsJudgment(f"<b>{len(speech) / 16_000:.0f} & more</b>", 3, (1.0, 0.0, 0.0))


def _written(folder: Path) -> Path:
    """Write a call of 40 s: the left talks at 2 to 6 s, 10.5 to 19 s and 25 to 28 s; the right never."""
    tone = 0.3 * np.sin(2 * np.pi * 1_000 * np.arange(40 * RATE_HZ) / RATE_HZ)
    seconds = np.arange(len(tone)) / RATE_HZ
    talks = ((seconds > 2) & (seconds < 6)) | ((seconds > 10.5) & (seconds < 19)) | ((seconds > 25) & (seconds < 28))
    soundfile.write(folder / "one.flac", np.stack([tone * talks, tone * 0], axis=1), RATE_HZ)
    (folder / "one.turns.csv").write_text("start,end,channel,text\n25.1,28,left,<i>help</i>\n1,2,right,hm\n")
    (folder / "manifest.csv").write_text("path,left,right\none.flac,caller,shop\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _written(tmp_path)


def _heard(folder: Path, ears: ToneModels) -> CallAnalysis:
    (file,) = call_files(folder)
    return follow(file, ears, ("calm", "angry"))


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> CallAnalysis:
    return _heard(_written(tmp_path_factory.mktemp("call")), ToneModels(LoudnessVad(), CalmTone(), Angry()))


def test_both_parties_are_followed(call: CallAnalysis) -> None:
    caller, shop = call.parties
    assert (caller.name, shop.name) == ("caller", "shop")
    assert caller.speech_seconds == pytest.approx(16, abs=0.6)
    assert shop.speech_seconds == 0
    assert shop.reports == []
    assert [report.overall.end_ms for report in caller.reports] == [20_000, 25_000, 30_000, 35_000, 40_000]
    assert caller.reports[-1].overall.negative > caller.by_sound[-1].overall.negative


def test_words_stand_where_they_were_said(call: CallAnalysis) -> None:
    said = [(item.begin_seconds, item.end_seconds) for item in call.parties[0].understood]
    for found, true in zip(said, [(2, 6), (10.5, 19), (25, 28)], strict=True):
        assert found == pytest.approx(true, abs=0.3)


def test_without_words_there_is_one_tone(folder: Path) -> None:
    party = _heard(folder, ToneModels(LoudnessVad(), CalmTone(), None)).parties[0]
    assert party.reports
    assert party.by_sound == []
    assert party.understood == []


def test_a_mono_call_is_one_party(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mono.wav", np.zeros(RATE_HZ), RATE_HZ)
    call = _heard(tmp_path, ToneModels(LoudnessVad(), CalmTone(), None))
    assert [party.name for party in call.parties] == ["both parties"]
    assert "both parties" in page(call)


def test_the_page_is_whole_and_words_are_nothing_but_text(call: CallAnalysis, tmp_path: Path) -> None:
    (path,) = write_pages([call], tmp_path / "pages")
    assert exposed([tmp_path / "pages"]) == []
    assert path.name == "one.flac.html"
    read = Page(path.read_text())
    assert not {"b", "i", "script", "link"} & set(read.tags)
    assert read.tags.count("img") == 1
    assert read.fetched == []
    assert "<b>9 & more</b>" in read.text
    assert "<i>help</i>" in read.text
    assert "color-scheme: light dark" in read.text


def test_every_report_is_in_the_row_in_which_it_came(call: CallAnalysis) -> None:
    rows = page(call).split('<td class="time">')[1:]
    assert len(rows) == 8
    assert ["negative " in row for row in rows] == [False] * 3 + [True] * 5
    assert "<b>" not in rows[2]
    assert "9 &amp; more" in rows[2]
    assert "help" in rows[5]


def test_words_are_on_the_page_and_nowhere_else(call: CallAnalysis, capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (True, False):
        show_calls([call], as_json=as_json)
        said = capsys.readouterr().out
        assert "more" not in said
        assert "help" not in said
    show_calls([call], as_json=True)
    reports = json.loads(capsys.readouterr().out)["calls"][0]["parties"][0]["reports"]
    assert [report["final"] for report in reports] == [False] * 4 + [True]
    assert "more" not in repr(call)


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ("start,end,text\n1,2,hm\n", "channel"),
        ("start,end,channel,text\n1,2,middle,hm\n", "left or right"),
        ("start,end,channel,text\none,2,left,hm\n", "seconds"),
        ("start,end,channel,text\n1,2,left,h\xf6\n", "UTF-8"),
    ],
)
def test_turns_that_cannot_be_read_say_why(turns: str, said: str, folder: Path) -> None:
    (folder / "one.turns.csv").write_text(turns, encoding="latin-1")
    with pytest.raises(BadCall, match=said):
        call_files(folder)


@pytest.mark.parametrize("rate_hz", [6_000, 96_000])
def test_a_call_at_a_rate_that_the_product_does_not_take_is_resampled(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((rate_hz, 2)), rate_hz)
    heard = _heard(tmp_path, ToneModels(LoudnessVad(), CalmTone(), None))
    assert (heard.seconds, len(heard.parties)) == (1.0, 2)


def test_files_that_are_no_calls_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadCall, match="Put wav or flac files there"):
        call_files(tmp_path)
    ears = ToneModels(LoudnessVad(), CalmTone(), None)
    soundfile.write(tmp_path / "a.wav", np.zeros((100, 6)), RATE_HZ)
    with pytest.raises(BadCall, match="6 channels"):
        _heard(tmp_path, ears)
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(BadCall, match=r"a\.wav is not a wav"):
        _heard(tmp_path, ears)


def test_the_command_writes_a_page_for_each_call(carillon: Any, recordings: Path, tmp_path: Path) -> None:
    samples, rate_hz = soundfile.read(recordings / "call_1.flac")
    soundfile.write(tmp_path / "call.wav", samples[: 20 * rate_hz], rate_hz)
    pages = tmp_path / "pages"
    done = carillon("eval", "calls", str(tmp_path), "--no-words", "--json", "--report", str(pages))
    (call,) = json.loads(done.stdout)["calls"]
    assert [party["name"] for party in call["parties"]] == ["left", "right"]
    assert any(party["reports"] for party in call["parties"])
    assert [path.name for path in pages.iterdir()] == ["call.wav.html"]
