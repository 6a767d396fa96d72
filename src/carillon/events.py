"""`carillon events`: the outbox as a table, read from the database while the server runs or not."""

import sys
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from anyio import sleep
from rich.console import Console

from carillon.app import opened
from carillon.clock import SystemClock
from carillon.config import Settings
from carillon.notifications import Event, Outbox

_PAGE: Final = 200
_POLL_SECONDS: Final = 0.5


async def show(settings: Settings, follow: bool, as_json: bool) -> None:
    """Print notifications, oldest first; with `follow`, until interrupted."""
    console = Console(highlight=False)
    async with opened(settings, must_exist=True) as ground:
        outbox = Outbox(ground.database, SystemClock(), settings.notifications)
        after = 0
        while True:
            found = await outbox.events(after, _PAGE)
            for after, event in found:  # noqa: B007 - the last position is where the next page begins
                if as_json:
                    sys.stdout.write(msgspec.json.encode(event.body).decode() + "\n")
                    sys.stdout.flush()
                else:
                    console.print(line(event))
            if len(found) == _PAGE:
                continue
            if not follow:
                return
            await sleep(_POLL_SECONDS)


def line(event: Event) -> str:
    """Return one notification as one line of rich markup."""
    at = event.at.strftime("%H:%M:%S")
    return f"[dim]{at}[/] [bold]{event.status}[/] {summary(event.body['detail'])} [dim]{event.id}[/]"


def summary(detail: Mapping[str, Any]) -> str:
    """Return what a notification says, in a few words."""
    results = detail.get("speakerSearchDetails", {}).get("results", [])
    if results:
        return ", ".join(f"{match['voiceProfileId']} {match['confidenceScore']:.2f}" for match in results)
    tone = detail.get("voiceToneAnalysisDetails")
    if tone:
        now, overall = tone["currentAverageVoiceTone"], tone["overallAverageVoiceTone"]
        return f"now {now['voiceToneLabel']}, call {overall['voiceToneLabel']}"
    return str(detail.get("statusMessage") or detail.get("failureReason") or "")
