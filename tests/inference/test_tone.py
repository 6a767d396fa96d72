import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from carillon.analysis.packing import pack, unpack
from carillon.audio import Pcm
from carillon.inference import (
    AcousticJudgment,
    ModelBroken,
    ModelCatalog,
    ModelNotFound,
    Models,
    ModelSettings,
    ModelUnsupported,
    SpeakerBaseline,
)
from carillon.inference.catalog import PACKAGED

NOBODY = SpeakerBaseline()


def test_the_three_probabilities_sum_to_1_and_the_rest_is_in_range(models: Models, anna: Pcm, bert: Pcm) -> None:
    for speech in (anna, bert, anna[:8_000], np.zeros(8_000, np.float32), np.ones(8_000, np.float32)):
        sound, _ = models.tone.judge(speech, NOBODY)
        assert sum(sound.probabilities) == pytest.approx(1, abs=1e-12)
        assert all(0 <= probability <= 1 for probability in sound.probabilities)
        assert sound.arousal is not None
        assert 0 <= sound.arousal <= 1
        assert -1 <= sound.valence <= 1


def test_valence_is_what_positive_has_over_negative() -> None:
    assert AcousticJudgment((0.5, 0.3, 0.2), 0.5).valence == pytest.approx(-0.3)


def test_different_voices_sound_different(models: Models, anna: Pcm, bert: Pcm) -> None:
    assert models.tone.judge(anna, NOBODY)[0] != models.tone.judge(bert, NOBODY)[0]


def test_the_same_speech_and_baseline_give_the_same_bits(models: Models, anna: Pcm, anna_again: Pcm) -> None:
    _, baseline = models.tone.judge(anna, NOBODY)
    (first, one), (second, other) = (models.tone.judge(anna_again.copy(), baseline) for _ in range(2))
    assert first == second
    assert one.mean.tobytes() == other.mean.tobytes()


def test_a_baseline_is_the_mean_of_what_was_heard_weighted_by_seconds(models: Models, anna: Pcm, bert: Pcm) -> None:
    _, of_anna = models.tone.judge(anna, NOBODY)
    _, of_bert = models.tone.judge(bert, NOBODY)
    _, of_both = models.tone.judge(bert, of_anna)
    weights = [of_anna.seconds, of_bert.seconds]
    assert weights == [len(anna) / 16_000, len(bert) / 16_000]
    assert of_both.seconds == pytest.approx(sum(weights))
    expected = np.average([of_anna.mean, of_bert.mean], axis=0, weights=weights)
    np.testing.assert_allclose(of_both.mean, expected, rtol=1e-4, atol=1e-5)
    assert of_both.mean.dtype == np.float32


def test_a_baseline_survives_a_checkpoint_to_the_bit_and_is_not_shown(
    models: Models, anna: Pcm, anna_again: Pcm
) -> None:
    _, baseline = models.tone.judge(anna, NOBODY)
    resumed = unpack(SpeakerBaseline, pack(baseline, 1), 1)
    assert models.tone.judge(anna_again, resumed)[0] == models.tone.judge(anna_again, baseline)[0]
    assert repr(baseline) == f"SpeakerBaseline(seconds={len(anna) / 16_000})"


def test_a_baseline_of_another_model_is_refused(models: Models, anna: Pcm) -> None:
    with pytest.raises(ValueError, match="1933 numbers, not 7"):
        models.tone.judge(anna, SpeakerBaseline(1.0, np.zeros(7, np.float32)))


@pytest.mark.parametrize("samples", [0, 7_999, 30 * 16_000 + 1])
def test_too_little_or_too_much_speech_is_refused(models: Models, samples: int) -> None:
    with pytest.raises(ValueError, match="8000 to 480000"):
        models.tone.judge(np.zeros(samples, np.float32), NOBODY)


def test_threads_do_not_disturb_each_other(models: Models, anna: Pcm, bert: Pcm) -> None:
    def judge(speech: Pcm) -> tuple[AcousticJudgment, bytes]:
        _, baseline = models.tone.judge(speech[:32_000], NOBODY)
        sound, baseline = models.tone.judge(speech[32_000:], baseline)
        return sound, baseline.mean.tobytes()

    alone = [judge(anna), judge(bert)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(judge, [anna, bert] * 4)) == alone * 4


def test_what_was_heard_before_counts_and_counts_more_the_longer_it_was(
    models: Models, anna: Pcm, anna_again: Pcm
) -> None:
    _, baseline = models.tone.judge(anna, NOBODY)
    alone = models.tone.judge(anna_again, NOBODY)[0].valence
    after = [
        models.tone.judge(anna_again, SpeakerBaseline(seconds, baseline.mean))[0].valence
        for seconds in (0.0, 0.1, 10, 1e6)
    ]
    assert after[0] == alone
    distances = [abs(valence - alone) for valence in after]
    assert distances == sorted(distances)
    assert distances[1] < 0.02 < distances[3]


def test_the_order_of_what_is_heard_matters_and_earlier_speech_is_never_judged_by_later(
    models: Models, anna: Pcm, bert: Pcm
) -> None:
    first, baseline = models.tone.judge(anna, NOBODY)
    models.tone.judge(bert, baseline)
    assert models.tone.judge(anna, NOBODY)[0] == first
    assert models.tone.judge(anna, models.tone.judge(bert, NOBODY)[1])[0] != first


@pytest.mark.parametrize("gain", [0.05, 0.5, 1.5])
def test_how_loud_somebody_comes_through_says_nothing(models: Models, anna: Pcm, gain: float) -> None:
    loud, _ = models.tone.judge(anna, NOBODY)
    changed, _ = models.tone.judge(anna * np.float32(gain), NOBODY)
    assert changed.probabilities == pytest.approx(loud.probabilities, abs=1e-3)


def test_no_sound_breaks_it(models: Models) -> None:
    generator = np.random.default_rng(3)
    square = np.sign(np.sin(np.arange(16_000) / 20)).astype(np.float32)
    for speech in (np.zeros(8_000, np.float32), square, generator.uniform(-1, 1, 480_000).astype(np.float32)):
        sound, baseline = models.tone.judge(speech, NOBODY)
        assert sound.arousal is not None
        assert np.isfinite([*sound.probabilities, sound.arousal]).all()
        assert np.isfinite(baseline.mean).all()


def test_a_head_without_a_speaker_baseline_is_refused(tmp_path: Path) -> None:
    _plug_in(tmp_path, 'what = "speaker_baseline"', 'what = "prosody"')
    with pytest.raises(ModelUnsupported, match="speaker_baseline"):
        assert Models(ModelSettings(directory=str(tmp_path), tone="mine")).tone


def test_a_graph_with_other_inputs_than_its_manifest_is_refused(tmp_path: Path) -> None:
    _plug_in(tmp_path, 'name = "seconds"', 'name = "minutes"')
    with pytest.raises(ModelBroken, match="seconds"):
        assert Models(ModelSettings(directory=str(tmp_path), tone="mine")).tone


def test_a_front_end_that_we_cannot_compute_is_named(tmp_path: Path) -> None:
    _plug_in(tmp_path, 'what = "prosody"', 'what = "nemo_mel"')
    with pytest.raises(ModelUnsupported, match="nemo_mel"):
        assert Models(ModelSettings(directory=str(tmp_path), tone="mine")).tone


def test_a_head_need_not_tell_arousal(tmp_path: Path, models: Models, anna: Pcm) -> None:
    renamed = (PACKAGED / "tone_head_clean.onnx").read_bytes().replace(b"arousal", b"unasked")
    sha256 = hashlib.sha256((PACKAGED / "tone_head_clean.onnx").read_bytes()).hexdigest()
    _plug_in(tmp_path, sha256, hashlib.sha256(renamed).hexdigest())
    (tmp_path / "tone_head_clean.onnx").write_bytes(renamed)
    sound, _ = Models(ModelSettings(directory=str(tmp_path), tone="mine")).tone.judge(anna, NOBODY)
    assert sound.arousal is None
    assert sound.probabilities == models.tone.judge(anna, NOBODY)[0].probabilities


def test_a_head_that_stands_on_a_model_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    """Not when the first call comes: doctor and the server's start only read manifests."""
    _plug_in(tmp_path, 'of = "campplus-zh-en-voice"', 'of = "nobody"')
    with pytest.raises(ModelNotFound, match="nobody"):
        Models(ModelSettings(directory=str(tmp_path), tone="mine"))


def _plug_in(folder: Path, line: str, changed: str) -> None:
    manifest = (PACKAGED / "tone_head_clean.toml").read_text()
    assert line in manifest
    manifest = manifest.replace(line, changed, 1).replace('id = "tone-head-clean-5"', 'id = "mine"')
    (folder / "tone_head_clean.toml").write_text(manifest)
    shutil.copy(PACKAGED / "tone_head_clean.onnx", folder)


def test_a_head_that_may_not_be_used_commercially_is_chosen_by_name_and_says_so_once(tmp_path: Path, anna: Pcm) -> None:
    _plug_in(tmp_path, "commercial_use = true", "commercial_use = false")
    models = Models(ModelSettings(directory=str(tmp_path), tone="mine", words="off"))
    with capture_logs() as logged:
        models.load()
    (warning,) = [line for line in logged if line["log_level"] == "warning"]
    assert warning["event"] == "model.not_for_commercial_use"
    assert warning["model"] == "mine"
    assert sum(models.tone.judge(anna, NOBODY)[0].probabilities) == pytest.approx(1, abs=1e-12)


def test_all_heads_that_travel_in_the_package_may_be_used_commercially() -> None:
    assert all(manifest.commercial_use for manifest in ModelCatalog().manifests())


def test_the_light_head_is_chosen_by_name_and_hears_no_speaker_model(anna: Pcm) -> None:
    models = Models(ModelSettings(tone="tone-head-light-3", words="off"))
    sound, baseline = models.tone.judge(anna, NOBODY)
    assert sum(sound.probabilities) == pytest.approx(1, abs=1e-12)
    assert len(baseline.mean) == 768 + 141
    assert "campplus-zh-en-voice" not in {weights.manifest.id for weights in models.chosen}


@pytest.mark.parametrize("head", ["tone_head_clean", "tone_head_light"])
def test_the_model_cards_say_plainly_what_the_heads_cannot_do(head: str) -> None:
    card = " ".join((PACKAGED / f"{head}.md").read_text(encoding="utf-8").split())
    assert "Do not decide anything about a person" in card
    unheard, known = card.index("| ravdess | corpus | telephone |"), card.index("| emodb | people | telephone |")
    assert unheard < known  # what it never heard comes first
