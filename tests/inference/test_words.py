import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from carillon.analysis.speech.telephone import RATE_HZ, through_telephone
from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference import WORDS_PRIOR, ModelBroken, Models, ModelSettings, NotInstalled, WordsClassifier
from carillon.inference.catalog import installed_folder
from carillon.inference.moonshine import Transcript
from carillon.inference.words import NOTHING

ANNA = "i've tried it and liked it and maybe this is the consequence of that night's fun"
BERT = "who hath not at present his heart his mouth and his eyes full of disgust"


def _missed(wanted: str, heard: str) -> float:
    """Return the share of words that are not there, whatever their order: a lower bound of the word error rate."""
    words, found = wanted.split(), [word.strip(".,?!").lower() for word in heard.split()]
    return sum(word not in found for word in words) / len(words)


def _loaded(words: WordsClassifier) -> Any:
    words.load()
    return words._loaded


def test_real_speech_is_understood(words: WordsClassifier, anna: Pcm, bert: Pcm) -> None:
    for speech, text in ((anna, ANNA), (bert, BERT)):
        said = words.judge(speech)
        assert _missed(text, said.text) < 0.2
        assert said.words == pytest.approx(len(text.split()), abs=2)
        assert sum(said.probabilities) == pytest.approx(1, abs=1e-6)


def test_real_speech_is_understood_through_a_telephone(words: WordsClassifier, bert: Pcm) -> None:
    heard = soxr.resample(through_telephone(bert, MODEL_RATE_HZ), RATE_HZ, MODEL_RATE_HZ)
    assert _missed(BERT, words.judge(heard).text) < 0.35


@pytest.mark.parametrize("confidence", [1.0, 0.4, 0.0])
def test_words_tell_as_much_as_the_recognizer_believes_that_it_heard_them(confidence: float) -> None:
    class Recognizer:
        def transcribe(self, _: Pcm) -> Transcript:
            return Transcript("awful", float(np.log(max(confidence, 1e-30))), is_believed=True)

    class Reader:
        def of(self, _: str) -> tuple[float, float, float]:
            return 0.9, 0.08, 0.02

    models: Any = (Recognizer(), Reader())
    said = WordsClassifier("words", lambda: models).judge(np.zeros(16_000, np.float32))
    expected = confidence * np.array([0.9, 0.08, 0.02]) + (1 - confidence) * np.array(WORDS_PRIOR)
    assert said.probabilities == pytest.approx(tuple(expected))


def test_what_is_no_speech_is_not_understood(words: WordsClassifier) -> None:
    noise = np.random.default_rng(6).standard_normal(3 * MODEL_RATE_HZ).astype(np.float32) * np.float32(0.05)
    hum = np.sin(np.arange(3 * MODEL_RATE_HZ, dtype=np.float32) * np.float32(0.1))
    for sound in (np.zeros(2 * MODEL_RATE_HZ, np.float32), noise, hum):
        said = words.judge(sound)
        assert (said.text, said.words, said.probabilities) == ("", 0, WORDS_PRIOR)


def test_speech_backwards_is_not_understood(words: WordsClassifier, anna: Pcm, bert: Pcm) -> None:
    for speech in (anna, bert):
        assert words.judge(speech[::-1].copy()).words == 0


def test_less_than_half_a_second_is_not_understood(words: WordsClassifier, anna: Pcm) -> None:
    for samples in (0, 1, MODEL_RATE_HZ // 2 - 1):
        assert words.judge(anna[:samples]).words == 0


def test_longer_speech_than_the_model_takes_is_refused(words: WordsClassifier) -> None:
    with pytest.raises(ValueError, match="480000"):
        words.judge(np.zeros(30 * MODEL_RATE_HZ + 1, np.float32))


def test_the_same_speech_gives_the_same_answer_whatever_runs_beside_it(
    words: WordsClassifier, anna: Pcm, bert: Pcm
) -> None:
    alone = [words.judge(anna), words.judge(bert)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(words.judge, [anna, bert] * 3)) == alone * 3


def test_words_are_in_no_repr_and_no_log(words: WordsClassifier, bert: Pcm, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        said = words.judge(bert)
        transcript = _loaded(words)[0].transcribe(bert)
    assert "disgust" in said.text
    assert "disgust" not in repr(said) + repr(transcript) + caplog.text


def test_the_package_that_carries_the_weights_is_never_imported() -> None:
    """It would open sound devices."""
    code = "from carillon.inference import *; import sys; m = Models(ModelSettings(words='on')); assert m.words; "
    code += (
        "import numpy as np; m.words.judge(np.zeros(16_000, np.float32)); sys.exit('moonshine_voice' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _without(package: str) -> Models:
    return Models(locate=lambda name: None if name == package else installed_folder(name))


@pytest.mark.parametrize("package", ["moonshine_voice", "vaderSentiment"])
def test_without_the_extra_there_are_no_words_and_the_reason_says_what_to_install(package: str) -> None:
    models = _without(package)
    assert models.words is None
    assert package in models.words_missing
    assert "pip install 'carillon-voice[words]'" in models.words_missing
    models.load()


def test_words_that_are_insisted_on_must_be_installed() -> None:
    with pytest.raises(NotInstalled, match=r"carillon-voice\[words\]"):
        Models(ModelSettings(words="on"), locate=lambda _: None)


def test_words_that_are_switched_off_are_not_looked_for() -> None:
    def locate(name: str) -> Path | None:
        raise AssertionError(name)

    models = Models(ModelSettings(words="off"), locate)
    assert models.words is None
    assert "off" in models.words_missing


def test_words_that_are_there_have_no_reason_to_be_missing(models: Models) -> None:
    assert models.words is not None
    assert models.words_missing == ""
    assert models.words.id == "moonshine-tiny-en+call-words-1"


def test_words_that_cannot_be_loaded_cost_no_call_its_tone(bert: Pcm, capsys: pytest.CaptureFixture[str]) -> None:
    tries: list[int] = []

    def read() -> Any:
        tries.append(1)
        raise ModelBroken(Path("tokenizer.bin"), "the SHA-256 is not the one in the manifest.")

    broken = WordsClassifier("broken", read)
    assert [broken.judge(bert), broken.judge(bert)] == [NOTHING, NOTHING]
    assert len(tries) == 1
    assert capsys.readouterr().err.count("words.unavailable") == 1


def test_who_insists_on_words_is_told_at_the_start(tmp_path: Path) -> None:
    """Another version of the package is installed, without the weights."""

    def locate(package: str) -> Path | None:
        return tmp_path if package == "moonshine_voice" else installed_folder(package)

    Models(ModelSettings(words="auto"), locate).load()
    with pytest.raises(ModelBroken):
        Models(ModelSettings(words="on"), locate).load()
