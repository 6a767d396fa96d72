"""Words for children that share one event loop."""

import pytest
from anyio import Event, create_task_group, get_cancelled_exc_class, sleep_forever, wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from carillon.concurrency import Notifier, backoff_seconds, beside, unwrapped

pytestmark = pytest.mark.anyio


async def test_a_notifier_wakes_all_that_wait_and_nobody_who_comes_later() -> None:
    notifier, woken = Notifier(), []

    async def wait(name: str) -> None:
        await notifier.next_event.wait()
        woken.append(name)

    notifier.notify()  # nobody waits
    async with create_task_group() as group:
        for name in "ab":
            group.start_soon(wait, name)
        await wait_all_tasks_blocked()
        notifier.notify()
        await checkpoint()
        assert not notifier.next_event.is_set()
    assert sorted(woken) == ["a", "b"]


async def test_what_is_taken_before_looking_misses_nothing() -> None:
    notifier = Notifier()
    changed = notifier.next_event
    notifier.notify()
    assert changed.is_set()


async def test_children_beside_a_body_stop_with_it_and_what_it_raises_comes_out_as_it_is() -> None:
    stopped = Event()

    async def child() -> None:
        try:
            await sleep_forever()
        except get_cancelled_exc_class():
            stopped.set()
            raise

    async def body() -> None:
        async with beside(child):
            await wait_all_tasks_blocked()
            raise KeyError

    with pytest.raises(KeyError):
        await body()
    assert stopped.is_set()


async def test_what_a_child_raises_ends_the_body_and_can_be_unwrapped() -> None:
    async def fail() -> None:
        raise KeyError

    async def body() -> None:
        async with beside(fail):
            await sleep_forever()

    with pytest.raises(ExceptionGroup) as found:
        await body()
    assert isinstance(unwrapped(found.value), KeyError)
    two = ExceptionGroup("", [KeyError(), KeyError()])
    assert unwrapped(two) is two


async def test_waits_double_up_to_the_last() -> None:
    waits = [backoff_seconds(0.5, 3.0, failures) for failures in (1, 2, 3, 4, 1_000_000)]
    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0]
