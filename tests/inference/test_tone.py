from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from carillon.analysis.packing import pack, unpack
from carillon.audio import Pcm
from carillon.inference import Habit, Models, Sound
from carillon.inference.catalog import PACKAGED

NOBODY = Habit()


def test_the_three_probabilities_sum_to_1_and_the_rest_is_in_range(models: Models, anna: Pcm, bert: Pcm) -> None:
    for speech in (anna, bert, anna[:8_000], np.zeros(8_000, np.float32), np.ones(8_000, np.float32)):
        sound, _ = models.tone.hear(speech, NOBODY)
        assert sum(sound.probabilities) == pytest.approx(1, abs=1e-12)
        assert all(0 <= probability <= 1 for probability in sound.probabilities)
        assert sound.arousal is None or 0 <= sound.arousal <= 1
        assert -1 <= sound.valence <= 1


def test_valence_is_what_positive_has_over_negative() -> None:
    assert Sound((0.5, 0.3, 0.2), 0.5).valence == pytest.approx(-0.3)


def test_different_voices_sound_different(models: Models, anna: Pcm, bert: Pcm) -> None:
    assert models.tone.hear(anna, NOBODY)[0] != models.tone.hear(bert, NOBODY)[0]


def test_the_same_speech_and_habit_give_the_same_bits(models: Models, anna: Pcm, anna_again: Pcm) -> None:
    _, habit = models.tone.hear(anna, NOBODY)
    (first, one), (second, other) = (models.tone.hear(anna_again.copy(), habit) for _ in range(2))
    assert first == second
    assert one.mean.tobytes() == other.mean.tobytes()


def test_a_habit_is_the_mean_of_what_was_heard_weighted_by_seconds(models: Models, anna: Pcm, bert: Pcm) -> None:
    _, of_anna = models.tone.hear(anna, NOBODY)
    _, of_bert = models.tone.hear(bert, NOBODY)
    _, of_both = models.tone.hear(bert, of_anna)
    weights = [of_anna.seconds, of_bert.seconds]
    assert weights == [len(anna) / 16_000, len(bert) / 16_000]
    assert of_both.seconds == pytest.approx(sum(weights))
    expected = np.average([of_anna.mean, of_bert.mean], axis=0, weights=weights)
    np.testing.assert_allclose(of_both.mean, expected, rtol=1e-4, atol=1e-5)
    assert of_both.mean.dtype == np.float32


def test_a_habit_survives_a_checkpoint_to_the_bit_and_is_not_shown(models: Models, anna: Pcm, anna_again: Pcm) -> None:
    _, habit = models.tone.hear(anna, NOBODY)
    resumed = unpack(Habit, pack(habit, 1), 1)
    assert models.tone.hear(anna_again, resumed)[0] == models.tone.hear(anna_again, habit)[0]
    assert repr(habit) == f"Habit(seconds={len(anna) / 16_000})"


def test_a_habit_of_another_model_is_refused(models: Models, anna: Pcm) -> None:
    with pytest.raises(ValueError, match="1536 numbers, not 7"):
        models.tone.hear(anna, Habit(1.0, np.zeros(7, np.float32)))


@pytest.mark.parametrize("samples", [0, 7_999, 30 * 16_000 + 1])
def test_too_little_or_too_much_speech_is_refused(models: Models, samples: int) -> None:
    with pytest.raises(ValueError, match="8000 to 480000"):
        models.tone.hear(np.zeros(samples, np.float32), NOBODY)


def test_threads_do_not_disturb_each_other(models: Models, anna: Pcm, bert: Pcm) -> None:
    def hear(speech: Pcm) -> tuple[Sound, bytes]:
        _, habit = models.tone.hear(speech[:32_000], NOBODY)
        sound, habit = models.tone.hear(speech[32_000:], habit)
        return sound, habit.mean.tobytes()

    alone = [hear(anna), hear(bert)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(hear, [anna, bert] * 4)) == alone * 4


def test_the_model_card_says_plainly_what_the_head_cannot_do() -> None:
    card = Path(PACKAGED / "tone_head_clean.md").read_text(encoding="utf-8")
    assert "little better than guessing" in card
    assert "ravdess" in card
