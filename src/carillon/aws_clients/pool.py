"""AWS clients that are made when they are needed, shared while they are, and not kept for ever."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from anyio import Lock, move_on_after

Client: TypeAlias = Any  # botocore makes its clients at run time, so there is no type to name

_CLOSE_SECONDS: Final = 2.0


class Peer(NamedTuple):
    """Whom a client talks to."""

    service: str
    """In botocore's spelling."""
    region: str
    """To sign for."""
    endpoint_url: str | None = None
    """None means what the AWS environment says."""


@dataclass(slots=True)
class _Shared:
    """A client and how many use it now."""

    client: Client
    closing: AsyncExitStack
    users: int = 0


class ClientPool:
    """One client for each peer, made once even if several ask at the same time.

    Args:
        make: opens a client.
        most: how many are kept; more only while more are in use.
    """

    def __init__(self, make: Callable[[Peer], AbstractAsyncContextManager[Client]], most: int) -> None:
        self._make = make
        self._most = most
        self._shared: dict[Peer, _Shared] = {}  # the longest unused first
        self._changing = Lock()

    def __len__(self) -> int:
        return len(self._shared)

    @asynccontextmanager
    async def use(self, peer: Peer) -> AsyncIterator[Client]:
        """Yield the client for a peer; it stays open at least until the block is left."""
        async with self._changing:
            shared = self._shared.pop(peer, None)
            if shared is None:
                await self._make_room()
                shared = await self._open(peer)
            self._shared[peer] = shared
            shared.users += 1
        try:
            yield shared.client
        finally:
            shared.users -= 1

    async def aclose(self) -> None:
        """Close every client, also while being canceled. The pool may be used again."""
        while self._shared:
            await self._close(next(iter(self._shared)))

    async def _open(self, peer: Peer) -> _Shared:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(self._make(peer))
            return _Shared(client, stack.pop_all())

    async def _make_room(self) -> None:
        idle = [peer for peer, shared in self._shared.items() if shared.users == 0]
        for peer in idle[: max(0, len(self._shared) + 1 - self._most)]:
            await self._close(peer)

    async def _close(self, peer: Peer) -> None:
        with move_on_after(_CLOSE_SECONDS, shield=True):
            await self._shared.pop(peer).closing.aclose()
