"""Reports as a table for people, or as JSON for programs."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from carillon.evaluation.speaker import SpeakerFigures, SpeakerReport
from carillon.terminal import Table


def show(report: SpeakerReport, *, as_json: bool) -> None:
    """Print a report to standard output."""
    if as_json:
        sys.stdout.write(as_text(report) + "\n")
        return
    sys.stdout.write(f"{title_of(report)}\n\n")
    table = Table(*COLUMNS, numbers=set(COLUMNS) - {"compared", "noise"})
    for row in report.figures:
        table.add_row(*cells_of(row))
    table.print()
    sys.stdout.write("".join(f"\n{note}" for note in notes_on(report)) + "\n")


def as_text(report: SpeakerReport, *, with_curves: bool = False) -> str:
    """Return a report as JSON.

    Args:
        report: what was measured.
        with_curves: also what only a drawing needs.
    """
    figures = [_flat(row) | ({"curves": asdict(row.curves)} if with_curves else {}) for row in report.figures]
    about = {
        "directory": report.directory,
        "chosen": dict(report.chosen),
        "across": report.across,
        "model": report.model,
        "speakers": report.speakers,
        "recordings": report.recordings,
        "decision": asdict(report.decision),
    }
    return as_json_text(
        {**about, "figures": figures, "left_out": list(report.left_out), "alike": list(map(asdict, report.alike))}
    )


def notes_on(report: SpeakerReport) -> list[str]:
    """Return what must be said below the figures."""
    about = f"{report.speakers} people, {report.recordings} recordings. Open set: half of the people are strangers, "
    about += f"means over 20 choices; a match is a confidence of at least {report.decision.threshold:g}."
    across = sum(row.verifying.across_sessions for row in report.figures)
    total = sum(row.verifying.genuine_pairs for row in report.figures)
    sessions = (
        f"{across} of {total} pairs of one person are of two {report.across}s; the others are easier than two calls."
    )
    notes = [about, sessions]
    for pair in report.alike:
        one, other = pair.names
        notes.append(f"{one} and {other} sound like one person (cosine {pair.score}). If they are, leave one out.")
    if report.left_out:
        notes.append(f"Nobody with enough speech to compare: {'; '.join(report.left_out)}.")
    return notes


def cells_of(row: SpeakerFigures) -> list[str]:
    """Return the figures of one condition as text, in the order of `COLUMNS`."""
    verifying, identifying, open_set = row.verifying, row.identifying, row.open_set
    low, high = verifying.interval
    return [
        row.band,
        _heard(row),
        f"{row.seconds} s",
        str(row.speakers),
        str(verifying.genuine_pairs),
        f"{verifying.equal_error_rate:.2%}",
        f"{low:.1%}-{high:.1%}",
        f"{verifying.min_dcf:.3f}",
        f"{identifying.rank_1:.1%}",
        f"{identifying.rank_10:.1%}",
        "-" if open_set is None else f"{open_set.false_positives:.2%}",
        "-" if open_set is None else f"{open_set.found:.1%}",
        "-" if verifying.cllr is None else f"{verifying.cllr:.3f}",
        "-" if open_set is None else f"{open_set.ece:.3f}",
    ]


COLUMNS = (
    "compared",
    "noise",
    "speech",
    "people",
    "genuine",
    "EER",
    "95 %",
    "minDCF",
    "rank 1",
    "rank 10",
    "FPIR",
    "found",
    "Cllr",
    "ECE",
)


def _heard(row: SpeakerFigures) -> str:
    return row.line or ("10 dB" if row.noisy else "clean")


def _flat(row: SpeakerFigures) -> dict[str, Any]:
    return {
        "band": row.band,
        "noise": _heard(row),
        "seconds": row.seconds,
        "speakers": row.speakers,
        "stretches": row.stretches,
        **asdict(row.verifying),
        **asdict(row.identifying),
        "open_set": asdict(row.open_set) if row.open_set else None,
    }


def as_json_text(report: Mapping[str, Any]) -> str:
    """Return anything that is to be read by programs, indented for people too."""
    return msgspec.json.format(msgspec.json.encode(report)).decode()


def title_of(report: SpeakerReport) -> str:
    """Return what was measured, and on what."""
    chosen = "".join(f", {column}={value}" for column, value in report.chosen.items())
    return f"{report.model} on {report.directory}{chosen}"
