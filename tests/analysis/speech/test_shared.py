"""Tasks on one leg, as their workers run them: a fragment at a time, each from its own state."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from carillon.analysis import AnalysisSettings, SpeakerAnalyzer, SpeakerState, ToneAnalyzer, ToneState, VadModel
from carillon.analysis.speech import FRAME_SAMPLES, SharedDetector, SpeechGate
from carillon.audio import Pcm
from carillon.inference import Models, VadState

SETTINGS = AnalysisSettings(
    identification_seconds=3, voiceprint_seconds=7, tone_seconds=3, tone_every_seconds=2, tone_conversation=True
)
PARTS = ((3, 0.2), (1, 0.0001), (3, 0.4), (0.2, 0.001), (4, 0.2), (0.5, 0.001), (0.3, 0.4), (0.6, 0.001), (1.2, 0.4))


class Counting:
    """A detector, and how many frames it was asked about."""

    def __init__(self, vad: VadModel) -> None:
        self._vad = vad
        self.asked = 0

    def push(self, frames: Pcm, state: VadState) -> tuple[Pcm, VadState]:
        self.asked += len(frames)
        return self._vad.push(frames, state)


class Leg:
    """Makes analyzers with one detector, or with one for each."""

    def __init__(self, vad: VadModel, speaker: Any, tone: Any, *, is_shared: bool) -> None:
        self._speaker, self._tone = speaker, tone
        self._vad = SharedDetector(vad) if is_shared else vad

    def search(self, state: bytes = b"") -> SpeakerAnalyzer:
        before = SpeakerState.from_bytes(state) if state else None
        return SpeakerAnalyzer(self._vad, self._speaker, 8_000, before, SETTINGS)

    def voice_tone(self, state: bytes = b"") -> ToneAnalyzer:
        before = ToneState.from_bytes(state) if state else None
        return ToneAnalyzer(self._vad, self._tone, 8_000, before, SETTINGS, has_other=True)


def _found(leg: Leg, own: Sequence[Pcm], other: Sequence[Pcm], tone_from: int, restart: tuple[int, int]) -> list[Any]:
    """Return what both tasks find; each is restarted after so many fragments of its own, tone begins in mid-call."""
    found: list[Any] = []
    search, tone = leg.search(), leg.voice_tone()
    for number, (fragment, beside) in enumerate(zip(own, other, strict=True)):
        found += search.push(fragment)
        if number == restart[0]:
            search = leg.search(search.state.to_bytes())
        if number >= tone_from:
            found += tone.push(fragment, beside)
        if number == restart[1]:
            tone = leg.voice_tone(tone.state.to_bytes())
    return [*found, *search.end(), *tone.end(), search.state, tone.state]


@pytest.mark.parametrize("lengths", [(8_000,), (8_000, 7_001, 1, 12_345), (500,)])
@pytest.mark.parametrize("tone_from", [0, 1, 5])
@pytest.mark.parametrize("restart", [(-1, -1), (3, 3), (2, 6), (9, 4)])
def test_who_shares_a_detector_finds_what_each_would_find_alone(
    lengths: tuple[int, ...],
    tone_from: int,
    restart: tuple[int, int],
    vad: VadModel,
    speaker: Any,
    tone: Any,
    call: Callable[..., Pcm],
    cut: Callable[..., list[Pcm]],
    bits: Callable[..., list[Any]],
) -> None:
    own, other = cut(call(*PARTS), lengths), cut(call(*reversed(PARTS), seed=2), lengths)
    shared, alone = (
        _found(Leg(vad, speaker, tone, is_shared=is_shared), own, other, tone_from, restart)
        for is_shared in (True, False)
    )
    assert bits(shared) == bits(alone)


def test_the_detector_is_asked_once_about_each_frame_of_a_leg_also_after_a_restart(
    vad: VadModel, speaker: Any, tone: Any, call: Callable[..., Pcm], cut: Callable[..., list[Pcm]]
) -> None:
    silent = [np.zeros(8_000, np.float32)] * 20
    fragments = cut(call((20, 0.1)), (8_000,))
    counting = Counting(vad)
    leg = Leg(counting, speaker, tone, is_shared=True)
    _found(leg, fragments[:6], silent[:6], 0, (2, 4))
    own = len(np.concatenate(fragments[:6])) * 2 // FRAME_SAMPLES
    assert counting.asked <= own + 30  # and a second of the other channel, which is idle


def test_both_channels_of_a_conversation_are_judged_once(
    vad: VadModel, tone: Any, speaker: Any, call: Callable[..., Pcm], cut: Callable[..., list[Pcm]]
) -> None:
    left, right = cut(call((10, 0.1)), (8_000,)), cut(call((10, 0.1), seed=2), (8_000,))
    counting = Counting(vad)
    leg = Leg(counting, speaker, tone, is_shared=True)
    customer, agent = leg.voice_tone(), leg.voice_tone()
    for one, other in zip(left, right, strict=True):
        customer.push(one, other)
        agent.push(other, one)
    assert counting.asked <= 2 * 10 * 16_000 // FRAME_SAMPLES


def test_threads_that_ask_the_same_at_a_time_are_told_the_same(models: Models, voice: Pcm) -> None:
    counting = Counting(models.vad)
    detector = SharedDetector(counting)
    start, found = threading.Barrier(4), []

    def listen() -> None:
        gate = SpeechGate(detector, 16_000)
        for first in range(0, len(voice), 16_000):
            start.wait()
            found.append((first, gate.push(voice[first : first + 16_000]).is_speech.tobytes()))

    threads = [threading.Thread(target=listen) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(found) / 4
    assert counting.asked == len(voice) // FRAME_SAMPLES


def test_only_the_latest_answers_are_kept(vad: VadModel) -> None:
    detector, frames = SharedDetector(vad), np.random.default_rng(1).uniform(-1, 1, (100, 1, 512)).astype(np.float32)
    for frame in frames:
        detector.push(frame, VadState())
    assert len(detector._known) == 32


def test_another_state_is_another_question(vad: VadModel, call: Callable[..., Pcm]) -> None:
    detector, frame = SharedDetector(vad), call((0.064, 0.1)).reshape(1, 512)
    first, after = detector.push(frame, VadState())
    second, _ = detector.push(frame, replace(VadState(), memory=after.memory))
    assert first.tolist() != second.tolist()
