import base64
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from carillon.audio import Pcm
from carillon.inference import LineCompensation, ModelBroken, Models, ModelSettings
from carillon.inference.catalog import PACKAGED, read_manifest

MANIFEST = PACKAGED / "wespeaker_resnet34_lm.toml"


def lines(shift: float = 0.1) -> LineCompensation:
    """Codecs add to the third dimension; what has much of the second came through one."""
    directions, weights = np.eye(4, dtype=np.float32)[2:3], np.array([0, 100, 0, 0], np.float32)
    return LineCompensation(directions, weights, bias=-50.0, shift=shift, usual=0.25)


def unit(*numbers: float) -> np.ndarray:
    return (np.array(numbers) / np.linalg.norm(numbers)).astype(np.float32)


def test_what_a_codec_adds_to_all_voices_is_taken_out() -> None:
    (left,), _ = lines().of(unit(0.6, 0, 0.8, 0)[None])
    np.testing.assert_allclose(left, [1, 0, 0, 0], atol=1e-6)


def test_a_voice_that_lost_something_is_helped_and_one_that_did_not_pays_for_what_is_usual() -> None:
    _, (clean, coded) = lines().of(np.stack([unit(1, 0, 0, 0), unit(0, 1, 0, 0)]))
    assert clean == pytest.approx(-0.025)
    assert coded == pytest.approx(0.075)


def test_wideband_voices_came_over_no_such_line(models: Models, anna: Pcm) -> None:
    voice = models.speaker.embed(anna)
    heard = models.speaker.compensated(voice, "wb", 10)
    np.testing.assert_array_equal(heard.embedding, voice)
    assert heard.shift == 0


def test_a_telephones_voice_stays_nearly_what_it_is(models: Models, anna: Pcm) -> None:
    voice = models.speaker.embed(anna, "tel")
    heard = models.speaker.compensated(voice, "tel", 10)
    assert 0.9 < float(voice @ heard.embedding) <= 1.0001
    assert np.linalg.norm(heard.embedding) == pytest.approx(1)
    assert abs(heard.shift) < 0.1


def test_of_a_few_seconds_no_line_can_be_told(models: Models, anna: Pcm) -> None:
    voice = models.speaker.embed(anna, "tel")
    assert models.speaker.compensated(voice, "tel", 4.9).shift == 0
    assert models.speaker.compensated(voice, "tel", 5).shift != 0


def test_a_model_that_knows_no_lines_changes_nothing(tmp_path: Path, models: Models, anna: Pcm) -> None:
    text = re.sub(r"\n\[lines\](\n.+)+", "", MANIFEST.read_text()).replace("-by-band", "-plain")
    (tmp_path / "plain.toml").write_text(text)
    shutil.copy(MANIFEST.with_suffix(".onnx"), tmp_path)
    plain = Models(ModelSettings(directory=str(tmp_path), speaker="wespeaker-resnet34-lm-plain")).speaker
    voice = models.speaker.embed(anna, "tel")
    np.testing.assert_array_equal(plain.compensated(voice, "tel", 10).embedding, voice)


@pytest.mark.parametrize("name", ["directions", "weights"])
def test_lines_in_another_space_are_refused(tmp_path: Path, name: str) -> None:
    short = base64.b64encode(bytes(8)).decode()
    (tmp_path / "model.toml").write_text(re.sub(rf'\n{name} = ".*"', f'\n{name} = "{short}"', MANIFEST.read_text()))
    with pytest.raises(ModelBroken, match="lines"):
        read_manifest(tmp_path / "model.toml")
