import threading
from datetime import timedelta

import pytest
from anyio import create_task_group, sleep_forever, wait_all_tasks_blocked

from carillon.clock import ManualClock, SystemClock

pytestmark = pytest.mark.anyio


async def test_who_waits_three_years_waits_until_the_clock_is_advanced_so_far(clock: ManualClock) -> None:
    awake: list[str] = []

    async def wait(name: str, days: float) -> None:
        await clock.sleep(timedelta(days=days).total_seconds())
        awake.append(name)

    async with create_task_group() as group:
        group.start_soon(wait, "expiry", 3 * 365)
        group.start_soon(wait, "silence", 15 / 86_400)
        await wait_all_tasks_blocked()
        clock.advance(timedelta(seconds=14))
        await wait_all_tasks_blocked()
        assert awake == []
        clock.advance(timedelta(seconds=1))
        await wait_all_tasks_blocked()
        assert awake == ["silence"]
        clock.advance(timedelta(days=3 * 365))
    assert awake == ["silence", "expiry"]


async def test_a_block_is_left_when_its_time_is_over_and_not_if_it_was_done_before(clock: ManualClock) -> None:
    async with create_task_group() as group:
        group.start_soon(_advance_when_all_wait, clock)
        with clock.move_on_after(60) as late:
            await sleep_forever()
    assert late.cancelled_caught
    with clock.move_on_after(60) as early:
        pass
    clock.advance(timedelta(hours=1))
    assert not early.cancel_called


@pytest.mark.parametrize("clock", [ManualClock(), SystemClock()])
async def test_who_need_not_wait_goes_on_at_once(clock: ManualClock | SystemClock) -> None:
    await clock.sleep(0)
    with clock.move_on_after(0) as scope:
        await sleep_forever()
    assert scope.cancelled_caught


async def test_another_thread_may_advance_the_clock(clock: ManualClock) -> None:
    thread = threading.Thread(target=clock.advance, args=(timedelta(minutes=1),))
    with clock.move_on_after(60) as scope:
        thread.start()
        await sleep_forever()
    thread.join()
    assert scope.cancelled_caught


async def test_a_wall_clock_that_is_set_wakes_nobody(clock: ManualClock) -> None:
    with clock.move_on_after(60) as scope:
        clock.set(timedelta(hours=1))
        await wait_all_tasks_blocked()
    assert not scope.cancel_called


async def _advance_when_all_wait(clock: ManualClock) -> None:
    await wait_all_tasks_blocked()
    clock.advance(timedelta(minutes=1))
