"""Train the head that judges the tone of words, and tell honestly how good it is.

    python training/words/train.py --out src/carillon/inference/weights

The text is utterances.csv beside this script: 612 things that customers and agents say, written for carillon (README.md
there tells how). Scenarios of the train half and of the test half share nothing. A sentence becomes MiniLM's embedding
and VADER's four scores, in lower case without punctuation, as nobody hears it; the head is a logistic regression on
both. Its penalty and its temperature are chosen on scenarios of the train half that were left out; the figures are of
the test half. What ships is then made in the same way from both halves, for which there is nothing left to test on.

Needs onnx and the package's extra `words`; see training/requirements.in. Takes a few minutes, draws no random numbers
but those that drop words, which are seeded.
"""

import argparse
import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from export import write_card, write_head
from logistic import Array, Labels, Linear, fit, softmax, unweighted_recall

from carillon.inference.catalog import ModelCatalog
from carillon.inference.fusion import WORDS_PRIOR
from carillon.inference.sentences import SentenceEncoder
from carillon.inference.sentiment import Vader, plain
from carillon.inference.tone import LABELS

UTTERANCES: Final = Path(__file__).parent / "utterances.csv"
FOLDS: Final = 9
PENALTIES: Final = (0.1, 0.3, 1.0, 3.0)
LEXICON_SCALE: Final = 3.0
"""VADER's four numbers together then vary about as much as twenty of the embedding's."""
DROPPED: Final = 0.15
"""Share of the words that the harder test leaves out: more than a telephone's word errors."""
SURE: Final = 0.05
"""VADER's own threshold of a tone."""


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Utterances and what was computed of them."""

    features: Array  # (n, 384 + 4)
    tones: Labels  # (n,)
    scenarios: npt.NDArray[np.str_]  # (n,)

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Texts":
        """Return some of them."""
        return Texts(self.features[chosen], self.tones[chosen], self.scenarios[chosen])


@dataclass(frozen=True, slots=True)
class Figures:
    """How one way of judging did on utterances that it did not know."""

    name: str
    recalls: tuple[float, float, float]
    recall: float
    loss: float
    calibration_error: float

    def __str__(self) -> str:
        recalls = " / ".join(f"{recall:.0%}" for recall in self.recalls)
        return (
            f"{self.name:44} UAR {self.recall:.1%} ({recalls})  log loss {self.loss:.3f}  "
            f"ECE {self.calibration_error:.3f}"
        )


def read_rows() -> list[dict[str, str]]:
    """Read the utterances: scenario, split, role, tone, text."""
    with UTTERANCES.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def with_words_dropped(text: str, random: np.random.Generator) -> str:
    """Leave some words out, as a bad line does, but never all."""
    words = text.split()
    kept = [word for word in words if random.random() >= DROPPED]
    return " ".join(kept or words[:1])


def prepared(rows: list[dict[str, str]], change: Callable[[str], str]) -> Texts:
    """Compute the features of every utterance, changed first."""
    encoder, vader = SentenceEncoder(ModelCatalog().find("all-minilm-l6-v2-int8", "encoder")), Vader()
    texts = [change(plain(row["text"])) for row in rows]
    embeddings = np.array([encoder.embed(text) for text in texts], np.float64)
    scores = np.array([vader.of(text) for text in texts], np.float64)
    return Texts(
        np.hstack([embeddings * np.sqrt(embeddings.shape[1]), scores * LEXICON_SCALE]),
        np.array([LABELS.index(row["tone"]) for row in rows]),
        np.array([row["scenario"] for row in rows]),
    )


def left_out_logits(texts: Texts, penalty: float) -> Array:
    """Return for each utterance the logits of a head that knew nothing of its scenario."""
    logits = np.zeros((len(texts.tones), len(LABELS)))
    scenarios = sorted(set(texts.scenarios.tolist()))
    for fold in range(FOLDS):
        unseen = np.isin(texts.scenarios, scenarios[fold::FOLDS])
        known = texts.where(~unseen)
        logits[unseen] = fit(known.features, known.tones, penalty)(texts.features[unseen])
    return logits


def posteriors(logits: Array) -> Array:
    """Turn logits under equal priors into probabilities under the prior of calls."""
    return softmax(logits + np.log(np.array(WORDS_PRIOR)))


def log_loss(probabilities: Array, tones: Labels) -> float:
    """Return the mean of -log(probability of the truth); knowing nothing but the prior gives 1.04."""
    return float(-np.log(probabilities[np.arange(len(tones)), tones]).mean())


def temperature_of(logits: Array, tones: Labels) -> float:
    """Return what logits must be divided by to be as sure as they are right."""
    return float(min(np.geomspace(0.05, 10.0, 400), key=lambda value: log_loss(posteriors(logits / value), tones)))


def calibrated(texts: Texts) -> tuple[Linear, float, float]:
    """Fit a head whose logits are calibrated under equal priors; return its penalty and temperature too."""
    logits = {penalty: left_out_logits(texts, penalty) for penalty in PENALTIES}
    fitted = {penalty: temperature_of(values, texts.tones) for penalty, values in logits.items()}
    penalty = min(PENALTIES, key=lambda value: log_loss(posteriors(logits[value] / fitted[value]), texts.tones))
    head = fit(texts.features, texts.tones, penalty)
    return Linear(head.weights / fitted[penalty], head.bias / fitted[penalty]), penalty, fitted[penalty]


def figures(name: str, probabilities: Array, tones: Labels) -> Figures:
    """Measure probabilities."""
    guesses, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    negative, neutral, positive = (float((guesses[tones == label] == label).mean()) for label in range(len(LABELS)))
    bins = np.minimum((sure * 10).astype(int), 9)
    gaps = [abs(float((sure - (guesses == tones))[bins == number].sum())) for number in range(10)]
    return Figures(
        name,
        (negative, neutral, positive),
        unweighted_recall(probabilities, tones),
        log_loss(probabilities, tones),
        sum(gaps) / len(tones),
    )


def by_lexicon(texts: Texts) -> Array:
    """Judge as VADER's authors tell, as sure of it as VADER is."""
    compound = texts.features[:, -4] / LEXICON_SCALE
    tone = np.where(compound <= -SURE, 0, np.where(compound >= SURE, 2, 1))
    sure = np.where(tone == 1, 1.0 - np.abs(compound), np.abs(compound)) * 0.98 + 0.01
    others = np.repeat((1.0 - sure)[:, None] / 2.0, len(LABELS), axis=1)
    others[np.arange(len(tone)), tone] = sure
    return others


def by_columns(known: Texts, unseen: Texts, columns: slice) -> Array:
    """Judge by a head on some of the features alone, made in the same way."""
    part = Texts(known.features[:, columns], known.tones, known.scenarios)
    return posteriors(calibrated(part)[0](unseen.features[:, columns]))


def by_prototypes(known: Texts, unseen: Texts) -> Array:
    """Judge by the nearest mean embedding of a tone, with a temperature."""

    def similarities(of: Texts, among: Texts) -> Array:
        means = np.array([of.features[of.tones == label, :-4].mean(axis=0) for label in range(len(LABELS))])
        units = means / np.linalg.norm(means, axis=1, keepdims=True)
        return among.features[:, :-4] @ units.T

    temperature = temperature_of(similarities(known, known), known.tones)
    return posteriors(similarities(known, unseen) / temperature)


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Train the head that judges the tone of words.")
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out

    rows, random = read_rows(), np.random.default_rng(6)
    every, harder = prepared(rows, str), prepared(rows, lambda text: with_words_dropped(text, random))
    known = np.array([row["split"] == "train" for row in rows])
    train, test, harder_test = every.where(known), every.where(~known), harder.where(~known)
    head, penalty, temperature = calibrated(train)
    measured = [
        figures("VADER alone, by its own rule", by_lexicon(test), test.tones),
        figures("VADER alone, calibrated", by_columns(train, test, slice(-4, None)), test.tones),
        figures("MiniLM, nearest prototype, calibrated", by_prototypes(train, test), test.tones),
        figures("MiniLM, head", by_columns(train, test, slice(None, -4)), test.tones),
        figures("MiniLM and VADER, head: what ships", posteriors(head(test.features)), test.tones),
        figures("the same, 15 % of the words dropped", posteriors(head(harder_test.features)), test.tones),
    ]
    print(f"train half: penalty {penalty}, temperature {temperature:.2f}", *measured, sep="\n")

    shipped, penalty, temperature = calibrated(every)
    left_out = figures(
        "what ships, left-out scenarios of both halves",
        posteriors(left_out_logits(every, penalty) / temperature),
        every.tones,
    )
    print(f"both halves: penalty {penalty}, temperature {temperature:.2f}", left_out, sep="\n")
    scale = np.concatenate(
        [np.full(len(shipped.weights) - 4, np.sqrt(len(shipped.weights) - 4)), np.full(4, LEXICON_SCALE)]
    )
    sha256 = write_head(shipped.weights * scale[:, None], shipped.bias + np.log(np.array(WORDS_PRIOR)), out)
    write_card([str(item) for item in measured], out)
    print(f"{out}: sha256 {sha256}")


if __name__ == "__main__":
    sys.exit(main())
