"""Whose voice is this? Speech in, a point on the unit sphere out."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from carillon.audio import MODEL_RATE_HZ, Band, BandPair, Embedding, Pcm
from carillon.inference.calibration import log_likelihood_ratio, replaced
from carillon.inference.catalog import CalibrationEntry, Input, ModelUnsupported, Weights
from carillon.inference.fbank import fbank, without_bands_beyond
from carillon.inference.lines import LEAST_SECONDS, Compensated, read_compensation
from carillon.inference.sessions import OnnxSession, Tensor

LEAST_SAMPLES: Final = MODEL_RATE_HZ // 2
"""Half a second: below that there is no voice to speak of."""

SHORT_SAMPLES: Final = 5 * MODEL_RATE_HZ
"""Telephone speech below that is heard twice if the manifest says how: it then knows people apart a little better."""


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
        center, telephone_center = manifest.output.center, manifest.output.telephone_center
        self._centers = {"wb": _center(center), "tel": _center(telephone_center or center)}
        self.compensation = read_compensation(manifest.lines) if manifest.lines else None
        self._can_narrow = any(item.telephone_hz is not None for item in manifest.inputs)
        self._manifest = manifest
        self._most_samples = int(manifest.max_seconds * MODEL_RATE_HZ)
        for item in manifest.inputs:
            if item.what not in ("fbank", "wave", "ones_mask"):
                raise ModelUnsupported(manifest.id, f"the front end {item.what!r}")
        self._session = OnnxSession(weights)

    def embed(self, speech: Pcm, band: Band = "wb") -> Embedding:
        """Embed (n,) speech at 16 kHz, n >= 8_000 and at most the manifest's `max_seconds`, as (dim,), L2 norm 1.

        Embeddings of both bands are comparable.
        """
        return self._centered(self.uncentered(speech, band), band)

    def embed_once(self, speech: Pcm, band: Band = "wb") -> Embedding:
        """Embed likewise, but hear short telephone speech once: for half the cost, and a little worse."""
        self._require(speech)
        return self._centered(self._run(speech, is_narrow=False), band)

    def uncentered(self, speech: Pcm, band: Band = "wb") -> Embedding:
        """Embed speech likewise, but leave in what all voices have in common: what the graph alone says."""
        self._require(speech)
        embedding = self._run(speech, is_narrow=False)
        is_heard_twice = band == "tel" and len(speech) < SHORT_SAMPLES and self._can_narrow
        return _unit(embedding + self._run(speech, is_narrow=True)) if is_heard_twice else embedding

    def log_likelihood_ratio(self, score: float, speech_seconds: float, channel: BandPair) -> float:
        """Return how much likelier a cosine is of one person than of two; see `calibration.log_likelihood_ratio`."""
        return log_likelihood_ratio(self.calibration, score, speech_seconds, channel)

    def compensated(self, voice: Embedding, band: Band, speech_seconds: float) -> Compensated:
        """Return a voice that is searched, (d,), without what its line did to it.

        Unchanged if it did not come by telephone, or there was too little speech to tell.
        """
        if self.compensation is None or band == "wb" or speech_seconds < LEAST_SECONDS:
            return Compensated(voice, 0.0)
        (left,), (shift,) = self.compensation.of(voice[None])
        return Compensated(left, float(shift))

    def _require(self, speech: Pcm) -> None:
        if not LEAST_SAMPLES <= len(speech) <= self._most_samples:
            raise ValueError(f"{self.id} embeds {LEAST_SAMPLES} to {self._most_samples} samples, not {len(speech)}.")

    def _centered(self, embedding: Embedding, band: Band) -> Embedding:
        center = self._centers[band]
        return embedding if center is None else centered(embedding, center)

    def _run(self, speech: Pcm, *, is_narrow: bool) -> Embedding:
        (embeddings,) = self._session.run([self._manifest.output.name], self._inputs(speech, is_narrow))
        return _unit(embeddings[0]) if self._manifest.output.l2 else embeddings[0]

    def _inputs(self, speech: Pcm, is_narrow: bool) -> dict[str, Tensor]:
        inputs: dict[str, Tensor] = {}
        steps = len(speech)
        for item in self._manifest.inputs:
            if item.what == "ones_mask":
                continue
            features = _features(speech, item, is_narrow)
            steps = features.shape[1]
            inputs[item.name] = features.transpose(0, 2, 1) if item.layout == "BCT" and features.ndim > 2 else features
        masks = [item.name for item in self._manifest.inputs if item.what == "ones_mask"]
        return inputs | {name: np.ones((1, steps), np.float32) for name in masks}


def _features(speech: Pcm, front_end: Input, is_narrow: bool) -> Tensor:
    """Return (1, t, mels), or (1, n) where the model wants the wave."""
    if front_end.what == "wave":
        return (speech * np.float32(front_end.scale))[None]
    frames = fbank(speech, front_end)
    if is_narrow and front_end.telephone_hz is not None:
        frames = without_bands_beyond(frames, front_end.telephone_hz)
    return frames[None]


def centered(embedding: Embedding, center: Tensor) -> Embedding:
    """Return (d,) without what all voices have in common: a model knows people apart better by what is left."""
    return _unit(embedding - center)


def _center(packed: bytes) -> Tensor | None:
    return np.frombuffer(packed, np.dtype("<f4")) if packed else None


def _unit(vector: Tensor) -> Embedding:
    unit: Embedding = vector / np.linalg.norm(vector)
    return unit
