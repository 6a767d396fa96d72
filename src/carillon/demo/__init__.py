"""`carillon demo`: the whole job on real speech, over real HTTP on loopback, with plain boto3.

A `carillon serve` process on a temporary data folder, an application's own sink, three recorded calls. Start reading
at `story.py`; `report.py` says what must come of it.
"""

import resource
import sys
from collections.abc import Awaitable, Callable
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from anyio import to_thread
from rich.console import Console

from carillon import config
from carillon.clock import SystemClock
from carillon.data_folder import opened
from carillon.demo.display import Display, show_summary
from carillon.demo.process import running_server
from carillon.demo.receiver import Notification, receiving
from carillon.demo.report import AnalyzedCall, Report, expectations
from carillon.demo.story import CallResult, Clients, Story
from carillon.environment import exports
from carillon.media import KinesisVideoClient, as_live, put_media, read_recording
from carillon.tasks import SearchResult, TaskResults, ToneResult

CALLS: Final = ("call-1", "call-2", "call-3")
SPEED: Final = 8.0
_PIPE_COLUMNS: Final = 120


async def run(realtime: bool, as_json: bool) -> bool:
    """Run the demonstration; return whether all that was expected came true.

    Args:
        realtime: play the calls at natural speed instead of eight times as fast.
        as_json: print one JSON object instead of the live view.
    """
    console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    clock = SystemClock()
    with TemporaryDirectory(prefix="carillon-demo-") as folder, Display(console, quiet=as_json) as display:
        began = clock.monotonic()
        settings = config.load(Path(folder))
        async with (
            opened(settings) as data_folder,
            receiving(_shown(display, results := TaskResults(data_folder.database))) as inbox,
        ):
            environment = {**exports(settings), "AWS_ENDPOINT_URL_LAMBDA": inbox.url}
            async with running_server(Path(folder), environment) as server:
                player = _Player(server.url, environment, display, 1.0 if realtime else SPEED)
                story = Story(Clients.connect(server.url, environment), inbox, player.play)
                await story.set_up()
                calls = []
                for name in CALLS:
                    calls.append(await _analyzed(results, await story.run_call(name, enroll=name == CALLS[0])))
                    display.finish(name)
        report = _report(calls, player, clock.monotonic() - began, settings)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report.to_json())).decode() + "\n")
    else:
        show_summary(console, report)
    return report.passed


def _shown(display: Display, results: TaskResults) -> Callable[[Notification], Awaitable[None]]:
    async def show(notification: Notification) -> None:
        """Show a notification with the result that it tells of, read from where the server keeps it."""
        told = await results.of_events([notification["id"]])
        display.notify(notification, told[notification["id"]])

    return show


async def _analyzed(results: TaskResults, seen: CallResult) -> AnalyzedCall:
    search = await results.of_task(seen.search_id, SearchResult)
    tone = await results.of_task(seen.tone_id, ToneResult)
    return AnalyzedCall(
        seen,
        matches=next((result.matches for result in search if result.matches), ()),
        tones=[(result.current, result.overall) for result in tone if result.current and result.overall],
    )


class _Player:
    """Plays the packaged recordings with PutMedia."""

    def __init__(self, url: str, environment: dict[str, str], display: Display, speed: float) -> None:
        self._display = display
        self._speed = speed
        self._client = KinesisVideoClient(
            endpoint_url=url,
            region=environment["AWS_REGION"],
            access_key_id=environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        self.seconds = 0.0

    async def play(self, name: str, stream: str) -> None:
        """Stream a recording at the chosen speed."""
        with as_file(files("carillon.demo") / "recordings" / f"{name.replace('-', '_')}.flac") as path:
            recording = await to_thread.run_sync(read_recording, path)
            body = as_live(
                recording,
                self._speed,
                on_sent=lambda seconds: self._display.advance(name, seconds / recording.seconds),
            )
            async with self._client as client:
                await put_media(client, stream, body, lambda _: None)
        self.seconds += recording.seconds


def _report(calls: list[AnalyzedCall], player: _Player, wall_seconds: float, settings: config.Settings) -> Report:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # the server process, which has ended by now
    return Report(
        calls=calls,
        audio_seconds=player.seconds,
        wall_seconds=wall_seconds,
        cpu_seconds=used.ru_utime + used.ru_stime,
        expectations=expectations(calls, settings.tasks.match_confidence),
    )
