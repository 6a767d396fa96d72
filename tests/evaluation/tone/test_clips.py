import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from carillon.evaluation.manifest import BadManifest, ManifestRecording
from carillon.evaluation.tone.clips import JudgmentCache, ToneModels, answers, people_of
from carillon.inference import SpeakerBaseline, fuse

# The fixtures `people`, `ears`, `tone` and `words` are in conftest.py: a pitch for each tone.

SURE_POSITIVE = (0.1, 0.1, 0.8)
MakePeople = Callable[..., Any]


def test_a_clip_is_heard_alone_and_after_the_others(people: MakePeople, ears: ToneModels, tone: Any) -> None:
    (anna,) = people(("anna", "positive", "2"), ("anna", "negative", "2"), ("anna", "neutral", "2"))
    found = list(answers(anna, "wideband", ears))
    for answer in found:
        assert answer.alone is not None
        assert int(np.argmax(answer.alone[False])) == answer.clip.truth
        assert answer.after_others == answer.alone, "the fake does not care"
    known = [baseline for _, baseline in tone.heard]
    assert known[::2] == [0, 0, 0]
    assert known[1::2] == pytest.approx([0, 2, 4], abs=0.3)


def test_words_are_fused_as_a_live_call_does(people: MakePeople, ears: ToneModels, words: Any) -> None:
    (anna,) = people(("anna", "positive", "2"))
    (answer,) = answers(anna, "telephone", ears)
    assert answer.alone is not None
    assert answer.alone[True] == pytest.approx(fuse(answer.alone[False], (0.0, 0.0, 1.0)))
    assert words.heard == pytest.approx([2], abs=0.2)


def test_long_clips_are_cut_into_utterances_and_pieces(
    people: MakePeople, ears: ToneModels, tone: Any, words: Any
) -> None:
    (anna,) = people(("anna", "positive", "45"))
    (answer,) = answers(anna, "wideband", ears)
    assert answer.alone is not None
    assert answer.alone[False] == pytest.approx(SURE_POSITIVE)
    assert words.heard == [10, 10, 10], "what comes after 30 s is not heard"
    assert [seconds for seconds, _ in tone.heard] == [5] * 12


@pytest.mark.parametrize(
    ("language", "is_english"), [("en", True), ("en-GB", True), ("English", True), ("", True), ("de", False)]
)
def test_only_english_has_words(
    language: str, is_english: bool, people: MakePeople, ears: ToneModels, words: Any
) -> None:
    (anna,) = people(("anna", "positive", "2", language), columns=("language",))
    (answer,) = answers(anna, "wideband", ears)
    assert answer.alone is not None
    assert answer.clip.is_english == is_english
    assert bool(words.heard) == is_english
    assert is_english or answer.alone[True] == answer.alone[False]


@pytest.mark.parametrize("seconds", ["0.003", "0.3"])
def test_a_clip_that_is_too_short_is_skipped(seconds: str, people: MakePeople, ears: ToneModels) -> None:
    (anna,) = people(("anna", "positive", seconds))
    for band in ("wideband", "telephone"):
        (answer,) = answers(anna, band, ears)
        assert answer.alone is None
        assert answer.after_others is None


def test_a_clip_without_any_sound_is_refused_as_by_every_command(people: MakePeople, ears: ToneModels) -> None:
    (anna,) = people(("anna", "positive", "0"))
    with pytest.raises(BadManifest, match="holds no sound"):
        list(answers(anna, "telephone", ears))


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 96_000])
def test_any_rate_is_heard(rate_hz: int, people: MakePeople, ears: ToneModels) -> None:
    (anna,) = people(("anna", "neutral", "2"), rate_hz=rate_hz)
    for band in ("wideband", "telephone"):
        found = list(answers(anna, band, ears))
        assert len(found) == (0 if (rate_hz, band) == (8_000, "wideband") else 1)
        assert all(answer.alone is not None and np.argmax(answer.alone[False]) == 1 for answer in found)


def test_both_channels_of_a_clip_are_heard(tmp_path: Path, ears: ToneModels) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 2_000 * np.arange(32_000) / 16_000)
    soundfile.write(tmp_path / "a.flac", np.stack([np.zeros(32_000), tone], axis=1), 16_000)
    (anna,) = people_of([_line(tmp_path / "a.flac", "positive")])
    (answer,) = answers(anna, "wideband", ears)
    assert answer.alone is not None
    assert np.argmax(answer.alone[False]) == 2


def test_neither_labels_nor_the_order_of_the_manifest_decide_the_order_of_hearing() -> None:
    valences = ["negative", "neutral", "positive"] * 4
    lines = [_line(Path(f"{number}.wav"), valence) for number, valence in enumerate(valences)]
    (anna,) = people_of(lines)
    random.Random(1).shuffle(lines)
    (again,) = people_of([_line(line.path, "neutral") for line in lines])
    order = [clip.recording.path for clip in anna.clips]
    assert order == [clip.recording.path for clip in again.clips]
    assert order != sorted(order)


def test_one_name_in_two_corpora_or_sessions_is_heard_apart() -> None:
    lines = [
        _line(Path("1.wav"), "neutral"),
        _line(Path("2.wav"), "neutral", corpus="other"),
        _line(Path("3.wav"), "neutral", session="tuesday"),
    ]
    assert [(p.corpus, p.speaker, p.session) for p in people_of(lines)] == [
        ("acted", "anna", ""),
        ("acted", "anna", "tuesday"),
        ("other", "anna", ""),
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([("a.wav", "happy", "x")], "negative, neutral, positive, not 'happy'"),
        ([("a.wav", "", "x")], "--where"),
        ([("a.wav", "neutral", "")], "Name the set of recordings"),
        ([("a.wav", "neutral", "x"), ("a.wav", "positive", "x")], "listed twice"),
    ],
)
def test_a_line_that_cannot_be_used_says_what_to_do(lines: list[tuple[str, str, str]], said: str) -> None:
    with pytest.raises(BadManifest, match=said):
        people_of([_line(Path(path), valence, corpus=corpus) for path, valence, corpus in lines])


def _line(path: Path, valence: str, *, corpus: str = "acted", session: str = "") -> ManifestRecording:
    labels = {"path": path.name, "speaker": "anna", "valence": valence, "corpus": corpus, "session": session}
    return ManifestRecording(path, "anna", labels)


def test_what_two_listeners_ask_for_is_judged_once(ears: ToneModels, tone: Any) -> None:
    heard_twice = JudgmentCache(tone)
    one, other = np.full(16_000, 0.1, np.float32), np.full(16_000, 0.2, np.float32)
    baseline = SpeakerBaseline(3.0, np.zeros(1, np.float32))
    for speech, known in (
        (one, SpeakerBaseline()),
        (one, SpeakerBaseline()),
        (one, baseline),
        (other, baseline),
        (one, baseline),
    ):
        _, after = heard_twice.judge(speech, known)
        assert after.seconds == known.seconds + 1
    assert [seconds for _, seconds in tone.heard] == [0, 3, 3]
