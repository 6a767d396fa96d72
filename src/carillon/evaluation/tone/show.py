"""A tone report as a table for people, or as JSON for programs."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from carillon.evaluation.show import as_json_text
from carillon.evaluation.tone.evaluation import ToneReport
from carillon.evaluation.tone.figures import ALL, ToneFigures
from carillon.evaluation.tone.measures import LABELS
from carillon.terminal import Table

COLUMNS = (
    "band",
    "heard",
    "from",
    "corpus",
    "people",
    "judged",
    "skipped",
    "UAR",
    "95 %",
    "F1",
    *LABELS,
    "ECE",
    "Brier",
    "log loss",
)
LEFT = COLUMNS[:4]
"""Columns of words, not of numbers."""


def show_tone(report: ToneReport, *, as_json: bool) -> None:
    """Print a report to standard output."""
    if as_json:
        sys.stdout.write(as_text(report) + "\n")
        return
    chosen = "".join(f", {column}={value}" for column, value in report.chosen.items())
    sys.stdout.write(f"{report.model} on {report.directory}{chosen}\n\n")
    table = Table(*COLUMNS, numbers=set(COLUMNS) - set(LEFT))
    for row in rows_of(report):
        table.add_row(*cells_of(row))
    table.print()
    sys.stdout.write("".join(f"\n{note}" for note in notes_on(report)) + "\n")
    for warning in warnings_on(report):
        sys.stderr.write(f"carillon: {warning}\n")


def as_text(report: ToneReport, *, with_curves: bool = False) -> str:
    """Return a report as JSON.

    Args:
        report: what was measured.
        with_curves: also what only a drawing needs.
    """
    figures = [_flat(row, with_curves=with_curves) for row in report.figures]
    about = asdict(report) | {"chosen": dict(report.chosen), "warnings": warnings_on(report), "figures": figures}
    return as_json_text(about)


def rows_of(report: ToneReport) -> list[ToneFigures]:
    """Return what a table shows: of a single corpus, "all" would say the same twice."""
    corpora = {row.corpus for row in report.figures}
    return [row for row in report.figures if len(corpora) > 2 or row.corpus != ALL]


def warnings_on(report: ToneReport) -> list[str]:
    """Return why some figures are not what they seem; nothing if they are of speakers unknown to the model."""
    if report.is_held_out:
        return []
    if not report.trained_on:
        told = f"The manifest of {report.model} does not say what it was trained on (`trained_on`): whether it has "
        return [f"{told}heard these speakers before is not known."]
    if not report.known:
        return []
    names = ", ".join(report.known)
    told = (
        f"{report.model} was trained on {names}: figures on {names}, and on all together, are not on unseen speakers. "
    )
    return [f"{told}Those come from the cross-validation of training/tone; the model card has them."]


def notes_on(report: ToneReport) -> list[str]:
    """Return what must be said below the figures."""
    about = f"{report.speakers} people, {report.recordings} recordings. UAR and F1 are means over the classes that "
    about += "occur; 95 % by drawing people again; ECE of the label's probability, in ten bins; log loss in nats."
    clips = 'A clip has "history" when the person\'s earlier clips were heard first, in the order of a hash of their '
    clips += "paths, so no label has a say in it."
    stretches = (
        "A window is 30 s of clips of one person and one tone, with pauses, heard by the analyzer of live calls; "
    )
    stretches += "with history, those of one person follow each other in one call, in a seeded order."
    has_windows = any(row.unit.startswith("window") for row in report.figures)
    notes = [about, clips, *([stretches] if has_windows else [])]
    if report.is_held_out:
        notes.append("Everybody was judged by a head that had not heard them; the head that was written has.")
    skipped = sum(row.skipped for row in report.figures if row.corpus == ALL)
    if skipped:
        notes.append("Skipped: clips with less than 0.5 s of speech, windows with less than 10 s.")
    absent = _absent(report)
    if absent:
        notes.append(f"Classes that do not occur: {'; '.join(absent)}.")
    notes += _calm(report)
    if not any(row.band == "wideband" for row in report.figures):
        notes.append("No wideband figures: every recording is at 8 kHz or less.")
    if report.words_missing:
        notes.append(f"Acoustics alone: {report.words_missing}")
    return notes


def cells_of(row: ToneFigures) -> list[str]:
    """Return the figures of one row as text, in the order of `COLUMNS`."""
    about = [row.band, row.unit, row.inputs, row.corpus, str(row.speakers), str(row.judged), str(row.skipped)]
    quality = row.quality
    if quality is None:
        return [*about, *["-"] * (len(COLUMNS) - len(about))]
    return [
        *about,
        f"{quality.unweighted_average_recall:.1%}",
        "-" if quality.interval is None else "{:.0%}-{:.0%}".format(*quality.interval),
        f"{quality.macro_f1:.1%}",
        *("-" if recall is None else f"{recall:.0%}" for recall in quality.recalls),
        f"{quality.ece:.3f}",
        f"{quality.brier:.3f}",
        f"{quality.log_loss:.2f}",
    ]


def _calm(report: ToneReport) -> Iterator[str]:
    """Yield what is said of corpora in which everybody is neutral: how often that is called a mood."""
    for row in rows_of(report):
        if row.quality is not None and [recall is None for recall in row.quality.recalls] == [True, False, True]:
            shares = [sum(column) / row.judged for column in zip(*row.quality.confusion, strict=True)]
            told = ", ".join(f"{label} {share:.0%}" for label, share in zip(LABELS, shares, strict=True))
            yield f"{row.corpus} is all neutral; {row.band}, {row.unit}, {row.inputs}, it is called {told}."


def _absent(report: ToneReport) -> Sequence[str]:
    found = {
        f"{row.corpus} has no {label}"
        for row in report.figures
        if row.corpus != ALL and row.unit == "clip" and row.quality is not None
        for label, recall in zip(LABELS, row.quality.recalls, strict=True)
        if recall is None
    }
    return sorted(found)


def _flat(row: ToneFigures, *, with_curves: bool) -> dict[str, Any]:
    about = asdict(row)
    quality = about.pop("quality") or {}
    if not with_curves:
        quality.pop("bins", None)
    return about | quality
