"""Train the tone head that ships: from licence-clean labels alone, and told honestly.

    python training/tone/train.py TONE_DIR SPEAKERS_DIR --out src/carillon/inference/weights

Both folders have a manifest.csv. Labels come only from TONE_DIR's rows with commercial_use = yes, which is EmoDB: six
German actors. Its other rows only tell how the head does on people, languages and recordings that it does not know.
Every clip is used as it is and through a telephone, after the product's speech gate, on the product's own features.

One thing beyond the textbook: features are normalized over EmoDB when training, but over English speech (SPEAKERS_DIR,
CC BY 4.0, no labels) when used, since the head must serve English calls and much of what sets corpora apart is a shift
of all features. The temperature is fitted on held-out speakers under that same mismatch. The figures without it are
printed and told in the card too. It takes about five minutes on two cores, draws no random numbers, and writes the same
head again on the same machine.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from export import write_card, write_head
from logistic import (
    Array,
    Labels,
    Linear,
    Normalizer,
    calibration_error,
    fit,
    fit_temperature,
    log_loss,
    unweighted_recall,
)

from carillon.analysis.speech import speech_of
from carillon.analysis.speech.telephone import RATE_HZ, through_telephone
from carillon.audio import MODEL_RATE_HZ, from_pcm16
from carillon.evaluation.manifest import Recording, read_manifest
from carillon.inference.catalog import Catalog
from carillon.inference.tone import LABELS, LEAST_SAMPLES, SpeechFeatures
from carillon.inference.vad import SileroVad

BANDS: Final = ("wideband", "telephone")
PENALTY: Final = 0.1
MOST_SAMPLES: Final = 5 * MODEL_RATE_HZ  # what a live call judges at once
CLIPS_OF_A_SPEAKER: Final = 3  # of the English speakers: enough for a mean


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """Features of many clips in one band."""

    features: Array  # (n, d)
    labels: Labels  # (n,)
    speakers: Sequence[str]


@dataclass(frozen=True, slots=True)
class Figures:
    """How the head did in one corpus and band."""

    corpus: str
    band: str
    clips: int
    recall: float
    loss: float
    calibration_error: float

    def __str__(self) -> str:
        return (
            f"{self.corpus:10}{self.band:10} clips {self.clips:4}  UAR {self.recall:6.1%}  "
            f"log loss {self.loss:.2f}  ECE {self.calibration_error:.2f}"
        )


class Listener:
    """Turns recordings into features, exactly as a live call would."""

    def __init__(self) -> None:
        catalog = Catalog()
        self._vad = SileroVad(catalog.find("silero-vad-6-16k", "vad"))
        self._features = SpeechFeatures(catalog.find("whisper-tiny-en-layers-2-3", "encoder"))

    def hear(self, recordings: Sequence[Recording], band: str) -> Clips:
        """Return the features of every recording that holds half a second of speech."""
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda recording: self._of(recording, band), recordings))
        kept = [(features, item) for features, item in zip(found, recordings, strict=True) if features is not None]
        return Clips(
            np.array([features for features, _ in kept]),
            np.array([LABELS.index(item.labels.get("valence", "neutral")) for _, item in kept]),
            [item.speaker for _, item in kept],
        )

    def _of(self, recording: Recording, band: str) -> Array | None:
        samples, rate_hz = recording.read()
        if band == "telephone":
            samples, rate_hz = through_telephone(samples, rate_hz), RATE_HZ
        speech = from_pcm16(speech_of(samples, rate_hz, self._vad))[:MOST_SAMPLES]
        return self._features.of(speech).astype(np.float64) if len(speech) >= LEAST_SAMPLES else None


def joined(parts: Sequence[Clips]) -> Clips:
    """Put clips together."""
    return Clips(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.labels for part in parts]),
        list(itertools.chain.from_iterable(part.speakers for part in parts)),
    )


def held_out_logits(clips: Clips, use: Normalizer | None) -> Array:
    """Return for each clip the logits of a head that never heard its speaker; None: normalized as it was trained."""
    speakers = np.array(clips.speakers)
    logits = np.zeros((len(speakers), len(LABELS)))
    for speaker in sorted(set(clips.speakers)):
        unseen = speakers == speaker
        own = Normalizer.of(clips.features[~unseen])
        head = fit(own(clips.features[~unseen]), clips.labels[~unseen], PENALTY)
        logits[unseen] = head((use or own)(clips.features[unseen]))
    return logits


def figures(corpus: str, band: str, logits: Array, labels: Labels) -> Figures:
    """Measure logits that were already divided by the temperature."""
    return Figures(
        corpus,
        band,
        len(labels),
        unweighted_recall(logits, labels),
        log_loss(logits, labels),
        calibration_error(logits, labels),
    )


def folded(head: Linear, use: Normalizer, temperature: float) -> Linear:
    """Put normalization and temperature into the head, so that it takes bare features."""
    weights = head.weights / use.deviation[:, None] / temperature
    return Linear(weights, head.bias / temperature - use.mean @ weights)


def english_clips(directory: Path) -> list[Recording]:
    """Choose the first few recordings of every speaker."""
    by_speaker: dict[str, list[Recording]] = {}
    for recording in read_manifest(directory, ()):
        by_speaker.setdefault(recording.speaker, []).append(recording)
    return [item for _, own in sorted(by_speaker.items()) for item in own[:CLIPS_OF_A_SPEAKER]]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A head, ready to use, and how it did."""

    head: Linear
    temperature: float
    figures: Sequence[Figures]


def train(clean: dict[str, Clips], unseen: dict[tuple[str, str], Clips], use: Normalizer | None) -> Trained:
    """Train on the clean clips of both bands, and measure on held-out speakers and on unseen corpora."""
    both = joined(list(clean.values()))
    own = Normalizer.of(both.features)
    logits = held_out_logits(both, use)
    temperature = fit_temperature(logits, both.labels)
    head = folded(fit(own(both.features), both.labels, PENALTY), use or own, temperature)
    by_band = np.split(logits / temperature, np.cumsum([len(clips.labels) for clips in clean.values()])[:-1])
    held_out = [
        figures("emodb", band, scores, clips.labels)
        for (band, clips), scores in zip(clean.items(), by_band, strict=True)
    ]
    others = [figures(corpus, band, head(clips.features), clips.labels) for (corpus, band), clips in unseen.items()]
    return Trained(head, temperature, [*held_out, *others])


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Train the licence-clean tone head.")
    parser.add_argument("tone", type=Path)
    parser.add_argument("speakers", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    rows = read_manifest(arguments.tone, ("corpus", "valence", "commercial_use"))
    by_corpus: dict[str, list[Recording]] = {}
    for row in rows:
        by_corpus.setdefault(row.labels["corpus"], []).append(row)
    listener = Listener()
    clean = {
        band: listener.hear([row for row in rows if row.labels["commercial_use"] == "yes"], band) for band in BANDS
    }
    unseen = {
        (corpus, band): listener.hear(own, band)
        for corpus, own in sorted(by_corpus.items())
        for band in BANDS
        if all(row.labels["commercial_use"] != "yes" for row in own)
    }
    english = joined([listener.hear(english_clips(arguments.speakers), band) for band in BANDS])

    plain = train(clean, unseen, None)
    chosen = train(clean, unseen, Normalizer.of(english.features))
    for name, trained in (("normalized over EmoDB", plain), ("normalized over English", chosen)):
        print(f"{name}, temperature {trained.temperature:.2f}", *trained.figures, sep="\n")
    sha256 = write_head(chosen.head, arguments.out)
    write_card(chosen.figures, plain.figures, chosen.temperature, arguments.out)
    print(f"{arguments.out}: tone_head_clean.onnx, sha256 {sha256}")


if __name__ == "__main__":
    sys.exit(main())
