"""The application's own end of the wire: a Lambda endpoint that takes Invoke and keeps what it is sent.

The server under demonstration delivers its notifications to a LambdaFunctionSink with the real protocol; this stands
where AWS Lambda would.
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from anyio import Condition, create_task_group, move_on_after

from carillon.server.listener import Listener

Notification = dict[str, Any]


@dataclass
class Inbox:
    """Notifications in the order they came, each once, and a way to wait for one."""

    on_new: Callable[[Notification], Awaitable[None]]
    url: str = ""
    received: list[Notification] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)
    _changed: Condition = field(default_factory=Condition)

    async def add(self, notification: Notification) -> None:
        """Keep a notification; delivery is at least once, so a repeated id is dropped."""
        async with self._changed:
            if notification["id"] not in self._ids:
                self._ids.add(notification["id"])
                self.received.append(notification)
                await self.on_new(notification)
            self._changed.notify_all()

    def of(self, task_id: str) -> list[Notification]:
        """Return what came for a task."""
        return [item for item in self.received if item["detail"].get("taskId") == task_id]

    async def wait_for(self, task_id: str, *statuses: str, seconds: float, count: int = 1) -> dict[str, Any]:
        """Wait until a task has published one of these statuses so often; return the last detail, or {} if late."""
        with move_on_after(seconds):
            async with self._changed:
                while True:
                    told = [item for item in self.of(task_id) if item["detail"]["detailStatus"] in statuses]
                    if len(told) >= count:
                        detail: dict[str, Any] = told[count - 1]["detail"]
                        return detail
                    await self._changed.wait()
        return {}


@asynccontextmanager
async def receiving(on_new: Callable[[Notification], Awaitable[None]]) -> AsyncIterator[Inbox]:
    """Listen on a free port of loopback until the block is left."""
    inbox = Inbox(on_new)

    async def invoke(
        scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"].endswith("/invocations"):
            await inbox.add(msgspec.json.decode(body))
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        inbox.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = Listener(invoke)
        async with create_task_group() as group:
            group.start_soon(server.serve, [listener])
            await server.is_listening.wait()
            yield inbox
            server.should_exit = True
