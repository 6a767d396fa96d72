"""The process of `carillon worker`: runs tasks beside the server that has the streams, answers requests and delivers.

Which process runs which pipeline is settled by leases (`tasks/leases.py`). One that is stopped hands its pipelines over
at their last checkpoints; one that dies is found dead.
"""

import signal
from collections.abc import Callable

from anyio import open_signal_receiver

from carillon.app import assembled_worker
from carillon.config import Settings
from carillon.errors import CarillonError
from carillon.running import reached, running
from carillon.telemetry import get_logger

log = get_logger()


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
    url, ca_bundle = reached(settings)
    async with assembled_worker(settings, url, ca_bundle) as working:
        with open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with working:
                on_ready(url)
                await anext(aiter(signals))
    log.info("worker.stopped")
