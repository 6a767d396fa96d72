"""How does this voice sound: negative, neutral or positive; excited or calm?

A pretrained encoder turns speech into vectors, one every 20 ms; their mean and standard deviation over time go through
a small head that was trained on acted emotions. The two are separate models in the catalog, so that a better head is
one small file.

People sound different before they feel anything, so a head also hears how this speaker usually sounds: a `Habit`, the
mean of the same features over what was heard before. It is handed in and out; nothing is kept here between two calls.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference.catalog import ModelUnsupported, Weights
from carillon.inference.log_mel import log_mel
from carillon.inference.sessions import Session, Tensor

LABELS: Final = ("negative", "neutral", "positive")
"""The order of a head's three outputs."""

LEAST_SAMPLES: Final = MODEL_RATE_HZ // 2

Probabilities: TypeAlias = tuple[float, float, float]
"""Of negative, neutral and positive; they sum to 1."""


def _nothing() -> Tensor:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Habit:
    """How one speaker usually sounds, from all of their speech so far. Biometric, like an embedding."""

    seconds: float = 0.0
    """Of speech that the mean was taken over."""
    mean: Tensor = field(default_factory=_nothing, repr=False)  # (d,) float32, of the features; (0,) before any speech


@dataclass(frozen=True, slots=True)
class Sound:
    """What the sound alone says of a stretch of speech."""

    probabilities: Probabilities
    """Calibrated."""
    arousal: float | None
    """Probability that the speaker is excited (angry, happy, afraid) rather than calm, in [0, 1]; None if the head was
    not trained to tell it."""

    @property
    def valence(self) -> float:
        """Return how positive it is rather than negative, in [-1, 1]."""
        negative, _, positive = self.probabilities
        return positive - negative


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
    """A trained head on speech features. May be called from several threads at a time."""

    def __init__(self, head: Weights, features: SpeechFeatures) -> None:
        self.id = head.manifest.id
        self._features = features
        self._input, self._output = head.manifest.inputs[0].name, head.manifest.output.name
        self._session = Session(head)

    def hear(self, speech: Pcm, habit: Habit, /) -> tuple[Sound, Habit]:
        """Judge (n,) speech at 16 kHz, 8_000 <= n <= 30 s, of a speaker whose earlier speech made `habit`.

        Returns:
            What it sounds like, and the habit with this speech in it, for the next stretch. Order matters: speech is
            judged by what came before it, never by itself or by what came after.
        """
        features = self._features.of(speech)
        if len(habit.mean) not in (0, len(features)):
            raise ValueError(f"{self.id} knows habits of {len(features)} numbers, not {len(habit.mean)}.")
        (logits,) = self._session.run([self._output], {self._input: features[None]})
        negative, neutral, positive = _softmax(logits[0].astype(np.float64)).tolist()
        return Sound((negative, neutral, positive), None), _after(habit, features, len(speech) / MODEL_RATE_HZ)

    def probabilities(self, speech: Pcm) -> Probabilities:
        """Judge (n,) speech at 16 kHz, n >= 8_000: negative, neutral, positive, summing to 1."""
        return self.hear(speech, Habit())[0].probabilities


def _after(habit: Habit, features: Tensor, seconds: float) -> Habit:
    """Return the habit once these features of so much more speech are in its mean."""
    if not habit.seconds:
        return Habit(seconds, features)
    total = habit.seconds + seconds
    mean = habit.mean + (features - habit.mean) * np.float32(seconds / total)
    return Habit(total, mean)


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max())
    normalized: npt.NDArray[np.float64] = powers / powers.sum()
    return normalized
