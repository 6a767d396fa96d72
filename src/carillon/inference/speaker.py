"""Whose voice is this? Speech in, a point on the unit sphere out."""

from typing import Final

import numpy as np

from carillon.audio import MODEL_RATE_HZ, Embedding, Pcm
from carillon.inference.calibration import Channel, confidence
from carillon.inference.catalog import Input, ModelUnsupported, Weights
from carillon.inference.fbank import fbank
from carillon.inference.sessions import Session, Tensor

LEAST_SAMPLES: Final = MODEL_RATE_HZ // 2
"""Half a second: below that there is no voice to speak of."""


class SpeakerEncoder:
    """Any ONNX speaker model whose front end the manifest describes: Kaldi filter banks or the bare wave.

    Raises:
        ModelUnsupported: the manifest asks for another front end.
    """

    def __init__(self, weights: Weights) -> None:
        manifest = weights.manifest
        self.id = manifest.id
        self.dimensions = manifest.output.dim
        self._manifest = manifest
        self._most_samples = int(manifest.max_seconds * MODEL_RATE_HZ)
        for item in manifest.inputs:
            if item.what not in ("fbank", "wave", "ones_mask"):
                raise ModelUnsupported(manifest.id, f"the front end {item.what!r}")
        self._session = Session(weights)

    def embed(self, speech: Pcm) -> Embedding:
        """Embed (n,) speech at 16 kHz, n >= 8_000 and at most the manifest's `max_seconds`, as (dim,), L2 norm 1."""
        if not LEAST_SAMPLES <= len(speech) <= self._most_samples:
            raise ValueError(f"{self.id} embeds {LEAST_SAMPLES} to {self._most_samples} samples, not {len(speech)}.")
        (embedding,) = self._session.run([self._manifest.output.name], self._inputs(speech))
        return _unit(embedding[0]) if self._manifest.output.l2 else embedding[0]

    def confidence(self, score: float, speech_seconds: float, channel: Channel) -> float:
        """Return how likely a cosine is of one person, in [0, 0.99]; see `calibration.confidence`."""
        return confidence(self._manifest.calibration, score, speech_seconds, channel)

    def _inputs(self, speech: Pcm) -> dict[str, Tensor]:
        inputs: dict[str, Tensor] = {}
        steps = len(speech)
        for item in self._manifest.inputs:
            if item.what == "ones_mask":
                continue
            features = _features(speech, item)
            steps = features.shape[1]
            inputs[item.name] = features.transpose(0, 2, 1) if item.layout == "BCT" and features.ndim > 2 else features
        masks = [item.name for item in self._manifest.inputs if item.what == "ones_mask"]
        return inputs | {name: np.ones((1, steps), np.float32) for name in masks}


def _features(speech: Pcm, front_end: Input) -> Tensor:
    """Return (1, t, mels), or (1, n) where the model wants the wave."""
    if front_end.what == "wave":
        return (speech * np.float32(front_end.scale))[None]
    return fbank(speech, front_end)[None]


def _unit(vector: Tensor) -> Embedding:
    unit: Embedding = vector / np.linalg.norm(vector)
    return unit
