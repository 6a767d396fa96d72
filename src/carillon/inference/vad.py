"""Is there speech in these windows? Silero VAD, which remembers the windows before.

Windows that are there at the same time go through the network together, and only its memory goes on one by one, which
takes a tenth of the time. Each row of a product of matrices is summed by itself, so how many windows come together
changes no bit of any of them (`tests/inference/test_vad.py` tries every number that occurs).
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.audio import Pcm
from carillon.inference.catalog import Weights
from carillon.inference.sessions import OnnxSession, Tensor

VAD_WINDOW_SAMPLES: Final = 512
"""32 ms: the only window that the model takes at 16 kHz."""

MOST_AT_ONCE: Final = 64
"""Windows, 2 s: more of them together are no faster."""

_CONTEXT_SAMPLES: Final = 64
_MEMORY_SHAPE: Final = (2, 1, 128)


def _no_memory() -> Tensor:
    return np.zeros(_MEMORY_SHAPE, np.float32)


def _no_context() -> Pcm:
    return np.zeros(_CONTEXT_SAMPLES, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class VadState:
    """What the network remembers between two windows. Replaced, never mutated."""

    memory: npt.NDArray[np.float32] = field(default_factory=_no_memory, repr=False)  # (2, 1, 128), hidden and cell
    context: Pcm = field(default_factory=_no_context, repr=False)  # (64,), the end of the last window

    def past(self, window: Pcm) -> "VadState":
        """Return what it is after a window of (512,) samples that the network was not asked about."""
        return replace(self, context=window[-_CONTEXT_SAMPLES:].copy())


class SileroVad:
    """Judges windows, one after the other.

    Source: Silero VAD v6, https://github.com/snakers4/silero-vad
    """

    def __init__(self, weights: Weights) -> None:
        self.id = weights.manifest.id
        self._input, self._output = weights.manifest.inputs[0].name, weights.manifest.output.name
        self._session = OnnxSession(weights)

    def push(self, windows: Tensor, state: VadState) -> tuple[Tensor, VadState]:
        """Judge (k, 512) samples at 16 kHz in [-1, 1], any k; return (k,) probabilities and what to remember.

        Args:
            windows: each the continuation of the one before, the first of the last one that `state` knows.
            state: what was remembered then.
        """
        found = [np.zeros(0, np.float32)]
        for first in range(0, len(windows), MOST_AT_ONCE):
            probabilities, state = self._judged(windows[first : first + MOST_AT_ONCE], state)
            found.append(probabilities)
        return np.concatenate(found), state

    def _judged(self, windows: Tensor, state: VadState) -> tuple[Tensor, VadState]:
        samples = np.concatenate([state.context, windows.ravel()])
        whole = np.lib.stride_tricks.sliding_window_view(samples, _CONTEXT_SAMPLES + VAD_WINDOW_SAMPLES)
        inputs = {self._input: np.ascontiguousarray(whole[::VAD_WINDOW_SAMPLES]), "memory": state.memory}
        probabilities, memory = self._session.run([self._output, "memory_after"], inputs)
        return probabilities, VadState(memory, samples[-_CONTEXT_SAMPLES:].copy())
