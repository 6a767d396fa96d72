"""More to hear than the machine can: everything is told later, and that it is later is told too."""

import threading
from datetime import timedelta
from typing import Any

import prometheus_client
import pytest

from carillon.clock import ManualClock
from carillon.media import Fragment
from carillon.tasks import TaskSettings, TaskState
from carillon.tasks.lag import Lag

pytestmark = pytest.mark.anyio

SECOND = 8_000
TOLD = ["IdentificationNoMatchesFound", "VoiceprintGenerationSuccess"]


def _fragment(clock: ManualClock, seconds_ago: float) -> Fragment:
    at = clock.now() - timedelta(seconds=seconds_ago)
    return Fragment("1", at, at, (), (), {})


def _shown() -> float | None:
    return prometheus_client.REGISTRY.get_sample_value("carillon_lag_seconds")


def _said(logged: list[Any]) -> list[tuple[str, float, int]]:
    told = ("tasks.behind", "tasks.caught_up")
    return [(entry["event"], entry["seconds"], entry["tasks"]) for entry in logged if entry["event"] in told]


async def test_nobody_is_behind_while_all_wait_for_audio(clock: ManualClock, logged: list[Any]) -> None:
    lag = Lag(clock, 15)
    with lag.shown():
        assert _shown() == 0
        with lag.counted("a"), lag.analyzing("a", _fragment(clock, 0.2)):
            assert _shown() == pytest.approx(0.2)
        assert _shown() == 0
    assert _said(logged) == []


async def test_the_metric_is_that_of_the_latest_task_and_grows_while_it_is_stuck(clock: ManualClock) -> None:
    lag = Lag(clock, 15)
    with (
        lag.shown(),
        lag.analyzing("a", _fragment(clock, 2)),
        lag.analyzing("b", _fragment(clock, 7)),
    ):
        assert _shown() == 7
        clock.advance(timedelta(seconds=3))
        assert _shown() == 10


async def test_being_behind_is_said_once_and_then_that_it_is_over(clock: ManualClock, logged: list[Any]) -> None:
    lag = Lag(clock, 15)
    with lag.counted("a"), lag.counted("b"):
        for a, b in ((1, 14), (2, 15), (3, 40), (30, 8), (20, 7.4), (7.5, 1), (7.4, 1), (14, 14), (16, 0)):
            for task_id, seconds in (("a", a), ("b", b)):
                with lag.analyzing(task_id, _fragment(clock, seconds)):
                    pass
    assert _said(logged) == [
        ("tasks.behind", 15, 2),
        ("tasks.caught_up", 7.4, 2),
        ("tasks.behind", 16, 2),
        ("tasks.caught_up", 0, 0),  # the last has ended
    ]


async def test_a_clock_that_is_set_back_makes_nobody_early(clock: ManualClock) -> None:
    lag = Lag(clock, 15)
    with lag.analyzing("a", _fragment(clock, 2)):
        clock.set(timedelta(hours=-1))
        assert lag.seconds == 0


async def test_tasks_that_cannot_keep_up_fall_behind_say_so_and_lose_nothing(
    quick_room: Any, tape: Any, noise: Any, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    may_hear, is_heard = threading.Event(), threading.Event()
    models = type(quick_room.models)
    push = models.push

    def slow(self: Any, frames: Any, state: Any) -> Any:
        is_heard.set()
        assert may_hear.wait(60)
        return push(self, frames, state)

    async def is_stuck() -> bool:
        return is_heard.is_set()

    async def has_reported() -> bool:
        return len(await room.told(tone)) == 4 and _shown() == 0

    monkeypatch.setattr(models, "push", slow)
    room = quick_room.again(settings=TaskSettings(silence_seconds=60))
    pipeline = await room.pipeline()
    search, tone = await room.search(pipeline), await room.tone(pipeline)
    async with room.running():
        tape.play(noise[: 32 * SECOND])
        await room.until(is_stuck)
        clock.advance(timedelta(seconds=33))
        shown = _shown()
        may_hear.set()
        await room.until_state(search, TaskState.STOPPED)
        await room.until(has_reported)
    assert shown == 32  # of the first fragment, which was over at 1 s
    assert await room.told(search) == TOLD
    assert await room.told(tone) == ["VoiceToneAnalysisSuccessful"] * 4
    assert [event for event, _, _ in _said(logged)] == ["tasks.behind", "tasks.caught_up"]
