from pathlib import Path

import numpy as np
import pytest

from carillon.audio import Pcm
from carillon.inference import Models
from carillon.inference.catalog import PACKAGED


def test_the_three_probabilities_sum_to_1(models: Models, anna: Pcm, bert: Pcm) -> None:
    for speech in (anna, bert, anna[:8_000], np.zeros(8_000, np.float32)):
        probabilities = models.tone.probabilities(speech)
        assert sum(probabilities) == pytest.approx(1, abs=1e-12)
        assert all(0 <= probability <= 1 for probability in probabilities)


def test_different_voices_sound_different(models: Models, anna: Pcm, bert: Pcm) -> None:
    assert models.tone.probabilities(anna) != models.tone.probabilities(bert)


def test_the_same_speech_gives_the_same_bits(models: Models, anna: Pcm) -> None:
    assert models.tone.probabilities(anna) == models.tone.probabilities(anna.copy())


def test_less_than_half_a_second_is_refused(models: Models, anna: Pcm) -> None:
    with pytest.raises(ValueError, match="8000"):
        models.tone.probabilities(anna[:7_999])


def test_the_model_card_says_plainly_what_the_head_cannot_do() -> None:
    card = Path(PACKAGED / "tone_head_clean.md").read_text(encoding="utf-8")
    assert "little better than guessing" in card
    assert "ravdess" in card
