"""`carillon events`: the outbox, read from the database while the server runs or not.

One line for each notification: when, what, of which call, stream and task, and whether each target has it.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC
from typing import Final

from rich.console import Console
from rich.markup import escape

from carillon.clock import SystemClock
from carillon.config import Settings
from carillon.data_folder import opened
from carillon.notifications import DeliveryReport, Event, EventFilter, Outbox, ToneWindow
from carillon.tasks import SearchResult, TaskResult, TaskResults, ToneResult
from carillon.terminal import print_json

_PAGE: Final = 200
_COLORS: Final = {"delivered": "green", "pending": "yellow", "set_aside": "red"}


async def show(settings: Settings, wanted: EventFilter, follow: bool, as_json: bool) -> None:
    """Print notifications, oldest first; with `follow`, until interrupted."""
    console = Console(highlight=False, soft_wrap=True)
    async with opened(settings, must_exist=True) as data_folder:
        outbox = Outbox(data_folder.database, SystemClock(), settings.notifications)
        results = TaskResults(data_folder.database)
        pages = outbox.follow(wanted=wanted) if follow else _pages(outbox, wanted)
        async for found in pages:
            reports = await outbox.deliveries.of_events([sequence for sequence, _ in found])
            told = await results.of_events([event.id for _, event in found])
            for number, event in found:
                if as_json:
                    print_json({**event.body, "deliveries": [_described(report) for report in reports[number]]})
                else:
                    console.print(line(event, told.get(event.id), reports[number]))


async def _pages(outbox: Outbox, wanted: EventFilter) -> AsyncIterator[list[tuple[int, Event]]]:
    """Yield what there is now."""
    after = 0
    while page := await outbox.events(after, _PAGE, wanted):
        yield page
        after = page[-1][0]


def line(event: Event, result: TaskResult | None, deliveries: Sequence[DeliveryReport]) -> str:
    """Return one notification as one line of rich markup; nothing in it is cut."""
    said = (
        f"[dim]{event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}[/]",
        f"[bold]{escape(event.status)}[/]",
        escape(_why(event) if result is None else summary(result)),
        *(f"[dim]{name}[/] {escape(value)}" for name, value in _about(event)),
        *map(_told, deliveries),
    )
    return "  ".join(part for part in said if part)


def summary(result: TaskResult) -> str:
    """Return what a task found out, in a few words."""
    match result:
        case SearchResult(matches=[_, *_] as matches):
            return ", ".join(f"{match.profile_id} {match.score:.2f}" for match in matches)
        case ToneResult(current=ToneWindow(label=now), overall=ToneWindow(label=overall)):
            return f"now {now}, call {overall}"
        case _:
            return result.message or ""


def _why(event: Event) -> str:
    """Return what an event gives as its reason: that of a pipeline, or of a task that is not kept any more."""
    detail = event.body["detail"]
    return str(detail.get("failureReason") or detail.get("statusMessage") or "")


def _about(event: Event) -> Iterator[tuple[str, str]]:
    yield "call", event.pipeline_id
    stream = event.body["detail"].get("streamArn")
    if stream:
        yield "stream", stream.split("/")[1]
    if event.task_id is not None:
        yield "task", event.task_id
    yield "id", event.id


def _told(report: DeliveryReport) -> str:
    state = report.state.replace("_", " ")
    why = f" ({escape(report.reason)})" if report.reason and report.state != "delivered" else ""
    return f"[{_COLORS[report.state]}]{state}[/]{why} [dim]{report.target.kind}[/] {escape(report.target.arn)}"


def _described(report: DeliveryReport) -> Mapping[str, object]:
    return {
        "sink": report.target.kind,
        "target": report.target.arn,
        "state": report.state,
        "attempts": report.attempts,
        "reason": report.reason,
    }
