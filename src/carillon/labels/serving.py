"""Pages of calls, on loopback, for one person: listen to 5 s, press a key, go on.

The address holds a random token, and only requests that name loopback are answered, so that neither another user of the
machine nor a page of the web can read a call or mark it. Calls are analyzed when the command begins.
Whoever marks a call is not shown what carillon found until they ask: a label that repeats a guess teaches nothing.
"""

import asyncio
import secrets
import sys
import webbrowser
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from carillon.evaluation import CallAnalysis, follow_calls
from carillon.evaluation.calls.page import call_values
from carillon.evaluation.pages import render, require_pages
from carillon.inference import ModelSettings
from carillon.labels.marks import LABELS, Marks
from carillon.server.listener import AddressUnusable

_HOST: Final = "127.0.0.1"
_MOST_BYTES: Final = 1_000
_KEYS: Final = (
    "1 negative, 2 neutral, 3 positive, 0 none; space plays 5 s; arrows go to another row or party; "
    "h shows and hides what carillon heard"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; media-src 'self'; "
    "img-src data:; connect-src 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def label_calls(directory: Path, settings: ModelSettings, *, port: int, opens_browser: bool, threads: int) -> None:
    """Analyze the calls of a folder, and show them to be marked until Ctrl-C.

    Args:
        directory: holds calls; see `carillon.evaluation.calls.files`. What is marked is kept in it.
        settings: which models analyze them.
        port: on loopback; 0 for any that is free.
        opens_browser: show the first page at once.
        threads: calls that are analyzed at the same time.

    Raises:
        NotInstalled: what makes pages is not there.
        BadCall: there are none, or one cannot be used.
        BadManifest: what was marked earlier cannot be read.
        AddressUnusable: the port is taken.
    """
    require_pages("label calls")
    calls = follow_calls(directory, settings, threads=threads)
    marks = Marks(directory, {call.name: tuple(party.name for party in call.parties) for call in calls})
    asyncio.run(_serve(directory, calls, marks, port, opens_browser=opens_browser))


async def _serve(
    directory: Path, calls: Sequence[CallAnalysis], marks: Marks, port: int, *, opens_browser: bool
) -> None:
    token = secrets.token_urlsafe(16)
    runner = web.AppRunner(application(directory, calls, marks, token), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, _HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise AddressUnusable(_HOST, port, "--port", error) from error
        url = f"http://{_HOST}:{runner.addresses[0][1]}/{token}/"
        sys.stdout.write(f"{len(calls)} calls at {url}\nWhat you mark is kept in {marks.file}. Ctrl-C ends this.\n")
        sys.stdout.flush()
        if opens_browser:
            await asyncio.to_thread(webbrowser.open, url)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def application(directory: Path, calls: Sequence[CallAnalysis], marks: Marks, token: str) -> web.Application:
    """Return what answers a browser, below `/TOKEN/`."""
    by_number = dict(enumerate(calls))

    def of(request: web.Request) -> CallAnalysis:
        if (call := by_number.get(int(request.match_info["number"]))) is None:
            raise web.HTTPNotFound
        return call

    async def index(_: web.Request) -> web.Response:
        marked = [(call, len(marks.of(call.name))) for call in calls]
        return _page("calls.html", {"title": "Calls to mark", "keys": _KEYS, "calls": marked})

    async def show(request: web.Request) -> web.Response:
        call = of(request)
        marked = {f"{channel}:{begin}": tone for (channel, begin), tone in marks.of(call.name).items()}
        return _page("marking.html", {**call_values(call), "keys": _KEYS, "tones": LABELS, "marked": marked})

    async def audio(request: web.Request) -> web.FileResponse:
        return web.FileResponse(directory / of(request).name, headers=_HEADERS)

    async def script(_: web.Request) -> web.Response:
        text = files("carillon.labels").joinpath("page.js").read_text(encoding="utf-8")
        return web.Response(text=text, content_type="text/javascript", headers=_HEADERS)

    async def mark(request: web.Request) -> web.Response:
        call = of(request)
        try:
            asked = await request.json()
            marks.mark(call.name, int(asked["channel"]), int(asked["begin"]), asked["tone"])
        except (ValueError, KeyError, TypeError) as error:
            raise web.HTTPBadRequest(text="This is no row of the call, or no tone.") from error
        return web.Response(status=204)

    app = web.Application(middlewares=[_only_loopback], client_max_size=_MOST_BYTES)
    app.add_routes(
        [
            web.get(f"/{token}/", index),
            web.get(f"/{token}/{{number:\\d{{1,6}}}}/", show),
            web.get(f"/{token}/{{number:\\d{{1,6}}}}/audio", audio),
            web.get(f"/{token}/{{number:\\d{{1,6}}}}/page.js", script),
            web.post(f"/{token}/{{number:\\d{{1,6}}}}/marks", mark),
        ]
    )
    return app


@web.middleware
async def _only_loopback(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a page of the web could make a browser ask, under a name that leads here."""
    if request.url.host not in (_HOST, "localhost"):
        raise web.HTTPForbidden
    return await handler(request)


def _page(template: str, values: dict[str, Any]) -> web.Response:
    text = render(template, values, __package__)
    return web.Response(text=text, content_type="text/html", headers=_HEADERS)
