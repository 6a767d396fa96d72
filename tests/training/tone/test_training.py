"""A head out of labeled clips: it hears people whom it never heard, and is written as it is."""

from pathlib import Path

import numpy as np
import pytest

from carillon.inference.catalog import ModelCatalog
from carillon.inference.sessions import OnnxSession
from carillon.training.tone import Clips, Name, Recipe, train, write_head
from carillon.training.tone.calibrating import softmax
from carillon.training.tone.listening import PARTS
from carillon.training.tone.training import TrainingRefused, histories_of, scores_of

RECIPE = Recipe({"prosody": 1.0}, penalty=0.3, calm=("readers",))
NAME = Name("mine", "mine", "a test", "Apache-2.0", True, ("actors", "readers"), "nobody")
PEOPLE, EACH = 6, 12


def _clips(tones: int = 3) -> Clips:
    """Actors of whom one of three numbers tells the tone, and readers who are neutral."""
    generator = np.random.default_rng(0)
    size = PARTS["voice"].stop
    rows = [
        (corpus, f"{corpus}/{person}", place % tones if corpus == "actors" else 1)
        for corpus in ("actors", "readers")
        for person in range(PEOPLE)
        for place in range(EACH)
    ]
    truth = np.array([tone for *_, tone in rows])
    features = generator.standard_normal((len(rows), size)).astype(np.float32)
    features[np.arange(len(rows)), PARTS["prosody"].start + truth] += 8
    names = [f"{number}.flac" for number in range(len(rows))]
    return Clips(
        {"wideband": features, "telephone": features + np.float32(0.01)},
        truth,
        np.where(truth == 1, 0, 1),
        np.array([speaker for _, speaker, _ in rows]),
        np.array([corpus for corpus, *_ in rows]),
        np.array(["read" if corpus == "readers" else str(tone) for corpus, _, tone in rows]),
        np.array(names),
        np.full(len(rows), 2.0),
    )


def test_a_head_hears_people_whom_it_never_heard() -> None:
    trained = train(_clips(), RECIPE, folds=3)
    of_people = [item for item in trained.figures if item.unseen == "people"]
    assert all(item.recall > 0.6 for item in of_people if item.corpus == "actors")
    assert all(item.shares[0] <= 0.06 for item in of_people if item.corpus == "readers" and item.history == "earlier")


def test_what_is_written_says_what_the_head_says(tmp_path: Path) -> None:
    clips = _clips()
    trained = train(clips, RECIPE, folds=2)
    write_head(trained.head, trained.calibration, NAME, tmp_path)
    inputs = {
        "prosody": clips.features["wideband"][:, PARTS["prosody"]],
        "speaker_baseline": np.zeros((len(clips.tones), 141), np.float32),
        "seconds": np.zeros((len(clips.tones), 1), np.float32),
    }
    (said,) = OnnxSession(ModelCatalog(tmp_path).find("mine", "tone")).run(["probabilities"], inputs)
    scores = scores_of(trained.head, clips, histories_of(clips))["wideband", "none"]
    np.testing.assert_allclose(said, softmax(trained.calibration.of_tone(scores)), atol=1e-4)


def test_recordings_that_cannot_carry_a_head_are_refused() -> None:
    with pytest.raises(TrainingRefused, match="0 people are heard positive"):
        train(_clips(tones=2), RECIPE)
