"""Several processes run tasks of one data folder: one that dies or sleeps changes no answer, and none comes twice."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
from anyio import fail_after, sleep

from forked import ForkedCommand

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

SETTINGS = {"CARILLON_TASKS_SILENCE_SECONDS": "6", "CARILLON_TASKS_LEASE_SECONDS": "2"}
FROZEN_SECONDS = 10

StartWorker = Callable[[str], "Worker"]


class Worker:
    """A `carillon worker`, and what it logs."""

    def __init__(self, data_dir: Path, name: str, environment: dict[str, str]) -> None:
        self._log = data_dir / f"{name}.log"
        with self._log.open("w") as log:
            self.process = ForkedCommand(["worker", "--data-dir", str(data_dir)], environment, None, log)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        self.process.stdout.close()
        assert "runs tasks of http" in said, f"{said!r}\n{self._log.read_text()[-3000:]}"

    def says(self, event: str) -> bool:
        return event in self._log.read_text()


@pytest.fixture
def start_worker(tmp_path: Path, worker_environment: dict[str, str]) -> Iterator[StartWorker]:
    started: list[Worker] = []

    def start(name: str) -> Worker:
        started.append(Worker(tmp_path, name, worker_environment | SETTINGS))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.process.kill()


async def _until(holds: Callable[[], bool]) -> None:
    with fail_after(120):
        while not holds():
            await sleep(0.05)


@pytest.fixture(params=["sqlite", "postgresql"])
def data_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data folder whose database is a file in it, or elsewhere."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
        (tmp_path / "carillon.toml").write_text(f'[storage]\nurl = "{url}"\n')
    return tmp_path


async def test_a_killed_and_a_frozen_worker_change_no_answer_and_say_nothing_twice(
    start_server: Any, start_worker: StartWorker, begin_call: Any, told: Any, data_dir: Path, recordings: Path
) -> None:
    samples, rate_hz = soundfile.read(recordings / "call_1.flac", dtype="int16")
    parts = [data_dir / "a.flac", data_dir / "b.flac"]
    for part, (begin, end) in zip(parts, [(0, 25), (25, 50)], strict=True):
        soundfile.write(part, samples[begin * rate_hz : end * rate_hz], rate_hz)
    (data_dir / "alone").mkdir()
    alone = begin_call(start_server(data_dir / "alone", **SETTINGS))
    for part, begin in zip(parts, [0, 25], strict=True):
        await alone.push(part, begin)
    unbroken = told(await alone.finish())
    assert len(unbroken) >= 9

    call = begin_call(start_server(data_dir, **SETTINGS, CARILLON_TASKS_RUN_HERE="false"))
    first = start_worker("first")
    await _until(lambda: first.says("pipeline.resumed"))
    second = start_worker("second")

    async def kill() -> None:
        first.process.kill()

    await call.push(parts[0], 0, at=12, then=kill)
    await _until(lambda: second.says("pipeline.resumed"))
    third = start_worker("third")

    async def freeze() -> None:
        second.process.send_signal(signal.SIGSTOP)

    await call.push(parts[1], 25, at=8, then=freeze)
    await _until(lambda: third.says("pipeline.resumed"))
    await sleep(FROZEN_SECONDS)  # what is tried is that time passes
    second.process.send_signal(signal.SIGCONT)
    await _until(lambda: second.says("pipeline.taken_over"))
    events = await call.finish()
    assert told(events) == unbroken
    assert third.process.poll() is None
    assert not second.says("task.failed")


async def test_a_worker_finds_a_server_that_comes_back_elsewhere(
    start_server: Any, start_worker: StartWorker, tmp_path: Path
) -> None:
    server = start_server(tmp_path, **SETTINGS)
    worker = start_worker("worker")
    server.kill()
    assert start_server(tmp_path, **SETTINGS).url != server.url
    await _until(lambda: worker.says("worker.server_moved"))
    worker.process.terminate()
    assert worker.process.wait(60) == 0


async def test_a_worker_without_a_server_says_what_to_do(carillon: Any, tmp_path: Path) -> None:
    done = carillon("worker", "--data-dir", str(tmp_path), check=False)
    assert done.returncode == 1
    assert f"carillon serve --data-dir {tmp_path}" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
