"""One judgment of a leg serves all of its tasks and measures: the first asks the detector, the others get its answer.

What an analyzer remembers stays its own, in its own checkpoint: a pure function of the audio since it began, so that no
task depends on which others there are, when they began, ended or resumed, or who was faster. Tasks that began at the
same fragment remember the same, to the bit, and the same question has the same answer: so it is asked once. After a
restart at different checkpoints the one that is behind catches up alone, and from where they meet it is asked once
again. A task that began in mid-call cuts its frames elsewhere and asks for itself, which costs 0.7 ms for each second.

Decided against: a state that belongs to the leg and that tasks join. Then what a task finds would depend on whether
another one had ended a moment before it began, which is a matter of load; and one that crashed before its first
checkpoint would have to be told what a leg remembered then.
"""

from collections import OrderedDict
from hashlib import sha256
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.analysis.speech.gate import VadModel
from carillon.inference import VadState

_KEPT: Final = 32
"""Answers: tasks are at most a few fragments apart, or the reading waits; a stream has two channels."""

_Answer = tuple[npt.NDArray[np.float32], VadState]


class SharedDetector:
    """A detector for all analyzers of one stream, whatever threads they run in. Changes no answer.

    Args:
        vad: the detector.
    """

    def __init__(self, vad: VadModel) -> None:
        self._vad = vad
        self._known: OrderedDict[bytes, _Answer] = OrderedDict()
        self._asking = Lock()  # who wants what another is just asking for waits for the answer

    def push(self, frames: npt.NDArray[np.float32], state: VadState) -> _Answer:
        """Judge (k, 512) samples at 16 kHz; return the (k,) probabilities of speech and what to remember."""
        question = sha256(state.memory.tobytes() + state.context.tobytes() + frames.tobytes()).digest()
        with self._asking:
            answer = self._known.get(question)
            if answer is None:
                answer = self._known[question] = self._vad.push(frames, state)
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            return answer
