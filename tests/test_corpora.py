"""Corpora as people download them become manifests that training and evaluation read."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from carillon.corpora import CORPORA, NoCorpus, write_corpus
from carillon.evaluation.manifest import read_manifest

FILES: dict[str, dict[str, tuple[str, str] | None]] = {
    "crema-d": {
        "AudioWAV/1001_DFA_ANG_XX.wav": ("crema-d_1001", "negative"),
        "AudioWAV/1001_IEO_HAP_HI.wav": ("crema-d_1001", "positive"),
        "AudioWAV/1091_WSI_NEU_XX.wav": ("crema-d_1091", "neutral"),
    },
    "ravdess": {
        "Actor_01/03-01-02-01-01-01-01.wav": ("ravdess_01", "neutral"),
        "Actor_24/03-01-07-02-02-02-24.wav": ("ravdess_24", "negative"),
        "Actor_24/03-01-08-02-02-02-24.wav": None,  # surprised
        "Actor_24/03-02-03-02-02-02-24.wav": None,  # sung
    },
    "emodb": {
        "wav/03a01Fa.wav": ("emodb_03", "positive"),
        "wav/16b10Wb.wav": ("emodb_16", "negative"),
        "wav/16b10Lb.wav": None,  # bored
    },
    "tess": {
        "OAF_Fear/OAF_back_fear.wav": ("tess_OAF", "negative"),
        "OAF_neutral/OA_bite_neutral.wav": ("tess_OA", "neutral"),
        "YAF_pleasant_surprised/YAF_back_ps.wav": None,
    },
    "meld": {
        "train_splits/dia0_utt0.wav": ("meld_chandler", "positive"),
        "output_repeated_splits_test/dia0_utt0.wav": ("meld_joey", "negative"),
        "dev_splits_complete/dia0_utt9.wav": None,  # in no table
    },
}
TABLES = {
    "train_sent_emo.csv": "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n"
    "1,Oh good.,Chandler,joy,positive,0,0\n",
    "test_sent_emo.csv": "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n"
    "1,Oh no.,Joey,sadness,negative,0,0\n",
}


def unpacked(folder: Path, name: str) -> Path:
    for file in FILES[name]:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(800, np.float32), 16_000)
    for table, text in TABLES.items() if name == "meld" else ():
        (folder / table).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", sorted(CORPORA))
def test_a_corpus_as_it_was_published_becomes_a_manifest(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(name, unpacked(tmp_path, name), as_json=False)
    found = read_manifest(tmp_path, ("corpus", "language", "emotion", "valence", "license", "commercial_use"))
    assert {one.labels["path"]: (one.speaker, one.labels["valence"]) for one in found} == {
        file: what for file, what in FILES[name].items() if what
    }
    assert {one.labels["commercial_use"] for one in found} == {"yes" if CORPORA[name].commercial_use else "no"}
    assert CORPORA[name].terms in capsys.readouterr().out


def test_a_folder_of_something_else_is_no_corpus(tmp_path: Path) -> None:
    unpacked(tmp_path, "emodb")
    with pytest.raises(NoCorpus, match="holds no clip of CREMA-D"):
        write_corpus("crema-d", tmp_path, as_json=False)


def test_what_git_leaves_in_the_place_of_recordings_is_told(tmp_path: Path) -> None:
    for file in FILES["crema-d"]:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4\nsize 7\n", encoding="utf-8")
    with pytest.raises(NoCorpus, match="git lfs pull"):
        write_corpus("crema-d", tmp_path, as_json=False)
    assert not (tmp_path / "manifest.csv").exists()


def test_films_whose_sound_nobody_took_out_are_told(tmp_path: Path) -> None:
    (tmp_path / "dia0_utt0.mp4").touch()
    with pytest.raises(NoCorpus, match="ffmpeg"):
        write_corpus("meld", tmp_path, as_json=False)
