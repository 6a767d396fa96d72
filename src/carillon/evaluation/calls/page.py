"""A call as a page: how both parties sound, every 5 s, beside what they say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

from carillon.analysis import ToneReported
from carillon.analysis.speech import FRAME_SECONDS
from carillon.evaluation.calls.follow import CallAnalysis, Party
from carillon.evaluation.pages import render
from carillon.evaluation.plots import Axis, Chart, Series, chart
from carillon.evaluation.tone.measures import LABELS, guess_of
from carillon.storage.files import make_folder, replace_file

ROW_SECONDS: Final = 5
"""Media time of a row: reports come as often."""

_SIGNS: Final = ("−", "", "+")
_VALENCES: Final = tuple((value / 2, f"{value / 2:+g}" if value else "0") for value in range(-2, 3))
_MOST_TICKS: Final = 8
_STEPS: Final = (15, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """One party in one row: a report belongs to the row in which it came."""

    report: ToneReported | None
    by_sound: ToneReported | None
    speech: float
    """Share of the row, in [0, 1]."""
    words: Sequence[tuple[str, str, str]]
    """Text, how it sounds by itself, and the sign of that."""
    turns: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    begin: int
    end: int
    cells: Sequence[_Cell]


def write_pages(calls: Sequence[CallAnalysis], folder: Path) -> list[Path]:
    """Write a page for each call, which needs nothing else, into a folder, made if need be; return their paths.

    They hold what was said, so they are for this user alone.
    """
    make_folder(folder)
    paths = []
    for call in calls:
        paths.append(folder / f"{call.name}.html")
        replace_file(paths[-1], page(call).encode())
    return paths


def page(call: CallAnalysis) -> str:
    """Return the page."""
    return render("call.html", call_values(call))


def call_values(call: CallAnalysis) -> dict[str, Any]:
    """Return what `call.html`, and any template that extends it, shows."""
    return {
        "title": f"{call.name}: tone over time",
        "labels": LABELS,
        "call": call,
        "has_both": any(party.by_sound for party in call.parties),
        "overview": _overview(call),
        "rows": [_row(call, number) for number in range(ceil(call.seconds / ROW_SECONDS))],
    }


def _overview(call: CallAnalysis) -> Chart:
    """Draw valence over the call."""
    series = []
    for party in call.parties:
        for name, reports, dashed in (
            (f"{party.name}, 30 s", [(r.current.end_ms, r.current) for r in party.reports], False),
            (f"{party.name}, all", [(r.overall.end_ms, r.overall) for r in party.reports], True),
        ):
            points = [(end_ms / 1000, average.positive - average.negative) for end_ms, average in reports]
            series.append(Series(name, points, dashed))
    return chart(
        "valence: positive less negative", Axis("time, s", _times(call.seconds)), Axis("valence", _VALENCES), series
    )


def _times(seconds: float) -> list[tuple[float, str]]:
    step = next((step for step in _STEPS if seconds / step <= _MOST_TICKS), _STEPS[-1])
    return [(float(at), str(at)) for at in range(0, step * max(ceil(seconds / step), 1) + 1, step)]


def _row(call: CallAnalysis, number: int) -> _Row:
    begin, end = number * ROW_SECONDS, (number + 1) * ROW_SECONDS
    return _Row(begin, end, [_cell(call, channel, begin, end) for channel in range(len(call.parties))])


def _cell(call: CallAnalysis, channel: int, begin: int, end: int) -> _Cell:
    party = call.parties[channel]
    frames = party.is_speech[round(begin / FRAME_SECONDS) : round(end / FRAME_SECONDS)]
    return _Cell(
        _of_row(party.reports).get(end),
        _of_row(party.by_sound).get(end),
        float(frames.mean()) if len(frames) else 0.0,
        list(_words(party, begin, end)),
        [
            turn.text
            for turn in call.turns
            if begin <= turn.begin_seconds < end and (turn.channel == channel or len(call.parties) == 1)
        ],
    )


def _of_row(reports: Sequence[ToneReported]) -> Mapping[int, ToneReported]:
    """Return reports by the end of their row, in seconds: the final one may come in the middle of it."""
    return {ceil(report.overall.end_ms / 1000 / ROW_SECONDS) * ROW_SECONDS: report for report in reports}


def _words(party: Party, begin: int, end: int) -> Iterator[tuple[str, str, str]]:
    for said in party.understood:
        if begin <= said.begin_seconds < end:
            guess = guess_of(said.probabilities)
            yield said.text, LABELS[guess], _SIGNS[guess]
