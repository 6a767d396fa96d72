"""Reports as a table for people, or as JSON for programs."""

import sys
from dataclasses import asdict

import msgspec
from rich.console import Console
from rich.table import Table

from carillon.evaluation.speaker import SpeakerReport
from carillon.evaluation.tone import LABELS, ToneReport


def show(report: SpeakerReport | ToneReport, *, as_json: bool) -> None:
    """Print a report to standard output."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(asdict(report))).decode() + "\n")
        return
    Console().print(_speaker_table(report) if isinstance(report, SpeakerReport) else _tone_table(report))


def _speaker_table(report: SpeakerReport) -> Table:
    table = Table(title=f"{report.model} on {report.directory}")
    for column in ("band", "speech", "speakers", "pieces", "genuine pairs", "EER", "rank 1"):
        table.add_column(column, justify="left" if column == "band" else "right")
    for row in report.figures:
        table.add_row(
            row.band,
            f"{row.seconds} s",
            str(row.speakers),
            str(row.pieces),
            str(row.genuine_pairs),
            f"{row.equal_error_rate:.2%}",
            f"{row.rank_1:.1%}",
        )
    return table


def _tone_table(report: ToneReport) -> Table:
    table = Table(title=f"{report.model} on {report.directory}")
    for column in ("band", "corpus", "clips", "skipped", "UAR", *(f"recall {label}" for label in LABELS)):
        table.add_column(column, justify="left" if column in ("band", "corpus") else "right")
    for row in report.figures:
        recalls = (f"{c[i] / sum(c):.0%}" if sum(c) else "-" for i, c in enumerate(row.confusion))
        table.add_row(
            row.band,
            row.corpus,
            str(row.clips),
            str(row.skipped),
            f"{row.unweighted_average_recall:.1%}",
            *recalls,
        )
    return table
