import hashlib
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from carillon.inference import ModelBroken, ModelCatalog
from carillon.inference.catalog import Weights
from carillon.inference.sentences import SentenceEncoder, WordPieces

RECORDED = json.loads((Path(__file__).parent / "word_pieces.json").read_text(encoding="utf-8"))["sentences"]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return ModelCatalog().find("all-minilm-l6-v2-int8", "encoder")


@pytest.fixture(scope="module")
def encoder(weights: Weights) -> SentenceEncoder:
    return SentenceEncoder(weights)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: str(recorded["text"])[:20])
def test_word_pieces_are_those_of_the_usual_library(weights: Weights, recorded: dict[str, list[str]]) -> None:
    assert WordPieces(weights.part("vocabulary")).of(str(recorded["text"])) == recorded["pieces"]


def test_an_embedding_has_norm_1_however_long_or_strange_the_sentence(encoder: SentenceEncoder) -> None:
    for text in ("okay", "", "word " * 500, "\u5927\u5bb6\u53eb", "\u266a\u266a"):
        embedding = encoder.embed(text)
        assert embedding.shape == (384,)
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)


def test_the_published_embedding_comes_out_but_for_what_int8_costs(encoder: SentenceEncoder) -> None:
    """The first numbers that the model's card on Hugging Face shows for this sentence."""
    published = [0.0676, 0.0635, 0.0487, 0.0793, 0.0374]
    assert encoder.embed("This is an example sentence")[:5] == pytest.approx(published, abs=0.005)


def test_what_means_the_same_lies_close_together(encoder: SentenceEncoder) -> None:
    wrong, same, other = map(
        encoder.embed, ["i was billed two times", "they charged me twice", "the train leaves at nine"]
    )
    assert wrong @ same > 0.6 > 0.2 > wrong @ other


def test_a_vocabulary_without_its_marks_is_refused(tmp_path: Path, weights: Weights) -> None:
    with pytest.raises(ModelBroken, match=r"\[UNK\]"):
        WordPieces(_changed(weights, tmp_path, b"hello\nworld\n"))


def _changed(weights: Weights, folder: Path, data: bytes) -> Weights:
    (folder / "words.txt").write_bytes(data)
    manifest = msgspec.structs.replace(weights.manifest, sha256=hashlib.sha256(data).hexdigest())
    return Weights(manifest, folder / "words.txt")
