"""The process of `carillon worker`: runs tasks beside the server that has the streams, answers requests and delivers.

Which process runs which pipeline is settled by leases (`tasks/leases.py`). One that is stopped hands its pipelines over
at their last checkpoints; one that dies is found dead.
"""

import signal
from collections.abc import Callable
from typing import Final

from anyio import CancelScope, create_task_group, open_signal_receiver, sleep

from carillon.app import assembled_worker
from carillon.config import Settings
from carillon.errors import CarillonError
from carillon.server.running import reached, running
from carillon.telemetry import get_logger

log = get_logger()

_LOOK_SECONDS: Final = 1.0


class NoServer(CarillonError):
    """There is nobody to run tasks for."""

    def __init__(self, folder: object) -> None:
        super().__init__(f"No server runs on {folder}. Start it first: carillon serve --data-dir {folder}")


async def work(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Run tasks until SIGTERM or SIGINT.

    Args:
        settings: those of the server.
        on_ready: told where the server is reached.

    Raises:
        NoServer: none runs on the data folder.
    """
    if running(settings.data_dir) is None:
        raise NoServer(settings.data_dir)
    with open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        is_ready = False
        while True:
            url, ca_bundle = reached(settings)
            async with assembled_worker(settings, url, ca_bundle) as working, working, create_task_group() as group:
                if not is_ready:
                    on_ready(url)
                    is_ready = True
                group.start_soon(_until_it_moves, settings, url, group.cancel_scope)
                await anext(aiter(signals))
                group.cancel_scope.cancel()
                log.info("worker.stopped")
                return
            log.info("worker.server_moved", url=url)


async def _until_it_moves(settings: Settings, url: str, scope: CancelScope) -> None:
    """Cancel a scope once a server runs on the data folder that is reached elsewhere."""
    while (server := running(settings.data_dir)) is None or server.url == url:  # noqa: ASYNC110 - a file can only be polled
        await sleep(_LOOK_SECONDS)
    scope.cancel()
