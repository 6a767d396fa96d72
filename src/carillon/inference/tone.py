"""How does this voice sound: negative, neutral or positive?

A pretrained encoder turns speech into vectors, one every 20 ms; their mean and standard deviation over time go through
a small head that was trained on acted emotions. The two are separate models in the catalog, so that a better head is
one small file.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference.catalog import ModelUnsupported, Weights
from carillon.inference.log_mel import log_mel
from carillon.inference.sessions import Session, Tensor

LABELS: Final = ("negative", "neutral", "positive")
"""The order of a head's three outputs."""

LEAST_SAMPLES: Final = MODEL_RATE_HZ // 2


class SpeechFeatures:
    """Mean and standard deviation of an encoder's layers over time."""

    def __init__(self, weights: Weights) -> None:
        manifest = weights.manifest
        self.id = manifest.id
        self._front_end, self._output = manifest.inputs[0], manifest.output
        self._most_samples = int(manifest.max_seconds * MODEL_RATE_HZ)
        if self._front_end.what != "log_mel_whisper":
            raise ModelUnsupported(manifest.id, f"the front end {self._front_end.what!r}")
        self._session = Session(weights)

    def of(self, speech: Pcm) -> Tensor:
        """Describe (n,) speech at 16 kHz, n >= 8_000 and at most `max_seconds`, as (2 * layers * dim,).

        First the means of each layer, then the standard deviations of each.
        """
        if not LEAST_SAMPLES <= len(speech) <= self._most_samples:
            raise ValueError(f"{self.id} hears {LEAST_SAMPLES} to {self._most_samples} samples, not {len(speech)}.")
        mel = log_mel(speech, self._front_end.mels)[None]
        (hidden,) = self._session.run([self._output.name], {self._front_end.name: mel})  # (1, layers, t, dim)
        layers = hidden[0, list(self._output.layers)]
        return np.concatenate([layers.mean(axis=1).ravel(), layers.std(axis=1).ravel()])


class ToneClassifier:
    """A trained head on speech features."""

    def __init__(self, head: Weights, features: SpeechFeatures) -> None:
        self.id = head.manifest.id
        self._features = features
        self._input, self._output = head.manifest.inputs[0].name, head.manifest.output.name
        self._session = Session(head)

    def probabilities(self, speech: Pcm) -> tuple[float, float, float]:
        """Judge (n,) speech at 16 kHz, n >= 8_000: negative, neutral, positive, summing to 1."""
        (logits,) = self._session.run([self._output], {self._input: self._features.of(speech)[None]})
        negative, neutral, positive = _softmax(logits[0].astype(np.float64)).tolist()
        return negative, neutral, positive


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max())
    normalized: npt.NDArray[np.float64] = powers / powers.sum()
    return normalized
