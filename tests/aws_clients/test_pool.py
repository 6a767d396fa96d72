from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from anyio import create_task_group, sleep
from anyio.lowlevel import checkpoint

from carillon.aws_clients import ClientPool, Peer

pytestmark = pytest.mark.anyio

A, B, C = (Peer("kinesis-video-media", "us-east-1", f"http://{name}") for name in "abc")


class Factory:
    """Makes clients that are their own names, and knows which are open."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.open: set[str] = set()

    @asynccontextmanager
    async def __call__(self, peer: Peer) -> AsyncIterator[str]:
        await checkpoint()
        name = str(peer.endpoint_url)[-1]
        self.made.append(name)
        self.open.add(name)
        try:
            yield name
        finally:
            await checkpoint()
            self.open.remove(name)


@pytest.fixture
def factory() -> Factory:
    return Factory()


async def touch(pool: ClientPool, peer: Peer) -> None:
    async with pool.use(peer):
        await checkpoint()


async def test_a_client_is_made_once_even_if_many_want_it_at_once(factory: Factory) -> None:
    pool = ClientPool(factory, most=2)
    async with create_task_group() as group:
        for _ in range(5):
            group.start_soon(touch, pool, A)
    await touch(pool, A)
    assert factory.made == ["a"]
    await pool.aclose()
    assert factory.open == set()


async def test_the_longest_unused_makes_room(factory: Factory) -> None:
    pool = ClientPool(factory, most=2)
    for peer in (A, B, A, C):
        await touch(pool, peer)
    assert factory.open == {"a", "c"}
    await touch(pool, B)
    assert factory.open == {"b", "c"}
    await pool.aclose()


async def test_a_client_in_use_stays_open_and_is_closed_when_room_is_needed_later(factory: Factory) -> None:
    pool = ClientPool(factory, most=1)
    async with AsyncExitStack() as stack:
        for peer in (A, B, C):
            await stack.enter_async_context(pool.use(peer))
        assert factory.open == {"a", "b", "c"}
    await touch(pool, Peer("kinesisvideo", "us-east-1", "http://d"))
    assert factory.open == {"d"}
    await pool.aclose()


async def test_a_client_that_cannot_be_made_leaves_nothing_behind(factory: Factory) -> None:
    @asynccontextmanager
    async def fail(peer: Peer) -> AsyncIterator[str]:
        await checkpoint()
        raise ValueError("no such endpoint")
        yield ""

    pool = ClientPool(fail, most=1)
    for _ in range(2):
        with pytest.raises(ValueError, match="no such"):
            await touch(pool, A)
    assert len(pool) == 0


async def test_a_cancelled_owner_closes_its_clients_all_the_same(factory: Factory) -> None:
    pool = ClientPool(factory, most=2)

    async def own() -> None:
        try:
            await touch(pool, A)
            await sleep(60)
        finally:
            await pool.aclose()

    async with create_task_group() as group:
        group.start_soon(own)
        while not factory.open:
            await checkpoint()
        group.cancel_scope.cancel()
    assert factory.open == set()
