"""Which application of a port a request goes to."""

from typing import Any

import pytest

from carillon.api.mounts import Mount, MountedApplications, is_websocket, under
from carillon.api.protocol import asks_for_liveness
from carillon.api.protocol.asgi import AsgiApplication


async def reached(scope: dict[str, Any]) -> str:
    """Return the name of the application that is handed a request."""
    names: list[str] = []

    def named(name: str) -> AsgiApplication:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            names.append(name)

        return application

    mounts = [
        Mount(under(b"/console"), named("console")),
        Mount(asks_for_liveness, named("liveness")),
        Mount(is_websocket, named("ingest")),
    ]

    async def nothing(*given: Any) -> Any: ...

    await MountedApplications(named("aws"), mounts)(scope, nothing, nothing)
    [name] = names
    return name


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", b"/console", "console"),
        ("POST", b"/console/calls", "console"),
        ("GET", b"/consoles", "aws"),
        ("GET", b"/", "liveness"),
        ("HEAD", b"/health", "liveness"),
        ("POST", b"/health", "aws"),
        ("GET", b"/health/more", "aws"),
        ("POST", b"/putMedia", "aws"),
    ],
)
async def test_a_request_goes_to_the_first_application_that_owns_it_or_else_to_aws(
    method: str, path: bytes, name: str
) -> None:
    assert await reached({"type": "http", "method": method, "raw_path": path}) == name


@pytest.mark.anyio
async def test_a_websocket_is_owned_like_a_request() -> None:
    assert await reached({"type": "websocket", "raw_path": b"/ingest/pcm/call"}) == "ingest"
    assert await reached({"type": "websocket", "raw_path": b"/console/live"}) == "console"


@pytest.mark.anyio
async def test_only_the_default_hears_of_start_and_stop() -> None:
    assert await reached({"type": "lifespan"}) == "aws"
