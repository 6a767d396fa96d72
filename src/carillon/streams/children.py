"""Children that live as long as the body of an `async with`."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio


@asynccontextmanager
async def beside(*children: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[None, None]:
    """Run children beside the body and stop them when it is over.

    What the body raises comes out as it is; a task group alone would wrap it into a group of one.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        for child in children:
            group.start_soon(child)
        try:
            yield
        except Exception as error:
            failure = error
        group.cancel_scope.cancel()
    if failure:
        raise failure
