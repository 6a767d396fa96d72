import hashlib
from pathlib import Path

import msgspec
import pytest

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference import ModelBroken, ModelCatalog, ModelUnsupported
from carillon.inference.catalog import Weights
from carillon.inference.moonshine import Moonshine, _stuck, read_tokens


@pytest.fixture(scope="module")
def weights() -> Weights:
    return ModelCatalog().find("moonshine-tiny-en", "asr")


def _tokens(folder: Path, weights: Weights, data: bytes) -> Weights:
    (folder / "tokens.bin").write_bytes(data)
    manifest = msgspec.structs.replace(weights.manifest, sha256=hashlib.sha256(data).hexdigest())
    return Weights(manifest, folder / "tokens.bin")


def test_tokens_are_read_whatever_their_length(tmp_path: Path, weights: Weights) -> None:
    long = b"x" * 300
    data = b"\0" + b"\3one" + b"\6<0x0A>" + bytes([300 % 128 + 128, 300 // 128]) + long
    assert read_tokens(_tokens(tmp_path, weights, data)) == [b"", b"one", b"\n", long]


@pytest.mark.parametrize("data", [b"", b"\5ab", b"\1a\1b", b"\1a\1b\1c\xff"])
def test_a_file_that_holds_no_tokens_is_refused(tmp_path: Path, weights: Weights, data: bytes) -> None:
    with pytest.raises(ModelBroken, match="no file of tokens"):
        read_tokens(_tokens(tmp_path, weights, data))


def test_a_manifest_without_a_decoder_is_refused(weights: Weights) -> None:
    manifest = msgspec.structs.replace(weights.manifest, parts={})
    with pytest.raises(ModelBroken, match="decoder"):
        Moonshine(Weights(manifest, weights.path))


def test_another_front_end_is_refused(weights: Weights) -> None:
    manifest = msgspec.structs.replace(weights.manifest, inputs=weights.manifest.inputs[:1])
    with pytest.raises(ModelUnsupported, match="mask"):
        Moonshine(Weights(manifest, weights.path))


@pytest.mark.parametrize(
    "said",
    [
        [7] * 10,
        [1, 2, 3, *[7, 8] * 6],
        [1, *list(range(10, 20)) * 2],
        [*range(40, 60), *range(40, 60)],
    ],
)
def test_a_decoder_that_repeats_itself_is_stuck(said: list[int]) -> None:
    assert _stuck(said)


@pytest.mark.parametrize("said", [[], [7] * 9, list(range(30)), [1, 2, 3, 4, 5, 6, 7] * 2, [7, 8] * 5])
def test_people_may_say_a_few_words_again(said: list[int]) -> None:
    assert not _stuck(said)


def test_no_more_is_written_than_anybody_says(weights: Weights, bert: Pcm) -> None:
    fast = bert[::4].copy()
    transcript = Moonshine(weights).transcribe(fast)
    assert len(transcript.text.split()) <= 6.5 * len(fast) / MODEL_RATE_HZ + 1
