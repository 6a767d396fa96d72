"""Whose voice is this? Speech in, a point on the unit sphere out."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from carillon.audio import MODEL_RATE_HZ, Embedding, Pcm
from carillon.inference.calibration import Channel, log_likelihood_ratio, replaced
from carillon.inference.catalog import CalibrationEntry, Input, ModelUnsupported, Weights
from carillon.inference.fbank import fbank
from carillon.inference.sessions import Session, Tensor

LEAST_SAMPLES: Final = MODEL_RATE_HZ // 2
"""Half a second: below that there is no voice to speak of."""


class SpeakerEncoder:
    """Any ONNX speaker model whose front end the manifest describes: Kaldi filter banks or the bare wave.

    Args:
        weights: the model and its manifest.
        calibration: tables that stand in for the manifest's, for the channels that they are for.

    Raises:
        ModelUnsupported: the manifest asks for another front end.
    """

    def __init__(self, weights: Weights, calibration: Sequence[CalibrationEntry] = ()) -> None:
        manifest = weights.manifest
        self.id = manifest.id
        self.dimensions = manifest.output.dim
        self.calibration = replaced(manifest.calibration, calibration)
        self._center = np.frombuffer(manifest.output.center, np.dtype("<f4")) if manifest.output.center else None
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
        (embeddings,) = self._session.run([self._manifest.output.name], self._inputs(speech))
        embedding = _unit(embeddings[0]) if self._manifest.output.l2 else embeddings[0]
        return embedding if self._center is None else centered(embedding, self._center)

    def log_likelihood_ratio(self, score: float, speech_seconds: float, channel: Channel) -> float:
        """Return how much likelier a cosine is of one person than of two; see `calibration.log_likelihood_ratio`."""
        return log_likelihood_ratio(self.calibration, score, speech_seconds, channel)

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


def centered(embedding: Embedding, center: Tensor) -> Embedding:
    """Return (d,) without what all voices have in common: a model knows people apart better by what is left."""
    return _unit(embedding - center)


def _unit(vector: Tensor) -> Embedding:
    unit: Embedding = vector / np.linalg.norm(vector)
    return unit
