"""What is said in one breath: speech up to a pause, cut where a report is due, understood as a whole at its end.

How it works. An utterance grows by frames of speech and ends with the first pause of 0.4 s behind a second of speech,
or at 10 s of speech without one. How it sounds is judged a segment at a time, so that a report need not wait for
somebody to finish; what is said is understood once, when it is over, since half a sentence may say the opposite of the
whole:

    growing --a report is due, or the end--> its unjudged speech is a segment --the end--> words fused into all segments

The invariant. Each frame of speech belongs to one segment, and each segment to one utterance; both are judged exactly
once. Where an utterance ends follows from the judgments of its frames alone, never from how many come in one push: so
any split of a call, and any restart, gives the same segments.

What was decided against. Windows of a fixed length: they cut words apart, and an overlap judges speech twice. To
understand words as they come: it costs several times as much, and takes back what it said. To wait for the pause with
the sound, too: who talks for 10 s would be told of late. To judge a rest of under half a second: it says little, so it
sounds as what came before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Final

import numpy as np

from carillon.analysis.speech import FRAME_SAMPLES, FRAME_SECONDS, JudgedFrames
from carillon.analysis.tone.averages import SAMPLES_PER_MS, ToneSegment
from carillon.audio import MODEL_RATE_HZ, Pcm16
from carillon.inference import AcousticJudgment, Probabilities, WordsJudgment, fuse

LEAST_SAMPLES: Final = MODEL_RATE_HZ // 2
"""The least that the sound of a voice is judged by."""

_LEAST_FRAMES: Final = ceil(1.0 / FRAME_SECONDS)
"""Before there is a second of speech, a pause is a hesitation: a word or two say little alone."""
_MOST_FRAMES: Final = ceil(10.0 / FRAME_SECONDS)
_PAUSE_FRAMES: Final = ceil(0.4 / FRAME_SECONDS)


def _nothing() -> Pcm16:
    return np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """What is being said, as far as it has come: at most 10 s of speech. Replaced, never mutated."""

    speech: Pcm16 = field(default_factory=_nothing, repr=False)
    """(n,) oldest first: all of it, or what is not judged yet if nobody will ask for its words."""
    frames: tuple[int, ...] = ()
    """The numbers of the frames that are not judged yet: the last ones of the speech."""
    segments: tuple[ToneSegment, ...] = ()
    """The others, judged by their sound."""
    pause_frames: int = 0
    """Frames since the last speech."""

    @property
    def frame_count(self) -> int:
        """Return how many frames of speech it has."""
        return len(self.frames) + sum(len(segment.frames) for segment in self.segments)

    @property
    def unjudged(self) -> Pcm16:
        """Return (n,) the speech whose sound is not judged yet."""
        return self.speech[len(self.speech) - len(self.frames) * FRAME_SAMPLES :]

    @property
    def is_long(self) -> bool:
        """Return whether there is enough speech to understand its words: the next pause ends it."""
        return self.frame_count >= _LEAST_FRAMES

    @property
    def is_whole(self) -> bool:
        """Return whether all of its speech is still there."""
        return len(self.speech) == self.frame_count * FRAME_SAMPLES

    @property
    def span_ms(self) -> tuple[int, int]:
        """Return the media time at which its first frame begins and its last one ends; it must have one."""
        frames = [frame for segment in self.segments for frame in segment.frames] + list(self.frames)
        return frames[0] * FRAME_SAMPLES // SAMPLES_PER_MS, (frames[-1] + 1) * FRAME_SAMPLES // SAMPLES_PER_MS

    def parts(self, judged: JudgedFrames) -> Iterator[tuple[JudgedFrames, bool]]:
        """Cut a run of frames that goes on with this utterance after each frame that ends one.

        Yields:
            Each part, the last one perhaps empty, and whether an utterance ends with it.
        """
        begin = 0
        for end in self._ends(judged.is_speech.tolist()):
            yield judged.part(begin, end), True
            begin = end
        yield judged.part(begin, len(judged.frames)), False

    def plus(self, judged: JudgedFrames) -> "Utterance":
        """Return it with the next frames, their speech and their pauses."""
        numbers = np.flatnonzero(judged.is_speech)
        since = len(judged.frames) - 1 - int(numbers[-1]) if len(numbers) else self.pause_frames + len(judged.frames)
        if not len(numbers):
            return replace(self, pause_frames=since)
        return replace(
            self,
            speech=np.concatenate([self.speech, judged.speech]),
            frames=(*self.frames, *(numbers + judged.first_frame).tolist()),
            pause_frames=since,
        )

    def judged(self, sound: AcousticJudgment, *, keeps_speech: bool) -> "Utterance":
        """Return it with its unjudged speech judged."""
        segment = ToneSegment(self.frames, sound.probabilities, sound.arousal)
        speech = self.speech if keeps_speech else _nothing()
        return replace(self, speech=speech, frames=(), segments=(*self.segments, segment))

    def understood(self, said: WordsJudgment | None) -> tuple[ToneSegment, ...]:
        """Return its segments for good, their sound fused with its words if any were understood.

        A rest that is too short to be judged alone sounds as what came before it; without that, it is left out.
        """
        if not self.segments:
            return ()
        *before, last = self.segments
        segments = (*before, replace(last, frames=(*last.frames, *self.frames)))
        if said is None or not said.words:
            return segments
        rate = said.words / self.frame_count
        return tuple(_with_words(segment, said.probabilities, rate) for segment in segments)

    def _ends(self, is_speech: Sequence[bool]) -> Iterator[int]:
        """Yield after how many frames of a run an utterance ends, each time that one does."""
        speech, pause = self.frame_count, self.pause_frames
        for at, is_voice in enumerate(is_speech, start=1):
            speech, pause = (speech + 1, 0) if is_voice else (speech, pause + 1)
            if speech >= _MOST_FRAMES or (speech >= _LEAST_FRAMES and pause >= _PAUSE_FRAMES):
                yield at
                speech = pause = 0


def _with_words(segment: ToneSegment, words: Probabilities, rate: float) -> ToneSegment:
    return replace(segment, probabilities=fuse(segment.probabilities, words), words_per_frame=rate)
