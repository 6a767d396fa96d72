from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from carillon.evaluation.tone.clips import ToneModels
from carillon.evaluation.tone.evaluation import listen
from carillon.evaluation.tone.figures import figures_of
from carillon.evaluation.tone.windows import windows

# The fixtures `people`, `ears`, `tone` and `words` are in conftest.py: a pitch for each tone.

MakePeople = Callable[..., Any]
ANNA = [("anna", valence, "4") for valence in ("negative", "neutral", "positive") for _ in range(8)]


def test_clips_of_one_tone_fill_windows(people: MakePeople, ears: ToneModels) -> None:
    (anna,) = people(*ANNA)
    found = windows(anna, "telephone", ears)
    # 6 clips of 4 s and their pauses fill 27.6 s; the other 2 have less than 10 s of speech.
    assert [window.truth for window in found] == [0, 0, 1, 1, 2, 2]
    assert [window.alone is not None for window in found] == [True, False] * 3
    for window in found:
        assert (window.in_call is None) == (window.alone is None)
        for said in (window.alone, window.in_call):
            assert said is None or np.argmax(said[False]) == window.truth
            assert said is None or said[True][2] > said[False][2], "its words are glad"


def test_in_a_call_the_speaker_is_known_from_the_windows_before(
    people: MakePeople, ears: ToneModels, tone: Any
) -> None:
    (anna,) = people(*(clip for number, clip in enumerate(ANNA) if number % 8 < 6))
    bare = ToneModels(ears.vad, tone, None)
    windows(anna, "wideband", bare)
    longest = max(baseline for _, baseline in tone.heard)
    assert longest == pytest.approx(3 * 24, abs=8)


def test_a_clip_that_is_longer_than_a_window_is_cut(people: MakePeople, ears: ToneModels) -> None:
    (anna,) = people(("anna", "neutral", "50"))
    (window,) = windows(anna, "wideband", ears)
    assert window.alone is not None
    assert np.argmax(window.alone[False]) == 1


def test_nobody_is_heard_in_a_band_that_was_not_recorded(people: MakePeople, ears: ToneModels) -> None:
    (anna,) = people(("anna", "neutral", "12"), rate_hz=8_000)
    assert windows(anna, "wideband", ears) == []
    assert len(windows(anna, "telephone", ears)) == 1


def test_whatever_the_threads_the_figures_are_the_same(people: MakePeople, ears: ToneModels) -> None:
    crowd = people(*ANNA[:7], ("bert", "positive", "12"), ("bert", "neutral", "0.2"))
    one, other = (figures_of(listen(crowd, ears, threads)) for threads in (1, 3))
    assert one == other
    rows = {(row.band, row.unit, row.inputs): row for row in one if row.corpus == "acted"}
    assert len(rows) == 2 * 4 * 2
    for (_, unit, inputs), row in rows.items():
        assert (row.judged, row.skipped) == ((8, 1) if unit.startswith("clip") else (2, 2))
        assert row.quality is not None
        if inputs == "acoustics":
            assert row.quality.unweighted_average_recall == 1.0
            surer = 0.0 if unit.startswith("window") else 0.2  # all that agrees makes a window as sure as it is right
            assert row.quality.ece == pytest.approx(surer, abs=0.01)
