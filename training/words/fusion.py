"""Choose how far words are believed beside the voice, and show what that does: the table in inference/fusion.py.

    python training/words/fusion.py TONE_DIR

A voice tells its tone in every word, words only sometimes: much is said angrily that is neutral on paper, and a "thank
you" is no joy. Two numbers describe it: in `silent` of all speech the words are neutral whatever the voice, and in
`misled` of it they are of any tone at random. Nobody has licence-clean calls that are labelled for both, so the two
cannot be counted. Instead they are chosen such that the worst mistake about them costs least (minimax regret of the log
loss): for every truth on a grid, from "words always tell" to "words never tell", voices and words are paired as that
truth would have it, and the choice is compared with knowing that truth.

Voices are EmoDB's (CC0) by heads that never heard the speaker, words are the test half of utterances.csv by a head that
never saw the scenario; all pairs are used, so nothing is drawn. RAVDESS, which is not for commercial use, only shows
what comes of it: real words that never tell. Takes a few minutes.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from logistic import Array, Labels, Normalizer, calibration_error, fit, fit_temperature, softmax, unweighted_recall
from train import calibrated, posteriors, prepared, read_rows

from carillon.evaluation.manifest import Recording, read_manifest
from carillon.inference import Models, Settings
from carillon.inference.fusion import MISLED, SILENT, WORDS_PRIOR, fuse, telling
from carillon.inference.tone import LABELS, LEAST_SAMPLES, SpeechFeatures

CHOICES: Final = (
    tuple(number / 20 for number in range(21)),  # silent
    (0.02, 0.05, 0.1, 0.15, 0.2, 0.3),  # misled
)
PENALTY: Final = 0.1
RATE_HZ: Final = 16_000
MOST_SAMPLES: Final = 5 * RATE_HZ


def read(recording: Recording) -> Array | None:
    """Return at most 5 s of a recording; None if it is too short."""
    samples, rate_hz = recording.read()
    assert rate_hz == RATE_HZ
    return samples[:MOST_SAMPLES] if len(samples) >= LEAST_SAMPLES else None


class Ears:
    """The product's own models."""

    def __init__(self) -> None:
        models = Models(Settings(words="on"))
        assert models.words is not None
        self._features = SpeechFeatures(models.catalog.find("whisper-tiny-en-layers-2-3", "encoder"))
        self._words = models.words

    def voices(self, recordings: Sequence[Recording]) -> tuple[Array, Labels]:
        """Judge voices by heads that never heard the speaker: (n, 3), calibrated under equal priors, and the truth."""
        heard = [(read(item), item) for item in recordings]
        kept = [(samples, item) for samples, item in heard if samples is not None]
        with ThreadPoolExecutor(2) as pool:
            features = np.array(list(pool.map(lambda pair: self._features.of(pair[0]), kept)), np.float64)
        tones = np.array([LABELS.index(item.labels["valence"]) for _, item in kept])
        speakers = np.array([item.speaker for _, item in kept])
        logits = np.zeros((len(tones), len(LABELS)))
        for speaker in sorted(set(speakers.tolist())):
            unseen = speakers == speaker
            normal = Normalizer.of(features[~unseen])
            logits[unseen] = fit(normal(features[~unseen]), tones[~unseen], PENALTY)(normal(features[unseen]))
        return softmax(logits / fit_temperature(logits, tones)), tones

    def words(self, recordings: Sequence[Recording]) -> Array:
        """Judge the words that are really said, (n, 3)."""
        heard = [samples for samples in map(read, recordings) if samples is not None]
        with ThreadPoolExecutor(2) as pool:
            return np.array([said.probabilities for said in pool.map(self._words.hear, heard)])


def fused(voices: Array, words: Array, table: Array) -> Array:
    """Fuse every voice with every word: (v, 3) and (w, 3) to (v, w, 3). What `fuse` does, all at once."""
    evidence = (words / np.array(WORDS_PRIOR)) @ table.T
    products = voices[:, None, :] * evidence[None]
    total: Array = products / products.sum(axis=-1, keepdims=True)
    return total


def losses(voices: Array, tones: Labels, words: Array, said: Labels, table: Array) -> Array:
    """Return the mean log loss where the voice is of one tone and the words of one: (3, 3)."""
    found = np.zeros((len(LABELS), len(LABELS)))
    for tone, word in itertools.product(range(len(LABELS)), repeat=2):
        found[tone, word] = -np.log(fused(voices[tones == tone], words[said == word], table)[..., tone]).mean()
    return found


def choose(voices: Array, tones: Labels, words: Array, said: Labels) -> tuple[float, float]:
    """Return `silent` and `misled` whose worst regret is the smallest; print how they compare."""
    grid = list(itertools.product(*CHOICES))
    tables = {pair: np.array(telling(*pair)) for pair in grid}
    costs = {pair: losses(voices, tones, words, said, tables[pair]) for pair in grid}
    by_truth = {truth: {pair: float((tables[truth] * costs[pair]).sum() / 3) for pair in grid} for truth in grid}
    regret = {pair: max(by_truth[truth][pair] - min(by_truth[truth].values()) for truth in grid) for pair in grid}
    best = min(grid, key=lambda pair: regret[pair])
    alone = max(by_truth[truth][(1.0, 0.02)] - min(by_truth[truth].values()) for truth in grid)
    print(f"silent {best[0]}, misled {best[1]}: regret at most {regret[best]:.3f}; of the voice alone {alone:.3f}")
    return best


def show(name: str, probabilities: Array, tones: Labels) -> None:
    """Print how good probabilities are."""
    recalls = [float((probabilities.argmax(axis=1)[tones == tone] == tone).mean()) for tone in range(len(LABELS))]
    logits = np.log(probabilities)
    print(
        f"{name:58} UAR {unweighted_recall(logits, tones):.1%}  ECE {calibration_error(logits, tones):.3f}  "
        f"recalls {' / '.join(f'{recall:.0%}' for recall in recalls)}"
    )


def paired(voices: Array, tones: Labels, words: Array, said: Labels, silent: float) -> tuple[Array, Labels]:
    """Give every voice a word of its tone, or in every nth case a neutral one; return both fused, and the truth."""
    kinds = np.where(np.arange(len(tones)) % 10 < round(10 * silent), LABELS.index("neutral"), tones)
    chosen = [words[said == kind][number % (said == kind).sum()] for number, kind in enumerate(kinds)]
    return one_by_one(voices, np.array(chosen)), tones


def one_by_one(voices: Array, words: Array) -> Array:
    """Fuse as the product does: (n, 3) with (n, 3)."""
    pairs = zip(voices.tolist(), words.tolist(), strict=True)
    return np.array([fuse(tuple(voice), tuple(word)) for voice, word in pairs])


def main() -> int:
    """Choose, compare with what the product has, show."""
    parser = argparse.ArgumentParser(description="Choose how far words are believed.")
    parser.add_argument("tone", type=Path)
    recordings = read_manifest(parser.parse_args().tone, ("corpus", "valence", "commercial_use"))
    by_corpus = {name: [item for item in recordings if item.labels["corpus"] == name] for name in ("emodb", "ravdess")}
    rows = read_rows()
    texts, known = prepared(rows, str), np.array([row["split"] == "train" for row in rows])
    test = texts.where(~known)
    words, said = posteriors(calibrated(texts.where(known))[0](test.features)), test.tones
    ears = Ears()
    chosen = choose(*ears.voices(by_corpus["emodb"]), words, said)
    if chosen != (SILENT, MISLED):
        print(f"inference/fusion.py has silent {SILENT} and misled {MISLED}: put these in, and run this again.")
        return 1

    voices, tones = ears.voices(by_corpus["ravdess"])
    show("RAVDESS, voice alone", voices, tones)
    spoken = ears.words(by_corpus["ravdess"])
    show("RAVDESS, with its own words, which never tell", one_by_one(voices, spoken), tones)
    for silent in (0.0, 0.5):
        show(f"RAVDESS, with utterances that tell in {1.0 - silent:.0%}", *paired(voices, tones, words, said, silent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
