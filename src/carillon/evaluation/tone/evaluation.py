"""`carillon eval tone`: does the product hear what people were asked to express, and does its probability mean that?

Every clip is heard in wideband and as a telephone carries it; by itself, after the person's earlier clips, and in
windows of 30 s; by its sound, and with its words. `clips.py` and `windows.py` listen, `figures.py` measures.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from carillon.evaluation.manifest import BadManifest, read_manifest
from carillon.evaluation.pieces import BANDS, BandName
from carillon.evaluation.progress import tracked
from carillon.evaluation.tone.clips import Person, ToneModels, answers, people_of
from carillon.evaluation.tone.figures import INPUTS, Judgment, ToneFigures, Unit, figures_of
from carillon.evaluation.tone.windows import windows
from carillon.inference import Models, ModelSettings, Probabilities


@dataclass(frozen=True, slots=True)
class ToneReport:
    """All ways of hearing one folder."""

    directory: str
    chosen: Mapping[str, str]
    """Only lines of the manifest with these values in these columns."""
    model: str
    words: str
    """What understands words; empty if nothing does."""
    words_missing: str
    """Why nothing does."""
    trained_on: Sequence[str]
    """Corpora that the tone model learned from, as its manifest tells; empty if it does not."""
    known: Sequence[str]
    """Corpora of this folder that are among them: their speakers are no strangers to the model."""
    speakers: int
    recordings: int
    figures: Sequence[ToneFigures]
    is_held_out: bool = False
    """Everybody was judged by a model that had not heard them: the figures are of strangers, whatever `known` says."""


def evaluate_tone(
    directory: Path,
    settings: ModelSettings,
    *,
    chosen: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
    threads: int = 2,
) -> ToneReport:
    """Measure the tone of the models that the settings name on a folder of recordings with valence labels.

    Args:
        directory: holds `manifest.csv`: path, speaker, valence, corpus, perhaps session and language.
        settings: which models are used.
        chosen: only lines of the manifest with these values in these columns.
        without: speakers to leave out.
        threads: people that are listened to at the same time.

    Raises:
        BadManifest: no usable manifest, a valence that is none of negative, neutral, positive, or nobody is left.
    """
    lines = [line for line in read_manifest(directory, ("valence", "corpus"), chosen) if line.speaker not in without]
    if not lines:
        raise BadManifest(f"Nobody is left of {directory}: leave out fewer speakers.")
    people = people_of(lines)
    models = Models(settings)
    judgments = listen(people, ToneModels(models.vad, models.tone, models.words), threads)
    trained_on = models.catalog.find(models.tone.id, "tone").manifest.trained_on
    return ToneReport(
        directory=str(directory),
        chosen=chosen or {},
        model=models.tone.id,
        words="" if models.words is None else models.words.id,
        words_missing=models.words_missing,
        trained_on=trained_on,
        known=known_corpora([person.corpus for person in people], trained_on),
        speakers=len({(person.corpus, person.speaker) for person in people}),
        recordings=len(lines),
        figures=figures_of(judgments),
    )


def known_corpora(corpora: Sequence[str], trained_on: Sequence[str]) -> list[str]:
    """Return which of some corpora a model was trained on, whatever the case and the hyphens of their names."""
    learned = {_plain(name) for name in trained_on}
    return sorted({corpus for corpus in corpora if _plain(corpus) in learned})


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def listen(people: Sequence[Person], ears: ToneModels, threads: int) -> list[Judgment]:
    """Judge everything that people say, in every way.

    Raises:
        BadManifest: a file is not audio that can be read.
    """
    judgments: list[Judgment] = []
    with ThreadPoolExecutor(threads) as pool:
        for band in BANDS:
            for of_person in tracked(pool, partial(_heard, band=band, ears=ears), people, f"tone, {band}"):
                judgments += of_person
    return judgments


def _heard(person: Person, band: BandName, ears: ToneModels) -> list[Judgment]:
    found: list[Judgment] = []

    def note(unit: Unit, truth: int, said: Mapping[bool, Probabilities] | None, *, is_english: bool) -> None:
        for inputs in INPUTS if ears.words is not None else INPUTS[:1]:
            probabilities = None if said is None else said[inputs == "with words"]
            who = (person.corpus, person.speaker)
            found.append(Judgment(band, unit, inputs, *who, truth, probabilities, is_english))

    for answer in answers(person, band, ears):
        clip = answer.clip
        note("clip", clip.truth, answer.alone, is_english=clip.is_english)
        note("clip, history", clip.truth, answer.after_others, is_english=clip.is_english)
    for window in windows(person, band, ears):
        note("window", window.truth, window.alone, is_english=window.is_english)
        note("window, history", window.truth, window.in_call, is_english=window.is_english)
    return found
