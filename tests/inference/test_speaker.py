import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from carillon.audio import Pcm
from carillon.inference import ModelBroken, Models, ModelSettings, centered
from carillon.inference.catalog import PACKAGED, read_manifest


def test_one_person_is_nearer_to_herself_than_to_another(models: Models, anna: Pcm, anna_again: Pcm, bert: Pcm) -> None:
    first, second, other = map(models.speaker.embed, (anna, anna_again, bert))
    assert first @ second > 0.6
    assert first @ other < 0.3


def test_an_embedding_has_256_dimensions_and_norm_1(models: Models, anna: Pcm) -> None:
    embedding = models.speaker.embed(anna)
    assert embedding.shape == (models.speaker.dimensions,) == (256,)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1)


def test_half_a_second_is_enough_and_less_is_refused(models: Models, anna: Pcm) -> None:
    assert models.speaker.embed(anna[:8_000]).shape == (256,)
    with pytest.raises(ValueError, match="8000"):
        models.speaker.embed(anna[:7_999])


def test_more_than_the_model_takes_is_refused(models: Models) -> None:
    with pytest.raises(ValueError, match="480000"):
        models.speaker.embed(np.zeros(480_001, np.float32))


def test_the_same_speech_gives_the_same_bits(models: Models, anna: Pcm) -> None:
    np.testing.assert_array_equal(models.speaker.embed(anna), models.speaker.embed(anna.copy()))


def test_evidence_comes_from_the_manifest(models: Models) -> None:
    for channel in ("wb", "tel", "cross"):
        assert models.speaker.log_likelihood_ratio(0.2, 10, channel) < -5
        assert models.speaker.log_likelihood_ratio(0.8, 10, channel) > 5


def test_what_all_voices_have_in_common_is_taken_out() -> None:
    center = np.array([0.5, 0.0, 0.0], np.float32)
    voices = [np.array(voice, np.float32) for voice in ((0.8, 0.6, 0.0), (0.8, 0.0, 0.6))]
    one, other = (centered(voice, center) for voice in voices)
    assert float(one @ other) < float(voices[0] @ voices[1])
    assert np.linalg.norm(one) == pytest.approx(1)


def test_a_telephones_voice_has_a_center_of_its_own(models: Models, anna: Pcm) -> None:
    wideband, telephone = models.speaker.embed(anna, "wb"), models.speaker.embed(anna, "tel")
    assert 0.5 < float(wideband @ telephone) < 0.999
    assert np.linalg.norm(telephone) == pytest.approx(1)


def test_short_telephone_speech_is_heard_twice_and_longer_is_not(tmp_path: Path, models: Models, anna: Pcm) -> None:
    manifest = (PACKAGED / "wespeaker_resnet34_lm.toml").read_text()
    (tmp_path / "once.toml").write_text(
        re.sub("\ntelephone_hz = .*", "", manifest).replace('id = "wespeaker-resnet34-lm-by-band"', 'id = "once"')
    )
    shutil.copy(PACKAGED / "wespeaker_resnet34_lm.onnx", tmp_path)
    once = Models(ModelSettings(directory=str(tmp_path), speaker="once")).speaker
    short, longer = anna[:79_999], anna[:80_000]
    assert float(models.speaker.embed(short, "tel") @ once.embed(short, "tel")) < 0.99
    np.testing.assert_array_equal(models.speaker.embed(short, "wb"), once.embed(short, "wb"))
    np.testing.assert_array_equal(models.speaker.embed(longer, "tel"), once.embed(longer, "tel"))


@pytest.mark.parametrize("name", ["center", "telephone_center"])
def test_a_center_of_another_length_is_refused(tmp_path: Path, name: str) -> None:
    text = (PACKAGED / "wespeaker_resnet34_lm.toml").read_text()
    (tmp_path / "model.toml").write_text(re.sub(rf'\n{name} = ".*"', f'\n{name} = "AAAAAA=="', text))
    with pytest.raises(ModelBroken, match=f"`{name}`"):
        read_manifest(tmp_path / "model.toml")


@pytest.mark.parametrize("hz", ["[3500, 250]", "[0, 3500]", "[250, 250]", "[250, 9000]", "[-5, 250]"])
def test_a_telephone_that_carries_nothing_is_refused(tmp_path: Path, hz: str) -> None:
    text = (PACKAGED / "wespeaker_resnet34_lm.toml").read_text()
    (tmp_path / "model.toml").write_text(text.replace("telephone_hz = [250, 3500]", f"telephone_hz = {hz}"))
    with pytest.raises(ModelBroken, match="`telephone_hz`"):
        read_manifest(tmp_path / "model.toml")
