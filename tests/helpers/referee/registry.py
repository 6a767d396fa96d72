"""Which operations carillon answers: asked of the assembled application, not of a list."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from carillon import config
from carillon.app import assembled


@cache
def covered() -> dict[str, tuple[str, ...]]:
    """Return the names of the answered operations, by service, in the order of the services."""

    async def ask(folder: Path) -> dict[str, tuple[str, ...]]:
        async with assembled(config.load(folder, environment={}), "http://127.0.0.1") as application:
            return {service: tuple(names) for service, names in application.api.covered.items() if names}

    with TemporaryDirectory() as folder:
        return anyio.run(ask, Path(folder))


def operations() -> list[tuple[str, str]]:
    """Return all of them as (service, operation)."""
    return [(service, name) for service, names in covered().items() for name in names]
