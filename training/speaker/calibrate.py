"""Compute what makes a cosine of the shipped speaker model evidence: centers, what lines do, and calibration tables.

    python training/speaker/calibrate.py DIR [--write]

DIR has a manifest.csv (path, speaker, source) with speechocean762 and LibriSpeech, both CC BY 4.0; rows of any other
source are left out. Everybody's speech goes through the product's own gate, in wideband, by telephone, and narrowband.

A center is what all voices of a band have in common: the mean over people, corpora and hearings, each corpus and each
hearing counting the same. One is subtracted from every embedding of wideband speech, the other from every one of a
telephone's. `lines.py` learns what codecs do to a voice. The tables are lines fitted to all pairs of people at 3, 5, 10
and 20 s: as recorded, with noise at 10 dB on both sides, and from 5 s on by telephone also over codecs and with packets
lost. What is told as held out is honest about all: everything from half of the people, tested on the others, ten times:
first as recorded, and at the end for those of speechocean762 alone and in each way, by the
settings that ship. Without --write it prints; with it the manifest beside the weights is written. It draws seeded
random numbers only, and takes half an hour on two cores.
"""

import argparse
import base64
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from lines import heard_over, learned

from carillon.audio import Band, Embedding, Pcm
from carillon.evaluation.conditions import Condition, EmbeddedSpeech, conditions, listen
from carillon.evaluation.figures import Decision, OpenSet, figures_of
from carillon.evaluation.fitting import FitQuality, Fitted, Needed, fit_line, halves, quality_of
from carillon.evaluation.manifest import ManifestRecording, read_manifest
from carillon.evaluation.measures import equal_error_rate
from carillon.evaluation.pieces import PIECE_SECONDS, Hearing
from carillon.evaluation.tables import as_toml, entries_of
from carillon.evaluation.trials import Comparison, Numbers, Pairs, pairs_of
from carillon.inference import LineCompensation, Models, SpeakerEncoder, centered
from carillon.inference.catalog import PACKAGED

MANIFEST: Final = PACKAGED / "wespeaker_resnet34_lm.toml"
SOURCES: Final = ("speechocean762", "LibriSpeech")
SAME_PERSON: Final = {"so762_1228": "so762_0960"}
"""Two names of speechocean762 that are one person by every measure: over all of their speech a cosine of 0.89, where
the next highest of 3,321 pairs of names has 0.67. The first is left out."""
SHIPPED: Final = Decision(threshold=0.7, known=0.5, limit=10)
HEARINGS: Final[Mapping[Band, Sequence[Hearing]]] = {
    "wb": (Hearing("wideband"),),
    "tel": (Hearing("telephone"), Hearing("narrowband")),
}

Centers: TypeAlias = Mapping[Band, Embedding]
Half: TypeAlias = tuple[Numbers, Numbers, EmbeddedSpeech]
"""Half of the people, the others, and everybody's voices normalized by the former alone."""


def main() -> int:
    """Print center and tables; write them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    recordings = clean(read_manifest(arguments.directory, ("source",)))
    listened = listen_raw(recordings)
    centers = centers_of(listened, range(len(listened.people)), recordings)
    moved = recentered(listened, centers)
    compensation = learned(moved, range(len(listened.people)))
    moved = EmbeddedSpeech(moved.pieces, moved.people, compensation)
    halved = [(half, others, _normalized(listened, half, recordings)) for half, others in halves(len(listened.people))]
    fits = [_fitted(moved, halved, condition) for condition in _calibrated()]
    for fit in fits:
        print(_told(fit, listened))
    tables = as_toml(entries_of(fits, ()))
    print(tables)
    for told in _held_out_by_line(listened, recordings):
        print(told)
    if arguments.write:
        MANIFEST.write_text(_manifest(MANIFEST.read_text(), centers, compensation, tables, len(listened.people)))
    return 0


def clean(recordings: Sequence[ManifestRecording]) -> list[ManifestRecording]:
    """Return those that a shipped number may be made from, each person once."""
    return [
        recording
        for recording in recordings
        if recording.labels["source"].startswith(SOURCES) and recording.speaker not in SAME_PERSON
    ]


def listen_raw(recordings: Sequence[ManifestRecording]) -> EmbeddedSpeech:
    """Embed everybody with the model as it is, nothing subtracted."""
    wanted = [way for of in _calibrated() for way in _ways(of)]
    models = Models()
    return listen(recordings, _Bare(models.speaker), models.vad, [*wanted, Condition("cross", False, PIECE_SECONDS)], 2)


class _Bare:
    """What the graph alone says."""

    def __init__(self, encoder: SpeakerEncoder) -> None:
        self._encoder = encoder

    def embed(self, speech: Pcm, band: Band, /) -> Embedding:
        return self._encoder.uncentered(speech, band)


def centers_of(listened: EmbeddedSpeech, people: Sequence[int], recordings: Sequence[ManifestRecording]) -> Centers:
    """Return the mean of some people's voices for each band: over each corpus and hearing, then over those."""
    return {band: _center(listened, people, recordings, hearings) for band, hearings in HEARINGS.items()}


def _center(
    listened: EmbeddedSpeech,
    people: Sequence[int],
    recordings: Sequence[ManifestRecording],
    hearings: Sequence[Hearing],
) -> Embedding:
    source = {recording.speaker: _source(recording) for recording in recordings}
    names = {listened.people[number] for number in people}
    means = []
    for hearing in hearings:
        by_speaker: dict[str, list[Embedding]] = {}
        for piece in listened.pieces[hearing, PIECE_SECONDS]:
            if piece.speaker in names:
                by_speaker.setdefault(piece.speaker, []).append(piece.embedding)
        for corpus in SOURCES:
            voices = [_unit(np.sum(said, axis=0)) for name, said in by_speaker.items() if source[name] == corpus]
            means.append(np.mean(voices, axis=0))
    center: Embedding = np.mean(means, axis=0).astype(np.float32)
    return center


def recentered(listened: EmbeddedSpeech, centers: Centers) -> EmbeddedSpeech:
    """Subtract its band's center from every embedding."""
    moved = {}
    for (hearing, seconds), pieces in listened.pieces.items():
        center = centers["wb" if hearing.carried == "wideband" else "tel"]
        moved[hearing, seconds] = [replace(piece, embedding=centered(piece.embedding, center)) for piece in pieces]
    return EmbeddedSpeech(moved, listened.people)


def _fitted(moved: EmbeddedSpeech, halved: Sequence[Half], condition: Condition) -> Fitted:
    """Fit one length and channel to everybody, if there are enough people."""
    clean_pairs, pairs = pairs_of(_compared(moved, condition)), _pairs(moved, condition, None)
    if clean_pairs is None or pairs is None:
        return Fitted(condition, "too little", None)
    needed, people = Needed(), len(np.unique(clean_pairs.genuine_speakers))
    is_enough = people >= needed.people and len(clean_pairs.genuine) >= needed.genuine_pairs
    return Fitted(
        condition=condition,
        verdict="fitted" if is_enough else "too little",
        line=fit_line(pairs) if is_enough else None,
        people=people,
        genuine_pairs=len(clean_pairs.genuine),
        impostor_pairs=len(clean_pairs.impostor),
        equal_error_rate=equal_error_rate(clean_pairs.genuine, clean_pairs.impostor),
        held_out=_held_out(halved, condition),
    )


def _held_out(halved: Sequence[Half], condition: Condition) -> FitQuality | None:
    """Measure what half of the people tell on the other half."""
    tests = []
    for half, others, moved in halved:
        if (pairs := _pairs(moved, condition, half)) is not None:
            tests.append((fit_line(pairs), _compared(moved, condition).among(others)))
    return quality_of(tests)


def _normalized(listened: EmbeddedSpeech, half: Numbers, recordings: Sequence[ManifestRecording]) -> EmbeddedSpeech:
    """Center everybody, and take out what lines do, by what half of the people tell."""
    moved = recentered(listened, centers_of(listened, half.tolist(), recordings))
    return EmbeddedSpeech(moved.pieces, moved.people, learned(moved, half.tolist()))


def _held_out_by_line(listened: EmbeddedSpeech, recordings: Sequence[ManifestRecording]) -> Iterator[str]:
    """Tell how people of speechocean762 are found in every way by what others tell: means over ten halves."""
    of_corpus = {recording.speaker for recording in recordings if _source(recording) == SOURCES[0]}
    numbers = np.array([number for number, name in enumerate(listened.people) if name in of_corpus])
    rest = np.setdiff1d(np.arange(len(listened.people)), numbers)
    found: dict[Condition, list[OpenSet]] = {}
    for half, others in halves(len(numbers)):
        known = np.concatenate([numbers[half], rest])
        moved = _normalized(listened, known, recordings)
        for condition in _calibrated():
            pairs = _pairs(moved, condition, known)
            for way in _ways(condition) if pairs else ():
                figures = figures_of(_compared(moved, way).among(numbers[others]), fit_line(pairs), SHIPPED)
                if figures and figures.open_set:
                    found.setdefault(way, []).append(figures.open_set)
    for way, sets in found.items():
        told = np.mean([(one.false_positives, one.found, one.ece) for one in sets], axis=0)
        how = f"{way.compared:17} {way.seconds:2} s {way.line or ('noise' if way.noisy else ''):9}"
        yield f"{how} strangers {told[0]:5.1%} found {told[1]:5.1%} ECE {told[2]:.3f}"


def _pairs(listened: EmbeddedSpeech, condition: Condition, people: Numbers | None) -> Pairs | None:
    """Return the pairs of a condition in every way, together; of some people, None for all."""
    found = []
    for way in _ways(condition):
        comparison = _compared(listened, way)
        found.append(pairs_of(comparison if people is None else comparison.among(people)))
    some = [pairs for pairs in found if pairs is not None]
    return sum(some[1:], some[0]) if len(some) == len(found) else None


def _ways(condition: Condition) -> list[Condition]:
    """Return a condition in every way that its table is for."""
    return heard_over(condition) if condition.channel != "wb" else [condition, replace(condition, noisy=True)]


def _compared(listened: EmbeddedSpeech, condition: Condition) -> Comparison:
    comparison = listened.compared(condition)
    assert comparison is not None  # everybody was heard for as long in every way
    return comparison


def _calibrated() -> list[Condition]:
    return [condition for condition in conditions(noisy=(False,)) if condition.channel]


def _told(fit: Fitted, listened: EmbeddedSpeech) -> str:
    """Return a line of figures; the equal error rate also without the center."""
    comparison = listened.compared(fit.condition)
    pairs = pairs_of(comparison) if comparison else None
    bare = equal_error_rate(pairs.genuine, pairs.impostor) if pairs else float("nan")
    held_out = f"Cllr {fit.held_out.cllr:.3f} ECE {fit.held_out.ece:.3f}" if fit.held_out else ""
    line = f"a {fit.line.a:5.1f} b {fit.line.b:6.1f}" if fit.line else fit.verdict
    return (
        f"{fit.condition.compared:17} {fit.condition.seconds:2} s  people {fit.people:3}  genuine {fit.genuine_pairs:4}"
        f"  EER {fit.equal_error_rate or 0:.2%} (not centered {bare:.2%})  {line}  held out {held_out}"
    )


def _manifest(text: str, centers: Centers, lines: LineCompensation, tables: str, people: int) -> str:
    """Return a manifest with other centers and other tables."""
    head = re.sub(r'\n(telephone_)?center = ".*"', "", text.split("# Computed by")[0].rstrip())
    rows = f'\nl2 = true\ncenter = "{_packed(centers["wb"])}"\ntelephone_center = "{_packed(centers["tel"])}"'
    head = head.replace("\nl2 = true", rows)
    about = (
        f"# Computed by training/speaker/calibrate.py on {datetime.now(UTC):%Y-%m-%d} from {people} people of\n"
        "# speechocean762 and LibriSpeech (both CC BY 4.0), as are the centers above. What codecs do to a voice:\n"
        f'[lines]\ndirections = "{_packed(lines.directions)}"\nweights = "{_packed(lines.weights)}"\n'
        f"bias = {lines.bias}\nshift = {lines.shift}\nusual = {lines.usual}\n\n"
        "# Tables from pairs as recorded, with noise, and over codecs. The figures are of speech as recorded; held out:"
        "\n# half of the people.\n"
    )
    return f"{head}\n\n{about}{tables}"


def _packed(numbers: npt.NDArray[np.float32]) -> str:
    return base64.b64encode(numbers.astype("<f4").tobytes()).decode()


def _source(recording: ManifestRecording) -> str:
    return next(source for source in SOURCES if recording.labels["source"].startswith(source))


def _unit(vector: Embedding) -> Embedding:
    unit: Embedding = vector / np.linalg.norm(vector)
    return unit


if __name__ == "__main__":
    sys.exit(main())
