"""What is judged together, and that reports weigh each frame of speech the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from carillon.analysis import SpeechGate, ToneAnalyzer, ToneReported, VadModel
from carillon.analysis.tone import ToneFinding, ToneState
from carillon.analysis.tone.averages import PRIOR, judgments
from carillon.audio import Pcm
from carillon.inference import AcousticJudgment, Probabilities, SpeakerBaseline, WordsJudgment, fuse

# The fixtures `vad`, `tone`, `words` and `call` are in tests/analysis/conftest.py.

LOUD, LOW, SOFT = 0.4, 0.2, 0.001  # the first two are speech
FRAME, SECOND = 512, 16_000


def _run(analyzer: ToneAnalyzer, samples: Pcm) -> list[ToneReported]:
    findings: list[ToneFinding] = [*analyzer.push(samples), *analyzer.end()]
    return [finding for finding in findings if isinstance(finding, ToneReported)]


def test_a_pause_ends_an_utterance_and_a_hesitation_does_not(
    vad: VadModel, tone: Any, words: Any, call: Callable[..., Pcm]
) -> None:
    _run(ToneAnalyzer(vad, tone, 8_000, words=words), call((3, LOW), (1, SOFT), (2, LOW), (0.25, SOFT), (2, LOW)))
    assert [heard / SECOND for heard in words.heard] == pytest.approx([3.1, 4.2], abs=0.15)


def test_a_word_alone_waits_for_more_than_a_second_of_speech(
    vad: VadModel, tone: Any, words: Any, call: Callable[..., Pcm]
) -> None:
    _run(ToneAnalyzer(vad, tone, 8_000, words=words), call((0.3, LOW), (2, SOFT), (0.3, LOW), (2, SOFT), (1.5, LOW)))
    assert len(words.heard) == 1
    assert words.heard[0] / SECOND == pytest.approx(0.3 + 0.3 + 1.5 + 0.3, abs=0.2)


def test_nobody_speaks_for_longer_than_10_s_at_once(
    vad: VadModel, tone: Any, words: Any, call: Callable[..., Pcm]
) -> None:
    _run(ToneAnalyzer(vad, tone, 8_000, words=words), call((34, LOW)))
    assert [heard // SECOND for heard in words.heard] == [10, 10, 10, 3]


def test_every_frame_of_speech_is_judged_once_by_its_sound_and_once_by_its_words(
    vad: VadModel, tone: Any, words: Any, call: Callable[..., Pcm]
) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000, words=words)
    analyzer.push(call((7, LOW), (1, SOFT), (3, LOUD), (0.6, SOFT), (14, LOW), (0.2, SOFT), (6.3, LOUD)))
    analyzer.end()
    assert sum(tone.heard) == pytest.approx(sum(words.heard), abs=3 * FRAME * 15)  # rests below half a second
    assert sum(words.heard) / SECOND == pytest.approx(30.5, abs=0.6)
    assert max(tone.heard) <= 5.5 * SECOND
    assert min(tone.heard) >= SECOND // 2


def test_the_words_of_an_utterance_count_once_it_is_over(
    vad: VadModel, tone: Any, call: Callable[..., Pcm], together: Callable[..., Probabilities]
) -> None:
    class Praise:
        def judge(self, _: Pcm) -> WordsJudgment:
            return WordsJudgment("thank you so much", 4, (0.01, 0.09, 0.9))

    samples = call((16, LOW), (4, SOFT))
    alone = _run(ToneAnalyzer(vad, tone, 8_000), samples)
    heard = _run(ToneAnalyzer(vad, tone, 8_000, words=Praise()), samples)
    sound = (0.7 * 0.2, 0.3, 0.7 * 0.8)
    fused = fuse(sound, (0.01, 0.09, 0.9))
    assert alone[0].overall.positive == pytest.approx(together((15, sound))[2], abs=0.02)
    assert heard[0].overall.end_ms == 15_000
    parts = together((10, fused), (5, sound))  # the second utterance is still open
    assert heard[0].overall.positive == pytest.approx(parts[2], abs=0.02)
    assert heard[1].overall.positive == pytest.approx(together((16, fused))[2], abs=0.02)
    assert alone[1].overall.words_per_minute is None
    assert heard[1].overall.words_per_minute == pytest.approx(8 / 16 * 60, abs=1)


def test_what_nobody_understood_changes_nothing(vad: VadModel, tone: Any, call: Callable[..., Pcm]) -> None:
    class Deaf:
        def judge(self, _: Pcm) -> WordsJudgment:
            return WordsJudgment("", 0, (0.25, 0.5, 0.25))

    samples = call((12, LOW), (1, SOFT), (12, LOUD))
    alone = _run(ToneAnalyzer(vad, tone, 8_000), samples)
    assert _run(ToneAnalyzer(vad, tone, 8_000, words=Deaf()), samples) == alone


def test_words_may_be_switched_on_in_the_middle_of_an_utterance(
    vad: VadModel, tone: Any, words: Any, call: Callable[..., Pcm]
) -> None:
    before = ToneAnalyzer(vad, tone, 8_000)
    before.push(call((6, LOW)))
    state = ToneState.from_bytes(before.state.to_bytes())
    _run(ToneAnalyzer(vad, tone, 8_000, state, words=words), call((2, LOW), (1, SOFT), (4, LOW)))
    assert [heard // SECOND for heard in words.heard] == [4]  # of the first one half is gone already


def _share(number: int) -> float:
    """Something else for each judgment, so that a frame in the wrong place shows."""
    return 0.6 * (number * 0.618 % 1)


class NumberedTone:
    id = "numbered"

    def __init__(self) -> None:
        self.count = 0

    def judge(self, speech: Pcm, baseline: SpeakerBaseline) -> tuple[AcousticJudgment, SpeakerBaseline]:
        self.count += 1
        return AcousticJudgment((_share(self.count), 0.4, 0.6 - _share(self.count)), 0.5), baseline


def _expected(is_speech: list[bool]) -> list[tuple[int, float, float]]:
    """Go through a call frame by frame, in the plainest way: the time of each report and what it says."""
    judged: dict[int, float] = {}
    waiting: list[int] = []
    count = pause = spoken = heard = ticks = 0
    told = []

    def together(shares: list[float]) -> float:
        logs = np.log([[share, 0.4, 0.6 - share] for share in shares]).mean(axis=0)
        powers = np.array(PRIOR) * np.exp(judgments(len(shares) * FRAME / SECOND) * logs)
        return float(powers[0] / powers.sum())

    def judge(*, is_end: bool) -> None:
        nonlocal count, waiting
        if len(waiting) * FRAME >= SECOND // 2:
            count += 1
        elif not is_end:
            return
        judged.update(dict.fromkeys(waiting, _share(count)))
        waiting = []

    def tell(end_ms: int) -> None:
        recent = [share for frame, share in judged.items() if (frame + 1) * FRAME > (end_ms - 30_000) * 16]
        if heard * FRAME >= 10 * SECOND and recent:
            told.append((end_ms, together(recent), together(list(judged.values()))))

    for frame, is_voice in enumerate(is_speech):
        while (frame + 1) * FRAME > (ticks + 1) * 5 * SECOND:
            ticks += 1
            judge(is_end=False)
            tell(ticks * 5_000)
        if is_voice:
            waiting.append(frame)
        spoken, heard, pause = spoken + is_voice, heard + is_voice, 0 if is_voice else pause + 1
        if spoken * FRAME >= 10 * SECOND or (spoken * FRAME >= SECOND and pause * FRAME >= 0.4 * SECOND):
            judge(is_end=True)
            spoken = 0
    return told


@pytest.mark.parametrize("seed", range(8))
def test_windows_are_exact_to_the_frame(seed: int, vad: VadModel, call: Callable[..., Pcm]) -> None:
    lengths = np.random.default_rng(seed).exponential([3.0, 0.9], (25, 2)).ravel().tolist()
    samples = call(*[(max(0.1, length), (LOW, SOFT)[i % 2]) for i, length in enumerate(lengths)], rate_hz=SECOND)
    expected = _expected(SpeechGate(vad, SECOND).push(samples).is_speech.tolist())
    *periodic, final = _run(ToneAnalyzer(vad, NumberedTone(), SECOND), samples)
    assert final.final
    found = [(report.overall.end_ms, report.current.negative, report.overall.negative) for report in periodic]
    assert len(found) == len(expected) > 10
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_an_interruption_ends_an_utterance_that_is_long_enough(
    vad: VadModel, tone: Any, words: Any, call: Callable[..., Pcm]
) -> None:
    analyzer = ToneAnalyzer(vad, tone, 8_000, words=words)
    for seconds in (0.5, 2, 3):
        analyzer.push(call((seconds, LOW)))
        analyzer.interrupt(8_000)
    assert [heard / SECOND for heard in words.heard] == pytest.approx([2.5, 3], abs=0.1)


def test_words_may_be_switched_off_in_the_middle_of_an_utterance(
    vad: VadModel, tone: Any, words: Any, call: Callable[..., Pcm]
) -> None:
    samples = call((16, LOW))
    before = ToneAnalyzer(vad, tone, 8_000, words=words)
    found = before.push(samples[: 6 * 8_000])
    after = ToneAnalyzer(vad, tone, 8_000, ToneState.from_bytes(before.state.to_bytes()))
    found += after.push(samples[6 * 8_000 :]) + after.end()
    alone = ToneAnalyzer(vad, tone, 8_000)
    assert found == alone.push(samples) + alone.end()
    assert words.heard == []
