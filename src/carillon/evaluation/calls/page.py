"""A call as a page: how both parties sound, every 5 s, beside what they say."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil
from pathlib import Path
from typing import Final

from carillon.analysis import ToneAverage, ToneReported
from carillon.analysis.speech import FRAME_SECONDS
from carillon.evaluation.calls.follow import CallAnalysis, CallWords, Party
from carillon.evaluation.html import document, paragraphs
from carillon.evaluation.svg import Axis, Series, chart
from carillon.evaluation.tone.measures import LABELS, guess_of
from carillon.inference import Probabilities
from carillon.storage.files import make_folder, replace_file

ROW_SECONDS: Final = 5
"""Media time of a row: reports come as often."""

_STYLE: Final = """
.call td { text-align: left; vertical-align: top; }
.call td.time { text-align: right; white-space: nowrap; }
.call p { margin: 0 0 .2rem; }
.bar { display: flex; width: 9rem; height: .55rem; margin: .15rem 0; }
.bar.thin { height: .25rem; }
.bar span { display: block; height: 100%; }
.negative { background: #d62728; } .neutral { background: #9a9a9a; } .positive { background: #2ca02c; }
.speech { background: #1f77b4; }
.said { min-width: 14rem; }
.turn { opacity: .7; font-style: italic; }
.tag { font-size: .75em; padding: 0 .3em; border-radius: .3em; color: #fff; }
.legend span { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }
"""
_SIGNS: Final = ("−", "", "+")
_VALENCES: Final = tuple((value / 2, f"{value / 2:+g}" if value else "0") for value in range(-2, 3))
_MOST_TICKS: Final = 8
_STEPS: Final = (15, 30, 60, 120, 300, 600, 1800, 3600)


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


def page(call: CallAnalysis, more: str = "", style: str = "") -> str:
    """Return the page.

    Args:
        call: what was heard.
        more: HTML below everything else. Each cell of the table tells in `data-channel` whom and in `data-begin` which
            second it is about.
        style: CSS beyond that of all such pages.
    """
    body = f"{_about(call)}{_overview(call)}{_table(call)}{more}"
    return document(f"{call.name}: tone over time", body, _STYLE + style)


def _about(call: CallAnalysis) -> str:
    words = f"words by {call.words}" if call.words else "acoustics alone"
    has_both = any(party.by_sound for party in call.parties)
    return (
        paragraphs([f"{call.seconds:.0f} s, judged by {call.model}, {words}."])
        + '<p class="legend">'
        + "".join(f'<span class="{label}"></span>{label}' for label in LABELS)
        + '<span class="speech"></span>speech</p>'
        + paragraphs(
            [
                "Bars: the last 30 s"
                + (", the same by sound alone," if has_both else "")
                + " and the call so far; below them, how much of the 5 s is speech. Words stand where they began; "
                "the sign behind them is what they say by themselves. Words in italics were written down by people.",
                "This page holds what was said in a call. Keep it as you keep the recording.",
            ]
        )
    )


def _overview(call: CallAnalysis) -> str:
    """Return a drawing of valence over the call."""
    series = []
    for party in call.parties:
        for name, reports, dashed in (
            (f"{party.name}, 30 s", [(r.current.end_ms, r.current) for r in party.reports], False),
            (f"{party.name}, all", [(r.overall.end_ms, r.overall) for r in party.reports], True),
        ):
            points = [(end_ms / 1000, average.positive - average.negative) for end_ms, average in reports]
            series.append(Series(name, points, dashed))
    ends = Axis("time, s", _times(call.seconds), float)
    drawn = chart("valence: positive less negative", ends, Axis("valence", _VALENCES, float), series)
    return f'<div class="charts">{drawn}</div>'


def _times(seconds: float) -> list[tuple[float, str]]:
    step = next((step for step in _STEPS if seconds / step <= _MOST_TICKS), _STEPS[-1])
    return [(float(at), str(at)) for at in range(0, step * max(ceil(seconds / step), 1) + 1, step)]


def _table(call: CallAnalysis) -> str:
    heads = "".join(f"<th>{escape(party.name)}</th><th>said</th>" for party in call.parties)
    rows = "".join(_row(call, number) for number in range(ceil(call.seconds / ROW_SECONDS)))
    return (
        f'<div class="scroll"><table class="call"><thead><tr><th>s</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(call: CallAnalysis, number: int) -> str:
    begin, end = number * ROW_SECONDS, (number + 1) * ROW_SECONDS
    cells = [f'<td class="time">{end}</td>']
    for channel, party in enumerate(call.parties):
        words = [_said(said) for said in party.understood if begin <= said.begin_seconds < end]
        turns = [
            f'<p class="turn">{escape(turn.text)}</p>'
            for turn in call.turns
            if begin <= turn.begin_seconds < end and (turn.channel == channel or len(call.parties) == 1)
        ]
        where = f'data-channel="{channel}" data-begin="{begin}"'
        cells.append(f'<td {where}>{_tone(party, begin, end)}</td><td class="said">{"".join((*words, *turns))}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _tone(party: Party, begin: int, end: int) -> str:
    """Return the bars of one party in one row: a report belongs to the row in which it came."""
    frames = party.is_speech[round(begin / FRAME_SECONDS) : round(end / FRAME_SECONDS)]
    share = float(frames.mean()) if len(frames) else 0.0
    bars = []
    report, by_sound = _of_row(party.reports).get(end), _of_row(party.by_sound).get(end)
    if report is not None:
        current = report.current
        bars += [f"<small>{current.label} {max(_probabilities(current)):.0%}</small>", _bar(current, "bar")]
    if by_sound is not None:
        bars.append(_bar(by_sound.current, "bar thin"))
    if report is not None:
        bars.append(_bar(report.overall, "bar thin"))
    speech = f'<span class="speech" style="width:{share:.0%}"></span>'
    return f'{"".join(bars)}<div class="bar thin" title="speech {share:.0%}">{speech}</div>'


def _of_row(reports: Sequence[ToneReported]) -> Mapping[int, ToneReported]:
    """Return reports by the end of their row, in seconds: the final one may come in the middle of it."""
    return {ceil(report.overall.end_ms / 1000 / ROW_SECONDS) * ROW_SECONDS: report for report in reports}


def _bar(tone: ToneAverage, kind: str) -> str:
    shares = _probabilities(tone)
    title = ", ".join(f"{label} {share:.0%}" for label, share in zip(LABELS, shares, strict=True))
    parts = "".join(
        f'<span class="{label}" style="width:{share:.1%}"></span>' for label, share in zip(LABELS, shares, strict=True)
    )
    return f'<div class="{kind}" title="{title}">{parts}</div>'


def _probabilities(tone: ToneAverage) -> Probabilities:
    return tone.negative, tone.neutral, tone.positive


def _said(said: CallWords) -> str:
    guess = guess_of(said.probabilities)
    sign = f' <span class="tag {LABELS[guess]}">{_SIGNS[guess]}</span>' if _SIGNS[guess] else ""
    return f"<p>{escape(said.text)}{sign}</p>"
