"""`carillon train tone`: a head out of somebody's own labeled recordings, or a refusal that says what they lack.

Heads that were fitted without one fold of the people judge that fold: these judgments choose how strongly a head is
held back, decide whether it is worth writing, and are what its card and its page show. The head that is written was
then fitted to everybody.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Final

import numpy as np

from carillon.evaluation import show_tone, write_tone_report
from carillon.evaluation.manifest import ManifestRecording, read_manifest
from carillon.evaluation.tone.clips import people_of
from carillon.evaluation.tone.evaluation import ToneReport
from carillon.evaluation.tone.figures import ALL, Judgment, Unit, figures_of
from carillon.inference.tone import LABELS, Probabilities
from carillon.training.tone.calibrating import softmax
from carillon.training.tone.clips import Clips, LabeledRecording, extract
from carillon.training.tone.export import Name, write_head
from carillon.training.tone.heads import DEFAULT, LIGHT, Recipe
from carillon.training.tone.listening import BANDS, CHANGES, FeatureExtractor
from carillon.training.tone.training import Trained, TrainingRefused, train

LEAST_PEOPLE: Final = 4
LEAST_CLIPS: Final = 20
"""Of each tone."""
LEAST_RECALL: Final = 0.45
"""Mean recall of the three tones on people whom a head never heard; guessing gives 0.33."""

_PENALTIES: Final = (0.3, 3.0, 30.0)
_UNITS: Final[Mapping[str, Unit]] = {"none": "clip", "earlier": "clip, history"}
_CARD: Final = """\
# Model card: {id}

Made by `carillon train tone` from {clips} recordings of {people} people: {counts}.

| | |
|---|---|
| Learned from | {corpora} |
| License | {license} |
| May be used commercially | {commercial_use}, by what the manifest says |
| Hears | {parts}; and their means before |
| Is | a linear map, fitted by penalized least squares; of the penalties {penalties}, {penalty:g} did best below |

On people whom it never heard, each clip after the person's earlier ones (UAR is the mean recall of the three tones;
guessing gives 33 %):

{table}

These figures are of the same recordings, microphones and language as those that it learned from: expect less of others.
`tone.html` shows them in full. Do not decide anything about a person by a tone.
"""


@dataclass(frozen=True, slots=True)
class HeadRequest:
    """What the head is to be."""

    id: str
    is_light: bool
    """Hear less: judging tone costs a quarter of it."""


def train_tone(
    directory: Path, out: Path, wanted: HeadRequest, *, noises: Path | None, threads: int, as_json: bool
) -> None:
    """Train a head, write it with its card and figures, and say how right it is and how it is used.

    Args:
        directory: holds `manifest.csv`: path, speaker, corpus, valence; perhaps emotion, license, commercial_use.
        out: the folder to write to, made if need be.
        wanted: what the head is to be.
        noises: a folder of folders of sounds to mix in; None: noise is made.
        threads: recordings that are heard at the same time.
        as_json: show the figures to programs.

    Raises:
        BadManifest: no usable manifest.
        TrainingRefused: the recordings cannot carry a head; says what they lack.
    """
    lines = read_manifest(directory, ("corpus", "valence"))
    people_of(lines)  # refuses what is no valence, and what is listed twice
    labeled = [LabeledRecording.of(line) for line in lines]
    _refuse_too_few(labeled)
    ways = len(BANDS) + len(CHANGES)
    sys.stderr.write(f"Hearing {len(labeled):,} recordings, each in {ways} ways, which takes minutes.\n")
    base = LIGHT if wanted.is_light else DEFAULT
    clips = extract(FeatureExtractor(noises, threads=threads, parts=base.parts), labeled, CHANGES)
    recipe, trained = best(clips, base)
    report = report_of(directory, clips, trained, wanted.id)
    refuse_what_guesses(report)
    name = _name(wanted.id, lines)
    write_head(trained.head, trained.calibration, name, out)
    (out / f"{name.file}.md").write_text(_card(name, recipe, clips, report, lines), encoding="utf-8")
    write_tone_report(report, out)
    show_tone(report, as_json=as_json)
    sys.stderr.write(f"\n{out} holds the head. Use it: {_use(out, wanted.id)}\n")


def _use(out: Path, head: str) -> str:
    settings = f"CARILLON_INFERENCE_DIRECTORY={quote(str(out))} CARILLON_INFERENCE_TONE={quote(head)}"
    return f"{settings} carillon serve"


def _refuse_too_few(labeled: Sequence[LabeledRecording]) -> None:
    for number, tone in enumerate(LABELS):
        own = [item for item in labeled if item.tone == number]
        people = {(item.corpus, item.recording.speaker) for item in own}
        if len(people) < LEAST_PEOPLE or len(own) < LEAST_CLIPS:
            raise TrainingRefused(
                f"{len(own)} recordings of {len(people)} people sound {tone}; a head needs {LEAST_CLIPS} of "
                f"{LEAST_PEOPLE} at least, or nobody could tell how it hears a stranger. Label more."
            )


def best(clips: Clips, base: Recipe) -> tuple[Recipe, Trained]:
    """Return what tells the tones of people best whom it never heard."""
    is_calm = {corpus: set(clips.tones[clips.corpora == corpus].tolist()) == {1} for corpus in np.unique(clips.corpora)}
    calm = tuple(str(corpus) for corpus, is_so in is_calm.items() if is_so)
    tries = [replace(base, penalty=penalty, calm=calm, shares={}) for penalty in _PENALTIES]
    found = [(recipe, train(clips, recipe)) for recipe in tries]
    return max(found, key=lambda pair: _recall(pair[1]))


def _recall(trained: Trained) -> float:
    own = [row.recall for row in trained.figures if row.unseen == "people" and row.history == "earlier"]
    return float(np.mean(own))


def report_of(directory: Path, clips: Clips, trained: Trained, model: str) -> ToneReport:
    """Return what heads say of people whom they never heard, as `eval tone` tells it."""
    corpora = np.unique(clips.corpora).tolist()
    return ToneReport(
        directory=str(directory),
        chosen={},
        model=model,
        words="",
        words_missing="a head is trained by sound.",
        trained_on=corpora,
        known=corpora,
        speakers=len(np.unique(clips.speakers)),
        recordings=len(clips.tones),
        figures=figures_of(list(_judgments(clips, trained))),
        is_held_out=True,
    )


def _judgments(clips: Clips, trained: Trained) -> Iterator[Judgment]:
    for band in BANDS:
        for history, unit in _UNITS.items():
            said = softmax(trained.calibration.of_tone(trained.of_people[band, history])).tolist()
            for number, probabilities in enumerate(said):
                corpus, speaker = str(clips.corpora[number]), str(clips.speakers[number])
                each: Probabilities = tuple(probabilities)
                yield Judgment(band, unit, "acoustics", corpus, speaker, int(clips.tones[number]), each, False)


def refuse_what_guesses(report: ToneReport) -> None:
    """Raise TrainingRefused if heads hear strangers hardly better than by guessing."""
    of_all = [row for row in report.figures if row.corpus == ALL and row.unit == "clip, history" and row.quality]
    worst = min(row.quality.unweighted_average_recall for row in of_all if row.quality)
    if worst < LEAST_RECALL:
        raise TrainingRefused(
            f"Of people whom it never heard, the head is right in {worst:.0%}, where guessing is in 33 %: nothing was "
            "written. Look at the labels, or label more people."
        )


def _name(head: str, lines: Sequence[ManifestRecording]) -> Name:
    corpora = sorted({line.labels["corpus"] for line in lines})
    licenses = sorted({line.labels.get("license") or "not stated" for line in lines})
    return Name(
        id=head,
        file=re.sub(r"\W", "_", head),
        made_by="`carillon train tone`",
        license="; ".join(licenses),
        commercial_use=all((line.labels.get("commercial_use") or "yes") == "yes" for line in lines),
        trained_on=corpora,
        attribution=f"Trained on {', '.join(corpora)}",
    )


def _card(name: Name, recipe: Recipe, clips: Clips, report: ToneReport, lines: Sequence[ManifestRecording]) -> str:
    counts = [f"{int((clips.tones == number).sum())} {tone}" for number, tone in enumerate(LABELS)]
    rows = ["| corpus | band | UAR (95 %) | negative | neutral | positive | ECE |", "|---|---|---|---|---|---|---|"]
    for row in report.figures:
        if row.unit != "clip, history" or row.quality is None:
            continue
        quality = row.quality
        low, high = quality.interval or (quality.unweighted_average_recall,) * 2
        recalls = " | ".join("-" if recall is None else f"{recall:.0%}" for recall in quality.recalls)
        uar = f"{quality.unweighted_average_recall:.1%} ({low:.0%} to {high:.0%})"
        rows.append(f"| {row.corpus} | {row.band} | {uar} | {recalls} | {quality.ece:.2f} |")
    return _CARD.format(
        id=name.id,
        clips=f"{len(lines):,}",
        people=report.speakers,
        counts=", ".join(counts),
        corpora=", ".join(name.trained_on),
        license=name.license,
        commercial_use="yes" if name.commercial_use else "no",
        parts=", ".join(recipe.parts),
        penalty=recipe.penalty,
        penalties=", ".join(f"{penalty:g}" for penalty in _PENALTIES),
        table="\n".join(rows),
    )
