"""A server is killed, stopped or frozen in the middle of a call: the answers are those of an undisturbed call."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import soundfile
from anyio import sleep, to_thread

from postgres import postgres_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

SILENCE = {"CARILLON_TASKS_SILENCE_SECONDS": "6"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Any:
    """Cuts the first call in two at a second."""
    samples, rate_hz = soundfile.read(recordings / "call_1.flac", dtype="int16")

    def cut(seconds: int) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp("parts")
        soundfile.write(folder / "a.flac", samples[: seconds * rate_hz], rate_hz)
        soundfile.write(folder / "b.flac", samples[seconds * rate_hz : 50 * rate_hz], rate_hz)
        return folder / "a.flac", folder / "b.flac"

    return cut


@pytest.fixture(scope="module")
async def unbroken(
    start_server: Any, begin_call: Any, told: Any, parts: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """What a call that nobody disturbs is told."""
    call = begin_call(start_server(tmp_path_factory.mktemp("unbroken"), **SILENCE))
    first, second = parts(25)
    await call.push(first, 0)
    await call.push(second, 25)
    answers = told(await call.finish())
    assert [item[0] for item in answers[:2]] == ["IdentificationNoMatchesFound", "VoiceprintGenerationSuccess"]
    assert len(answers) >= 9
    return answers


@pytest.mark.parametrize("seconds", [7, 25, 40])
async def test_a_kill_in_mid_call_changes_no_answer(
    start_server: Any, begin_call: Any, told: Any, parts: Any, tmp_path: Path, unbroken: Any, seconds: int
) -> None:
    call = begin_call(start_server(tmp_path, **SILENCE))
    first, second = parts(seconds)
    await call.push(first, 0)
    call.server.kill()
    before = len(await call.events())
    call.server = start_server(tmp_path, **SILENCE)
    await call.push(second, seconds)
    answers = told(await call.finish())
    assert before < len(answers)
    assert answers == unbroken


async def test_a_process_that_is_frozen_in_mid_call_loses_no_call_and_changes_no_answer(
    start_server: Any, begin_call: Any, told: Any, parts: Any, tmp_path: Path, unbroken: Any
) -> None:
    """Frozen for longer than any silence that ends a call, a connection or a head; what was sent waits outside."""
    patience = {"CARILLON_TASKS_SILENCE_SECONDS": "4", "CARILLON_PUTMEDIA_SILENCE_SECONDS": "4"}
    call = begin_call(start_server(tmp_path, **patience, CARILLON_SERVER_HEAD_SECONDS="4"))

    async def freeze() -> None:
        call.server.process.send_signal(signal.SIGSTOP)
        await sleep(7)  # what is tried is that time passes
        call.server.process.send_signal(signal.SIGCONT)

    first, second = parts(30)
    await call.push(first, 0, at=20, then=freeze)
    await call.push(second, 30)
    assert told(await call.finish()) == unbroken
    log = (tmp_path / "server.log").read_text()
    assert log.count("streams.producer_left") == 2, "the first connection outlived the freeze"
    assert log.index("pipeline.silent") > log.rindex("streams.producer_left")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stop", "crash"])
async def test_a_database_server_that_goes_away_in_mid_call_changes_no_answer(
    start_server: Any, begin_call: Any, told: Any, parts: Any, tmp_path: Path, unbroken: Any, how: signal.Signals
) -> None:
    with postgres_server() as postgres:
        (tmp_path / "carillon.toml").write_text(f'[storage]\nurl = "{postgres.new_database()}"\n')
        call = begin_call(start_server(tmp_path, **SILENCE))

        async def restart() -> None:
            postgres.stop(how)
            await sleep(3)  # what is tried is that time passes
            await to_thread.run_sync(postgres.start)

        first, second = parts(30)
        await call.push(first, 0, at=12, then=restart)
        await call.push(second, 30)
        answers = await call.finish()
        assert call.server.stop() == 0
    assert told(answers) == unbroken
    assert len({event["taskId"] for event in answers}) == 2
    assert "Traceback" not in (tmp_path / "server.log").read_text()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_producer_goes_on_by_itself_where_a_server_comes_back(
    start_server: Any, begin_call: Any, told: Any, parts: Any, tmp_path: Path, unbroken: Any, how: str
) -> None:
    call = begin_call(start_server(tmp_path, **SILENCE, CARILLON_SERVER_LOG_STYLE="json"))
    port = int(call.server.url.rpartition(":")[2])
    ended: list[Any] = []

    async def replace() -> None:
        ended.append(await to_thread.run_sync(getattr(call.server, how)))
        call.server = await to_thread.run_sync(lambda: start_server(tmp_path, port, **SILENCE))

    first, second = parts(30)
    await call.push(first, 0, at=12, then=replace)
    await call.push(second, 30)
    assert told(await call.finish()) == unbroken
    assert ended == ([0] if how == "stop" else [None])
    before, _, _ = (tmp_path / "server.log").read_text().rpartition("[info     ] pipeline.resumed")
    said = [line for line in before.splitlines() if line and not line.startswith("20")]
    if how == "stop":  # all of it is JSON, and the last of it says so
        assert json.loads(said[-1])["event"] == "server.stopped"
        assert [line for line in said if json.loads(line)["level"] not in {"info", "warning"}] == []
