"""Is there speech in this window? Silero VAD, which remembers the windows before."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference.catalog import Weights
from carillon.inference.sessions import Session, Tensor

VAD_WINDOW_SAMPLES: Final = 512
"""32 ms: the only window that the model takes at 16 kHz."""

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


class SileroVad:
    """Judges one window after the other.

    Source: Silero VAD v6, https://github.com/snakers4/silero-vad
    """

    def __init__(self, weights: Weights) -> None:
        self.id = weights.manifest.id
        self._input, self._output = weights.manifest.inputs[0].name, weights.manifest.output.name
        self._session = Session(weights)
        self._rate = np.array(MODEL_RATE_HZ, np.int64)

    def push(self, window: Pcm, state: VadState) -> tuple[float, VadState]:
        """Judge (512,) samples at 16 kHz in [-1, 1]; return the probability of speech and what to remember."""
        heard = np.concatenate([state.context, window])
        inputs = {self._input: heard[None], "state": state.memory, "sr": self._rate}
        probability, memory = self._session.run([self._output, "stateN"], inputs)
        return float(probability[0, 0]), VadState(memory, heard[-_CONTEXT_SAMPLES:])
