"""`carillon corpus`: a manifest for a published corpus of emotional speech, as people download it.

Corpora spell what was acted in the names of their files, each in its own way. What becomes of it is the manifest that
`train tone` and `eval tone` read: a line for each clip, with its valence and with what its license allows. Emotions
that belong to no valence for sure, surprise and boredom, are left out.
"""

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from carillon.errors import InvalidRequest
from carillon.terminal import print_json

FILE_NAME: Final = "manifest.csv"
_VALENCES: Final = {
    "happy": "positive",
    "neutral": "neutral",
    "calm": "neutral",
    "angry": "negative",
    "sad": "negative",
    "fearful": "negative",
    "disgust": "negative",
}
_POINTER: Final = b"version https://git-lfs"
"""Begins what git leaves in the place of a large file that was not fetched."""


class NoCorpus(InvalidRequest):
    """A folder does not hold the corpus that it was said to hold."""


@dataclass(frozen=True, slots=True)
class CorpusClip:
    """One acted or spontaneous utterance."""

    path: Path
    speaker: str
    emotion: str
    valence: str
    """negative, neutral or positive; empty where the emotion belongs to none for sure."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A published corpus."""

    title: str
    language: str
    license: str
    commercial_use: bool
    """Whether what learned from it may be sold, as far as its license says."""
    terms: str
    """What that means for a head, in a sentence."""
    clips: Callable[[Path], Iterator[CorpusClip]]
    """Finds those that are in a folder, at any depth."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the manifest."""

    path: str
    speaker: str
    corpus: str
    language: str
    emotion: str
    valence: str
    license: str
    commercial_use: str


def write_corpus(name: str, directory: Path, *, as_json: bool) -> None:
    """Write the manifest of a corpus into its folder and tell what is in it.

    Args:
        name: one of `CORPORA`.
        directory: where the corpus was unpacked, as it was published.
        as_json: tell so to programs.

    Raises:
        NoCorpus: there is no clip of it, or only what git leaves in the place of clips; says what to do.
    """
    corpus = CORPORA[name]
    found = sorted(corpus.clips(directory), key=lambda clip: clip.path)
    if not found:
        raise NoCorpus(
            f"{directory} holds no clip of {corpus.title}. Give the folder that its archive was unpacked to."
        )
    _refuse_pointers(found[0].path)
    clips = [clip for clip in found if clip.valence]
    lines = [_line(name, corpus, directory, clip) for clip in clips]
    file = directory / FILE_NAME
    file.write_text(_csv(lines), encoding="utf-8")
    tones = Counter(clip.valence for clip in clips)
    people = len({clip.speaker for clip in clips})
    if as_json:
        told = {"corpus": name, "manifest": str(file), "clips": len(clips), "left_out": len(found) - len(clips)}
        print_json(
            told | {"people": people, **tones, "license": corpus.license, "commercial_use": corpus.commercial_use}
        )
        return
    counts = ", ".join(f"{tones[tone]:,} {tone}" for tone in ("negative", "neutral", "positive"))
    sys.stdout.write(
        f"{file}: {len(clips):,} clips of {people} people ({counts}); {len(found) - len(clips):,} left out.\n"
        f"{corpus.title}, {corpus.license}. {corpus.terms}\n"
    )


def _line(name: str, corpus: Corpus, directory: Path, clip: CorpusClip) -> _Line:
    return _Line(
        clip.path.relative_to(directory).as_posix(),
        f"{name}_{clip.speaker}",
        name,
        corpus.language,
        clip.emotion,
        clip.valence,
        corpus.license,
        "yes" if corpus.commercial_use else "no",
    )


def _csv(lines: list[_Line]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _Line.__dataclass_fields__, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    return text.getvalue()


def _refuse_pointers(file: Path) -> None:
    with file.open("rb") as data:
        if data.read(len(_POINTER)) == _POINTER:
            raise NoCorpus(f"{file} is what git leaves in the place of a recording. Run `git lfs pull` there first.")


def _named(pattern: str, emotions: Mapping[str, str]) -> Callable[[Path], Iterator[CorpusClip]]:
    """Return what finds clips by their names: `speaker` and `emotion` are groups of the pattern."""
    name = re.compile(pattern)

    def clips(directory: Path) -> Iterator[CorpusClip]:
        for path in directory.rglob("*.wav"):
            if match := name.fullmatch(path.stem):
                emotion = emotions.get(match["emotion"], "")
                yield CorpusClip(path, match["speaker"], emotion, _VALENCES.get(emotion, ""))

    return clips


def _meld(directory: Path) -> Iterator[CorpusClip]:
    """Find utterances by the tables beside them: people heard these, and said which valence they have.

    The folder of a split has its name in its own: `train_splits`, `output_repeated_splits_test`.

    Raises:
        NoCorpus: the films are there, but not the sound that has to be taken out of them.
    """
    found = sorted(directory.rglob("dia*_utt*.wav"))
    if not found and any(directory.rglob("dia*_utt*.mp4")):
        mending = "for f in */dia*.mp4; do ffmpeg -i $f ${f%.mp4}.wav; done"
        raise NoCorpus(f"{directory} holds films. Take their sound out first: {mending}")
    for table in sorted(directory.rglob("*_sent_emo.csv")):
        split = table.name.partition("_")[0]
        with table.open(newline="", encoding="utf-8", errors="replace") as lines:
            rows = {f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}": row for row in csv.DictReader(lines)}
        for path in found:
            folders = path.relative_to(directory).parent.as_posix().replace("/", "_").split("_")
            if split in folders and (row := rows.get(path.stem)):
                yield CorpusClip(path, row["Speaker"].lower().replace(" ", "_"), row["Emotion"], row["Sentiment"])


CORPORA: Final[Mapping[str, Corpus]] = {
    "crema-d": Corpus(
        "CREMA-D",
        "en",
        "ODbL-1.0",
        True,
        "A head trained on it may be used and sold; say that it was trained on CREMA-D wherever you pass it on.",
        _named(
            r"(?P<speaker>\d{4})_[A-Z]{3}_(?P<emotion>[A-Z]{3})_[A-Z]{2}",
            {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"},
        ),
    ),
    "ravdess": Corpus(
        "RAVDESS (speech)",
        "en",
        "CC-BY-NC-SA-4.0",
        False,
        "Not for commercial use: neither, to be safe, is a head that was trained on it.",
        _named(
            r"0[13]-01-(?P<emotion>0[1-8])-0[12]-0[12]-0[12]-(?P<speaker>\d{2})",
            {
                "01": "neutral",
                "02": "calm",
                "03": "happy",
                "04": "sad",
                "05": "angry",
                "06": "fearful",
                "07": "disgust",
                "08": "surprised",
            },
        ),
    ),
    "emodb": Corpus(
        "EmoDB",
        "de",
        "CC0-1.0",
        True,
        "A head trained on it may be used and sold.",
        _named(
            r"(?P<speaker>\d{2})[ab]\d{2}(?P<emotion>[WLEAFTN])[a-z]",
            {"W": "angry", "L": "bored", "E": "disgust", "A": "fearful", "F": "happy", "T": "sad", "N": "neutral"},
        ),
    ),
    "tess": Corpus(
        "TESS",
        "en",
        "CC-BY-NC-ND-4.0",
        False,
        "Not for commercial use, and no derivatives: train on it for yourself alone.",
        _named(
            r"(?P<speaker>[OY]AF?)_\w+_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)",
            {
                "angry": "angry",
                "disgust": "disgust",
                "fear": "fearful",
                "happy": "happy",
                "neutral": "neutral",
                "ps": "surprised",
                "sad": "sad",
            },
        ),
    ),
    "meld": Corpus(
        "MELD",
        "en",
        "GPL-3.0, audio of a television series",
        False,
        "The audio is from a television series, whose owners have not allowed anything: for experiments alone.",
        _meld,
    ),
}
"""By the name that the command line has for it."""
