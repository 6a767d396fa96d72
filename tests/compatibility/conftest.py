"""What the compatibility tests share: the referee's modules, a signed client of the shared server, recorded results."""

from collections.abc import Iterator
from typing import Any

import pytest

from referee.results import Results
from referee.wire import Wire


@pytest.fixture(scope="session")
def results() -> Iterator[Results]:
    """Where tests note what works; written down for docs/compatibility.py at the end, whatever happened."""
    noted = Results()
    yield noted
    noted.write()


@pytest.fixture(scope="session")
def patient_server(start_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of the sessions, for which a call has not ended while a client is slow to start."""
    return start_server(tmp_path_factory.mktemp("patient"), CARILLON_TASKS_SILENCE_SECONDS="240")


@pytest.fixture
def wire(server: Any) -> Iterator[Wire]:
    """A keep-alive connection to the server that signs with botocore's signer."""
    with Wire.to(server.url, server.environment) as connected:
        yield connected
