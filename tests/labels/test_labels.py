"""What people mark of their own calls is kept at once, and is a manifest that evaluation reads."""

import json
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from aiohttp import ClientSession, web

from carillon.evaluation import CallAnalysis
from carillon.evaluation.calls.follow import Party
from carillon.evaluation.manifest import BadManifest, read_manifest
from carillon.evaluation.tone.clips import people_of
from carillon.labels.marks import Marks
from carillon.labels.serving import application

pytestmark = pytest.mark.anyio

RATE_HZ = 8_000
PARTIES = {"one.wav": ("caller", "shop")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A call of 60 s: the left channel is 0.25, the right one 0.5."""
    soundfile.write(tmp_path / "one.wav", np.full((60 * RATE_HZ, 2), (0.25, 0.5), np.float32), RATE_HZ)
    return tmp_path


def test_rows_in_one_tone_become_lines_of_at_most_half_a_minute(folder: Path) -> None:
    marks = Marks(folder, PARTIES)
    for begin in range(0, 40, 5):
        marks.mark("one.wav", 1, begin, "neutral")
    marks.mark("one.wav", 1, 40, "negative")
    marks.mark("one.wav", 0, 50, "positive")
    lines = read_manifest(folder / "labels", ("valence", "corpus"))
    assert [(it.part.channel, it.part.begin_seconds, it.part.end_seconds, it.labels["valence"]) for it in lines] == [
        (0, 50, 55, "positive"),
        (1, 0, 30, "neutral"),
        (1, 30, 40, "neutral"),
        (1, 40, 45, "negative"),
    ]
    assert [(len(samples) / rate_hz, samples.mean()) for samples, rate_hz in (it.read() for it in lines)] == [
        (5, 0.25),
        (30, 0.5),
        (10, 0.5),
        (5, 0.5),
    ]
    assert sum(len(person.clips) for person in people_of(lines)) == 4


def test_marks_are_read_back_and_can_be_taken_away(folder: Path) -> None:
    first = Marks(folder, PARTIES)
    for begin in (0, 5, 20):
        first.mark("one.wav", 0, begin, "negative")
    again = Marks(folder, PARTIES)
    assert again.of("one.wav") == dict.fromkeys([(0, 0), (0, 5), (0, 20)], "negative")
    again.mark("one.wav", 0, 5, None)
    assert Marks(folder, PARTIES).of("one.wav") == {(0, 0): "negative", (0, 20): "negative"}


def test_what_is_marked_is_for_this_user_alone(folder: Path) -> None:
    Marks(folder, PARTIES).mark("one.wav", 0, 0, "neutral")
    assert stat.S_IMODE((folder / "labels/manifest.csv").stat().st_mode) == 0o600


def test_marks_that_somebody_broke_are_told(folder: Path) -> None:
    (folder / "labels").mkdir()
    (folder / "labels/manifest.csv").write_text("path,channel,start,end,valence\n../one.wav,left,soon,5,neutral\n")
    with pytest.raises(BadManifest, match="Mend it"):
        Marks(folder, PARTIES)


@pytest.fixture
async def url(folder: Path) -> AsyncIterator[str]:
    silent = np.zeros(60 * RATE_HZ // 256, np.bool_)
    parties = [Party(name, silent, (), (), ()) for name in PARTIES["one.wav"]]
    app = application(folder, [CallAnalysis("one.wav", 60.0, "m", "", parties, ())], Marks(folder, PARTIES), "token")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_page_plays_its_call_and_keeps_what_is_marked(url: str, folder: Path) -> None:
    async with ClientSession() as browser:
        async with browser.get(f"{url}/token/0/") as page:
            text = await page.text()
        assert 'data-channel="1" data-begin="55"' in text
        async with browser.get(f"{url}/token/0/audio", headers={"Range": "bytes=0-3"}) as audio:
            assert (audio.status, await audio.read()) == (206, b"RIFF")
        async with browser.get(f"{url}/token/0/page.js") as script:
            assert "keydown" in await script.text()
        marked = {"channel": 1, "begin": 55, "tone": "negative"}
        async with browser.post(f"{url}/token/0/marks", json=marked) as answer:
            assert answer.status == 204
        async with browser.get(f"{url}/token/0/") as page:
            assert json.dumps({"1:55": "negative"}) in await page.text()
    assert Marks(folder, PARTIES).of("one.wav") == {(1, 55): "negative"}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        '{"channel": 2, "begin": 0, "tone": "neutral"}',
        '{"channel": 0, "begin": 3, "tone": "neutral"}',
        '{"channel": 0, "begin": -5, "tone": "neutral"}',
        '{"channel": 0, "begin": 0, "tone": "furious"}',
    ],
)
async def test_a_mark_of_what_is_not_there_is_refused(url: str, folder: Path, body: str) -> None:
    async with ClientSession() as browser, browser.post(f"{url}/token/0/marks", data=body) as answer:
        assert answer.status == 400
    assert not (folder / "labels").exists()


@pytest.mark.parametrize("path", ["/", "/0/", "/tokem/0/", "/token/1/", "/token/../one.wav", "/token/0/../../one.wav"])
async def test_nothing_is_shown_without_the_token_or_beside_the_calls(url: str, path: str) -> None:
    async with ClientSession() as browser, browser.get(f"{url}{path}") as answer:
        assert answer.status == 404


def test_a_port_that_is_taken_is_said_in_one_line(carillon: Any, tmp_path: Path) -> None:
    hiss = 0.01 * np.random.default_rng(1).standard_normal((RATE_HZ, 2))
    soundfile.write(tmp_path / "one.wav", hiss, RATE_HZ)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = carillon("label", "calls", str(tmp_path), "--no-browser", "--port", str(port), check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"carillon: Cannot listen on 127.0.0.1, port {port}: ")
    assert line.endswith("choose another with --port.")


async def test_a_name_of_the_web_that_leads_here_is_answered_nothing(url: str) -> None:
    headers = {"Host": "evil.example"}
    async with ClientSession() as browser, browser.get(f"{url}/token/0/", headers=headers) as answer:
        assert answer.status == 403
