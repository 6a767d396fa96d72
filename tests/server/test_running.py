"""One server on one data folder: it holds the folder for as long as it lives, and tells other commands where it is."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from carillon import config
from carillon.data_folder import prepare
from carillon.server.running import ADDRESS_FILE, LOCK_FILE, FolderInUse, held, reached, running
from carillon.storage.files import FolderUnusable


def test_a_second_server_on_the_folder_is_refused_with_pid_and_address_of_the_first(
    start_server: Any, carillon: Any, tmp_path: Path
) -> None:
    first = start_server(tmp_path / "data")
    second = carillon("serve", "--port", "0", "--data-dir", str(tmp_path / "data"), check=False)
    assert second.returncode == 1
    assert second.stdout == ""
    assert len(second.stderr.splitlines()) == 1
    assert f"pid {first.process.pid}" in second.stderr
    assert first.url in second.stderr
    first.client("kinesisvideo").list_streams()


def test_the_address_is_there_while_the_server_is_and_for_this_user_alone(start_server: Any, tmp_path: Path) -> None:
    server = start_server(tmp_path)
    found = running(tmp_path)
    assert found is not None
    assert (found.pid, found.url, found.ca_bundle) == (server.process.pid, server.url, None)
    assert stat.S_IMODE((tmp_path / ADDRESS_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / LOCK_FILE).stat().st_mode) == 0o600
    assert server.stop() == 0
    assert not (tmp_path / ADDRESS_FILE).exists()
    assert running(tmp_path) is None


def test_what_a_killed_server_left_misleads_nobody(start_server: Any, tmp_path: Path) -> None:
    killed = start_server(tmp_path)
    killed.kill()
    assert (tmp_path / ADDRESS_FILE).exists()
    assert running(tmp_path) is None
    settings = config.load(tmp_path, environment={})
    assert reached(settings) == (settings.server.url, None)
    assert start_server(tmp_path).stop() == 0


def test_commands_find_a_server_that_was_started_with_options(
    start_server: Any, carillon: Any, recordings: Path, tmp_path: Path
) -> None:
    """TLS by a variable and a port that no settings file knows: what stands on a command line likewise."""
    server = start_server(tmp_path, CARILLON_SERVER_TLS="self-signed")
    folder = ("--data-dir", str(tmp_path))
    said = carillon("env", *folder).stdout
    assert f"AWS_ENDPOINT_URL_KINESIS_VIDEO={server.url}\n" in said
    assert f"AWS_CA_BUNDLE={tmp_path / 'tls/ca-bundle.pem'}\n" in said
    url = carillon("ingest-url", "--stream", "door", "--format", "pcm", *folder).stdout
    assert url.startswith(server.url.replace("https:", "wss:"))
    assert f"pid {server.process.pid}" in carillon("doctor", *folder).stdout
    environment = {"AWS_CA_BUNDLE": str(tmp_path / "tls/ca-bundle.pem"), "AWS_ENDPOINT_URL": server.url}
    create = ["kinesisvideo", "create-stream", "--stream-name", "door"]
    aws = Path(sys.executable).with_name("aws")
    subprocess.run([aws, *create], check=True, capture_output=True, env={**server.environment, **environment})
    call = str(recordings / "call_1.flac")
    pushed = carillon("push", call, "--stream", "door", "--speed", "0", *folder, AWS_ENDPOINT_URL="")
    assert "fragments received" in pushed.stderr


def test_a_folder_is_free_again_when_its_server_has_gone(tmp_path: Path) -> None:
    with held(tmp_path) as tell:
        tell("http://127.0.0.1:1", "http://127.0.0.1:1", None)
        with pytest.raises(FolderInUse, match=f"pid {os.getpid()}, at http://127.0.0.1:1"), held(tmp_path):
            pass
        assert running(tmp_path) is not None
    with held(tmp_path):
        assert running(tmp_path) is None
        with pytest.raises(FolderInUse, match="it is starting"), held(tmp_path):
            pass


def test_an_address_that_somebody_gives_counts_more(tmp_path: Path) -> None:
    settings = config.load(tmp_path, environment={})
    with held(tmp_path) as tell:
        tell("https://127.0.0.1:1", "https://voice.example.com", tmp_path / "ca.pem")
        assert reached(settings) == ("https://127.0.0.1:1", tmp_path / "ca.pem")
        assert reached(settings, "http://other:2") == ("http://other:2", None)


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/etc/passwd", "/etc/passwd/below", "/proc"])
def test_a_folder_that_cannot_be_is_told_in_one_line(carillon: Any, folder: str) -> None:
    done = carillon("serve", "--port", "0", "--data-dir", folder, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"carillon: The data folder {folder} cannot be used: ")
    assert len(done.stderr.splitlines()) == 1
    with pytest.raises(FolderUnusable), held(Path(folder)):
        pass


COMMANDS = {
    "env": ["env"],
    "events": ["events"],
    "audit": ["audit"],
    "keys list": ["keys", "list"],
    "keys disable": ["keys", "disable", "CRLN"],
    "ingest-url": ["ingest-url", "--stream", "door", "--format", "pcm"],
    "identify": ["identify", __file__, "--domain", "d"],
    "profiles duplicates": ["profiles", "duplicates", "--domain", "d"],
    "push": ["push", str(Path(config.__file__).with_name("demo") / "recordings/call_1.flac"), "--stream", "door"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_folder_in_which_nothing_has_run_is_refused_and_left_as_it_is(
    carillon: Any, command: list[str], tmp_path: Path
) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        done = carillon(*command, "--data-dir", str(folder), check=False, AWS_ENDPOINT_URL="")
        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert f"{folder} is no data folder" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_commands_that_read_and_write_work_beside_a_server(start_server: Any, carillon: Any, tmp_path: Path) -> None:
    server = start_server(tmp_path)
    folder = ("--data-dir", str(tmp_path))
    made = carillon("keys", "create", "--name", "beside", *folder)
    assert "AWS_SECRET_ACCESS_KEY" in made.stdout
    assert "beside" in carillon("keys", "list", *folder).stdout
    assert "CreateAccessKey" in carillon("audit", *folder).stdout
    for command in (["events"], ["doctor"], ["env"]):
        assert carillon(*command, *folder, check=False).returncode == 0
    server.client("kinesisvideo").list_streams()


def test_doctor_says_who_answers_at_an_address_that_is_not_ours(carillon: Any, tmp_path: Path) -> None:
    prepare(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = carillon("doctor", "--data-dir", str(tmp_path), CARILLON_SERVER_PORT=port).stdout
    assert "something else answers" in " ".join(said.split())
