"""How does this voice sound: negative, neutral or positive; excited or calm?

What is heard are a pretrained encoder's vectors, one every 20 ms, by their mean and standard deviation over time, and
beside them plain numbers of prosody or what a speaker model hears, as a head's manifest asks. The head is small and was
trained on acted emotions. It and the encoders are separate models in the catalog, so that a better head is one file.

People sound different before they feel anything, so a head also hears how this speaker usually sounds: a
`SpeakerBaseline`, the mean of the same features over what was heard before. It is handed in and out; nothing is kept
here between two calls.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference.catalog import ModelBroken, ModelUnsupported, Weights
from carillon.inference.fbank import fbank
from carillon.inference.log_mel import log_mel
from carillon.inference.sessions import OnnxSession, Tensor

LABELS: Final = ("negative", "neutral", "positive")
"""The order of a head's three outputs."""

AROUSAL: Final = "arousal"
"""The output of a head that tells the probability of excitement, (1, 1); it may have none."""

LEAST_SAMPLES: Final = MODEL_RATE_HZ // 2

# How loud somebody comes through tells more of the line than of the tone.
_LEVEL: Final = np.float32(0.05)  # RMS, -26 dBFS
_SILENCE: Final = np.float32(1e-5)

Source: TypeAlias = Callable[[Pcm], Tensor]
"""Describes (n,) speech as (d,)."""

Probabilities: TypeAlias = tuple[float, float, float]
"""Of negative, neutral and positive; they sum to 1."""


def _nothing() -> Tensor:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerBaseline:
    """How one speaker usually sounds, from all of their speech so far. Biometric, like an embedding."""

    seconds: float = 0.0
    """Of speech that the mean was taken over."""
    mean: Tensor = field(default_factory=_nothing, repr=False)  # (d,) float32, of the features; (0,) before any speech


@dataclass(frozen=True, slots=True)
class AcousticJudgment:
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
        self._session = OnnxSession(weights)

    def of(self, speech: Pcm) -> Tensor:
        """Describe (n,) speech at 16 kHz, n >= 8_000 and at most `max_seconds`, as (layers * 2 * dim,).

        Layer by layer, of each its mean, then its standard deviation.
        """
        if not LEAST_SAMPLES <= len(speech) <= self._most_samples:
            raise ValueError(f"{self.id} hears {LEAST_SAMPLES} to {self._most_samples} samples, not {len(speech)}.")
        mel = log_mel(speech, self._front_end.mels)[None]
        (hidden,) = self._session.run([self._output.name], {self._front_end.name: mel})  # (1, layers, t, dim)
        layers = hidden[0, list(self._output.layers)]
        return np.concatenate([layers.mean(axis=1), layers.std(axis=1)], axis=1).ravel()


class VoiceFeatures:
    """A speaker model's embedding, and what it hears before it forgets how something is said."""

    def __init__(self, weights: Weights) -> None:
        manifest = weights.manifest
        self.id = manifest.id
        self._front_end, self._output = manifest.inputs[0], manifest.output
        self._most_samples = int(manifest.max_seconds * MODEL_RATE_HZ)
        if self._front_end.what != "fbank":
            raise ModelUnsupported(manifest.id, f"the front end {self._front_end.what!r}")
        self._session = OnnxSession(weights)

    def of(self, speech: Pcm) -> Tensor:
        """Describe (n,) speech at 16 kHz, n >= 8_000, as (dim,): the first `max_seconds` of it."""
        frames = fbank(speech[: self._most_samples], self._front_end)
        (voices,) = self._session.run([self._output.name], {self._front_end.name: frames[None]})
        voice: Tensor = voices[0]
        return voice


class ToneClassifier:
    """A trained head. May be called from several threads at a time.

    Args:
        head: its graph takes what `sources` tell, then the baseline, (1, d), zeros without one, and its seconds, (1,
        1);
            it returns probabilities, (1, 3), and perhaps `arousal`, (1, 1).
        sources: what describes speech, by name of input, in the manifest's order; a baseline is their mean in that
        order.

    Raises:
        ModelBroken: see `OnnxSession`; or the graph's inputs are not those of its manifest.
        ModelUnsupported: the manifest does not name a baseline and its seconds.
    """

    def __init__(self, head: Weights, sources: Mapping[str, Source]) -> None:
        manifest = head.manifest
        self.id = manifest.id
        self._most_samples = int(manifest.max_seconds * MODEL_RATE_HZ)
        self._sources = sources
        self._session = OnnxSession(head)
        self._outputs = [manifest.output.name, *(name for name in self._session.outputs() if name == AROUSAL)]
        names = {item.what: item.name for item in manifest.inputs}
        if not {"speaker_baseline", "baseline_seconds"} <= names.keys():
            raise ModelUnsupported(manifest.id, "a head without the inputs `speaker_baseline` and `baseline_seconds`")
        self._baseline, self._seconds = names["speaker_baseline"], names["baseline_seconds"]
        shapes = self._session.inputs()
        if shapes.keys() != {item.name for item in manifest.inputs}:
            raise ModelBroken(head.path, f"the graph's inputs are {', '.join(shapes)}, which its manifest must name.")
        self._none = np.zeros((1, int(shapes[self._baseline][-1])), np.float32)

    def judge(self, speech: Pcm, baseline: SpeakerBaseline, /) -> tuple[AcousticJudgment, SpeakerBaseline]:
        """Judge (n,) speech at 16 kHz, 8_000 <= n <= 30 s, of a speaker whose earlier speech made `baseline`.

        Returns:
            What it sounds like, and the baseline with this speech in it, for the next stretch. Order matters: speech is
            judged by what came before it, never by itself or by what came after.

        Raises:
            ValueError: too little or too much speech, or the baseline is another model's.
        """
        if not LEAST_SAMPLES <= len(speech) <= self._most_samples:
            raise ValueError(f"{self.id} hears {LEAST_SAMPLES} to {self._most_samples} samples, not {len(speech)}.")
        if len(baseline.mean) not in (0, self._none.shape[1]):
            raise ValueError(f"{self.id} knows baselines of {self._none.shape[1]} numbers, not {len(baseline.mean)}.")
        even = leveled(speech)
        features = {name: source(even) for name, source in self._sources.items()}
        inputs = {name: numbers[None] for name, numbers in features.items()}
        inputs[self._baseline] = baseline.mean[None] if len(baseline.mean) else self._none
        inputs[self._seconds] = np.array([[baseline.seconds]], np.float32)
        probabilities, *excited = self._session.run(self._outputs, inputs)
        arousal = float(np.clip(excited[0][0, 0], 0.0, 1.0)) if excited else None
        after = _after(baseline, np.concatenate(list(features.values())), len(speech) / MODEL_RATE_HZ)
        return AcousticJudgment(_summing_to_1(probabilities[0]), arousal), after


def leveled(speech: Pcm) -> Pcm:
    """Return (n,) speech at one mean level for all; what is as good as silent stays so."""
    if not len(speech):
        return speech
    root_mean_square = np.sqrt(np.mean(speech**2))
    even: Pcm = speech * (_LEVEL / np.maximum(root_mean_square, _SILENCE))
    return even


def _after(baseline: SpeakerBaseline, features: Tensor, seconds: float) -> SpeakerBaseline:
    """Return the baseline once what was heard of so much more speech is in its mean."""
    if not baseline.seconds:
        return SpeakerBaseline(seconds, features)
    total = baseline.seconds + seconds
    mean = baseline.mean + (features - baseline.mean) * np.float32(seconds / total)
    return SpeakerBaseline(total, mean)


def _summing_to_1(probabilities: Tensor) -> Probabilities:
    """Return the graph's float32 as three floats whose sum is 1 to the last digits."""
    negative, neutral, positive = (probabilities.astype(np.float64) / probabilities.sum(dtype=np.float64)).tolist()
    return negative, neutral, positive
