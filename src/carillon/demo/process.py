"""The server under demonstration: `carillon serve` as a process of its own, on a data folder of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anyio import CancelScope, fail_after, get_cancelled_exc_class, move_on_after, open_process
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from carillon.errors import CarillonError

_READY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0
_SHOWN_CHARACTERS: Final = 2_000


class ServerSilent(CarillonError):
    """The server did not say that it is ready."""

    def __init__(self, log: str) -> None:
        super().__init__(f"carillon serve did not become ready. It said:\n{log[-_SHOWN_CHARACTERS:]}")


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server process that answers requests."""

    url: str
    process_id: int


@asynccontextmanager
async def running_server(
    data_dir: Path, environment: Mapping[str, str], python: str = sys.executable
) -> AsyncIterator[ServerProcess]:
    """Start `carillon serve --port 0`, wait for its ready line, and stop it with SIGTERM when the block is left.

    Its log goes to `server.log` in the data folder.

    Raises:
        ServerSilent: it did not become ready in time; shows the end of its log.
    """
    log = data_dir / "server.log"
    command = [python, "-m", "carillon", "serve", "--port", "0", "--data-dir", str(data_dir)]
    with log.open("wb") as errors:
        process = await open_process(
            command, stdin=subprocess.DEVNULL, stderr=errors, env={**os.environ, **environment}
        )
        try:
            url = await _ready_url(process)
            if url is None:
                raise ServerSilent(log.read_text())
            yield ServerProcess(url, process.pid)
        except get_cancelled_exc_class():
            process.kill()  # somebody pressed Ctrl-C: what is in its folder goes with the folder
            raise
        finally:
            with CancelScope(shield=True):
                await _stop(process)


async def _ready_url(process: Process) -> str | None:
    assert process.stdout is not None
    said = ""
    try:
        with fail_after(_READY_SECONDS):
            async for text in TextReceiveStream(process.stdout):
                said += text
                if "\n" in said:
                    return next(word for word in said.split() if word.startswith("http"))
    except TimeoutError:
        pass
    return None


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with move_on_after(_STOP_SECONDS):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
