import numpy as np
import pytest

from carillon.audio import Pcm
from carillon.inference import Models


def test_one_person_is_nearer_to_herself_than_to_another(models: Models, anna: Pcm, anna_again: Pcm, bert: Pcm) -> None:
    first, second, other = map(models.speaker.embed, (anna, anna_again, bert))
    assert first @ second > 0.7
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


def test_confidence_comes_from_the_manifest(models: Models) -> None:
    assert models.speaker.confidence(0.45, 10, "tel") < 0.01
    assert models.speaker.confidence(0.85, 10, "tel") == 0.99
