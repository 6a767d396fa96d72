"""Words for sound that every room uses."""

from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Pcm: TypeAlias = npt.NDArray[np.float32]
"""(n,) float32 samples of one channel in [-1, 1]; the rate stands beside it."""

Pcm16: TypeAlias = npt.NDArray[np.int16]
"""(n,) int16 samples of one channel: what is kept, since telephone audio holds no more than 16 bits."""

Embedding: TypeAlias = npt.NDArray[np.float32]
"""(d,) float32, L2 norm 1: one voice, comparable only with embeddings of the same model."""

Band: TypeAlias = Literal["wb", "tel"]
"""What carried a voice: wideband, or a telephone."""

BandPair: TypeAlias = Literal["wb", "tel", "cross"]
"""What is compared: two voices in wideband, two on the telephone, or one of each."""

MODEL_RATE_HZ: Final = 16_000
"""Every model hears 16 kHz; other rates are resampled first."""


def to_pcm16(samples: Pcm) -> Pcm16:
    """Quantize (n,) samples in [-1, 1] to (n,) int16; what lies outside is clipped."""
    quantized: Pcm16 = np.clip(np.rint(samples * np.float32(32_768.0)), -32_768, 32_767).astype(np.int16)
    return quantized


def from_pcm16(samples: Pcm16) -> Pcm:
    """Turn (n,) int16 samples into (n,) float32 in [-1, 1)."""
    return samples.astype(np.float32) / np.float32(32_768.0)
