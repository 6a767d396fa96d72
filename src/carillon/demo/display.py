"""The demonstration on a terminal: notifications as they come, then who was found and how they sounded."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from carillon.demo.report import AnalyzedCall, Expectation, Report
from carillon.events import summary
from carillon.notifications import ToneWindow
from carillon.tasks import TaskResult

_BARS: Final = "▁▂▃▄▅▆▇█"
_COLORS: Final = {"positive": "green", "neutral": "blue", "negative": "red"}
_SHOWN: Final = 14


class Display:
    """A live view; `quiet` for machines."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._rows: list[tuple[str, str, str, str]] = []
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn()
        )
        self._live = Live(self._render(), console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        if not self._quiet:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._quiet:
            self._live.update(self._render(everything=True))
            self._live.transient = False
            self._live.stop()
            if not self._console.is_terminal:
                self._console.line()  # into a pipe the last table is written without the end of its line

    def advance(self, call: str, share: float) -> None:
        """Show how much of a call was played, 0 to 1; the first time its bar appears."""
        if call not in self._bars:
            self._bars[call] = self._progress.add_task(call, total=1.0)
        said = f"{call}, played: its last words are still being analyzed" if share >= 1.0 else call
        self._progress.update(self._bars[call], completed=share, description=said)
        self._refresh()

    def finish(self, call: str) -> None:
        """Show that a call was analyzed to its end."""
        self._progress.update(self._bars[call], description=f"{call}, played and analyzed")
        self._refresh()

    def notify(self, notification: Mapping[str, Any], result: TaskResult) -> None:
        """Show a notification, and the result that it tells of."""
        detail = notification["detail"]
        stream = detail.get("streamArn", "").split("/")[-2:-1]
        self._rows.append(
            (notification["time"][11:23], stream[0] if stream else "", detail["detailStatus"], summary(result))
        )
        self._refresh()

    def _refresh(self) -> None:
        if not self._quiet:
            self._live.update(self._render())

    def _render(self, *, everything: bool = False) -> Group:
        table = Table(title="Notifications, as the sink received them", expand=True, title_justify="left")
        for column in ("time (UTC)", "call", "status", "says"):
            table.add_column(column, no_wrap=column != "says", overflow="fold")
        for row in self._rows if everything else self._rows[-_SHOWN:]:
            table.add_row(*row)
        return Group(self._progress, table)


def show_summary(console: Console, report: Report) -> None:
    """Print who was found, how sure, the tone over time, the cost, and what was expected."""
    table = Table(title="Who was speaking, and how did they sound?", expand=True, title_justify="left")
    for column in ("call", "who", "tone, every 5 s"):
        table.add_column(column, no_wrap=True)
    for call in report.calls:
        currents, overalls = [current for current, _ in call.tones], [overall for _, overall in call.tones]
        table.add_row(call.seen.name, _who(call), f"{_chart(currents)}\noverall {_overall(overalls)}", end_section=True)
    console.print(table)
    console.print(
        Panel(
            f"{report.audio_seconds:.0f} s of calls in {report.wall_seconds:.1f} s; two analyses of one channel cost "
            f"{report.real_time_factor:.3f} CPU seconds per second of call, server start included.",
            title="Cost",
            title_align="left",
        )
    )
    console.print(_expectations(report.expectations))


def _who(call: AnalyzedCall) -> str:
    if call.matches:
        best = call.matches[0]
        return f"known, confidence {best.confidence:.2f}\n[green]{best.profile_id}[/]"
    if call.seen.profile_id:
        return f"nobody known; enrolled as\n{call.seen.profile_id}"
    return "nobody known"


def _chart(tones: Sequence[ToneWindow]) -> str:
    lines = []
    for label in ("negative", "neutral", "positive"):
        scores = [tone.score_of(label) for tone in tones]
        bars = "".join(_BARS[min(len(_BARS) - 1, int(score * len(_BARS)))] for score in scores)
        lines.append(f"[{_COLORS[label]}]{bars}[/] {label}")
    return "\n".join(lines)


def _overall(tones: Sequence[ToneWindow]) -> str:
    if not tones:
        return "-"
    label = tones[-1].label
    return f"[{_COLORS[label]}]{label}[/] {tones[-1].score_of(label):.2f}"


def _expectations(expectations: Sequence[Expectation]) -> Table:
    table = Table(title="Expectations", expand=True, title_justify="left", show_header=False)
    table.add_column(width=2)
    table.add_column()
    for expectation in expectations:
        mark = "[green]✓[/]" if expectation.holds else "[bold red]✗[/]"
        table.add_row(mark, expectation.says if expectation.holds else f"{expectation.says}: {expectation.saw}")
    return table
