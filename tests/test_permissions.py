"""What a whole server leaves in its folder."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carillon.storage.permissions import exposed


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_server_writes_for_its_user_alone_into_a_folder_that_all_may_read(
    no_umask: None, start_server: Callable[..., Any], carillon: Callable[..., Any], recordings: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    server = start_server(folder, CARILLON_SERVER_TLS="self-signed")
    bundle = str(folder / "tls" / "ca-bundle.pem")
    server.client("kinesisvideo", verify=bundle).create_stream(StreamName="call", DataRetentionInHours=1)
    to_it = {**server.environment, "AWS_ENDPOINT_URL": server.url, "AWS_CA_BUNDLE": bundle}
    carillon("push", str(recordings / "call_1.flac"), "--stream", "call", "--speed", "0", **to_it)
    assert [path.name for path in exposed([folder])] == ["data", "server.log"]  # which the test made
    assert list(folder.glob("streams/*/*"))
    assert list(folder.glob("carillon.db-*"))
    assert server.stop() == 0
    assert [path.name for path in exposed([folder])] == ["data", "server.log"]
