"""The server as an operator meets it: starts, says so, answers, stops."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import boto3
import pytest
from anyio import sleep_forever
from botocore.config import Config
from botocore.exceptions import ClientError

from carillon.config import ServerSettings
from carillon.matroska import AUDIO, Block, Muxer, Track
from carillon.media import KinesisVideoClient, PutMediaRefused, StreamUnavailable, put_media


def test_it_stops_cleanly_on_sigterm(start_server: Any, tmp_path: Path) -> None:
    server = start_server(tmp_path / "data")
    assert server.stop() == 0
    log = (tmp_path / "data" / "server.log").read_text()
    assert "Traceback" not in log


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_signals_that_come_again_cut_no_stop_short(start_server: Any, tmp_path: Path, again: signal.Signals) -> None:
    server = start_server(tmp_path)
    server.client("kinesisvideo").create_stream(StreamName="call")
    server.process.terminate()
    while server.process.poll() is None:
        server.process.send_signal(again)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(0.01)
    assert server.process.returncode == 0
    assert (tmp_path / "server.log").read_text().splitlines()[-1].split()[-1] == "server.stopped"


def test_it_stops_cleanly_while_a_producer_is_connected(start_server: Any, tmp_path: Path) -> None:
    server = start_server(tmp_path / "data", CARILLON_SERVER_STOP_SECONDS="1")
    server.client("kinesisvideo").create_stream(StreamName="call")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /putMedia HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert server.stop() == 0


def test_keys_and_data_folder_are_for_this_user_alone(server: Any) -> None:
    for name in ("root.key", "credentials.json"):
        assert stat.S_IMODE((server.data_dir / name).stat().st_mode) == 0o600


def test_a_wrong_signature_is_refused(server: Any) -> None:
    server.environment = {**server.environment}
    client = server.client("chime-sdk-voice")
    client._request_signer._credentials.secret_key = "not-the-secret"
    with pytest.raises(ClientError) as caught:
        client.list_voice_profile_domains()
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_what_is_in_the_database_folder_survives_a_restart(start_server: Any, tmp_path: Path) -> None:
    server = start_server(tmp_path / "data")
    made = server.client("chime-sdk-voice").create_voice_profile_domain(
        Name="kept", ServerSideEncryptionConfiguration={"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}
    )
    server.kill()
    again = start_server(tmp_path / "data")
    found = again.client("chime-sdk-voice").list_voice_profile_domains()
    domain_id = made["VoiceProfileDomain"]["VoiceProfileDomainId"]
    assert [domain["VoiceProfileDomainId"] for domain in found["VoiceProfileDomains"]] == [domain_id]


def test_liveness_needs_no_signature(server: Any) -> None:
    with urllib.request.urlopen(f"{server.url}/health") as response:
        assert response.status == 200


def test_env_prints_exports_that_a_shell_understands(server: Any, carillon: Any) -> None:
    done = carillon("env", "--data-dir", str(server.data_dir), "--endpoint", server.url)
    script = f'{done.stdout}\necho "$AWS_ENDPOINT_URL_CHIME_SDK_VOICE $AWS_ACCESS_KEY_ID"'
    said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert said == [server.url, server.environment["AWS_ACCESS_KEY_ID"]]


def test_a_setting_that_does_not_exist_is_named(carillon: Any, tmp_path: Path) -> None:
    (tmp_path / "carillon.toml").write_text("[tasks]\nmatch_confidense = 0.8\n")
    done = carillon("serve", "--data-dir", str(tmp_path), check=False)
    assert done.returncode == 1
    assert "match_confidense" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_of_the_wrong_kind_is_named(carillon: Any, tmp_path: Path) -> None:
    done = carillon("env", "--data-dir", str(tmp_path), CARILLON_TASKS_MATCH_CONFIDENCE="high", check=False)
    assert done.returncode == 1
    assert "match_confidence" in done.stderr


def test_pushing_to_a_stream_that_does_not_exist_says_so(server: Any, carillon: Any, recordings: Path) -> None:
    done = carillon(
        "push", str(recordings / "call_1.flac"), "--stream", "nowhere", "--data-dir", str(server.data_dir),
        "--endpoint", server.url, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "nowhere does not exist" in " ".join(done.stderr.split())


def test_events_of_an_empty_outbox_are_none(start_server: Any, carillon: Any, tmp_path: Path) -> None:
    start_server(tmp_path / "data").kill()
    assert carillon("events", "--data-dir", str(tmp_path / "data"), "--json").stdout == ""


def test_metrics_are_served_on_a_port_of_their_own_and_only_if_asked_for(start_server: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = start_server(tmp_path / "data", CARILLON_SERVER_METRICS_PORT=str(port))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        said = response.read().decode()
    documented = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    ours = set(re.findall(r"^# TYPE (carillon_\w+)", said, re.MULTILINE))
    assert len(ours) >= 5
    assert {name for name in ours if not name.endswith("_created") and f"`{name}`" not in documented} == set()
    assert server.stop() == 0


@pytest.mark.parametrize("setting", ["server.port", "server.metrics_port"])
def test_a_port_that_is_taken_is_told_in_one_line(carillon: Any, tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {"CARILLON_SERVER_PORT": "0", f"CARILLON_{setting.upper().replace('.', '_')}": port}
        done = carillon("serve", "--data-dir", str(tmp_path), check=False, **ports)
    assert done.returncode == 1
    assert port in done.stderr
    assert setting in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def everywhere(start_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that listens on every address of both families."""
    return start_server(tmp_path_factory.mktemp("everywhere"), CARILLON_SERVER_HOST="::")


def test_every_address_means_both_families_and_the_ready_line_one_that_can_be_reached(everywhere: Any) -> None:
    assert everywhere.url.startswith("http://127.0.0.1:")
    port = int(everywhere.url.rpartition(":")[2])
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port)) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_media_is_sent_to_the_address_by_which_a_client_came(everywhere: Any, host: str) -> None:
    url = everywhere.url.replace("127.0.0.1", host)
    video = replace(everywhere, url=url).client("kinesisvideo")
    name = f"by-{host.strip('[]').replace(':', '-')}"
    video.create_stream(StreamName=name)
    assert video.get_data_endpoint(StreamName=name, APIName="PUT_MEDIA")["DataEndpoint"] == url


@pytest.mark.parametrize(
    ("agent", "names_port"), [("Boto3/1.40", False), ("AWS-SDK-KVS/1.7.9 Clang/10.0.1 Darwin/18.5.0 x86_64", True)]
)
def test_a_host_without_a_port_is_taken_at_its_word_but_from_the_sdk_that_never_names_one(
    server: Any, agent: str, names_port: bool
) -> None:
    def come_as_another(request: Any, **_: Any) -> None:
        request.headers["Host"] = "voice.example.com"

    video = boto3.client(
        "kinesisvideo",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(user_agent=agent),
    )
    name = f"portless-{names_port}"
    video.create_stream(StreamName=name)
    video.meta.events.register("before-sign.kinesis-video.GetDataEndpoint", come_as_another)
    found = video.get_data_endpoint(StreamName=name, APIName="PUT_MEDIA")["DataEndpoint"]
    port = server.url.rpartition(":")[2]
    assert found == (f"http://voice.example.com:{port}" if names_port else "http://voice.example.com")


@pytest.mark.anyio
async def test_a_public_name_is_told_to_others_and_never_used_by_the_server_itself(
    start_server: Any, begin_call: Any, recordings: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    public = "https://voice.example.invalid"
    named = {"CARILLON_SERVER_PUBLIC_URL": public, "CARILLON_TASKS_SILENCE_SECONDS": "2"}
    server = start_server(tmp_path, port, **named)
    assert server.url == public
    call = begin_call(replace(server, url=f"http://127.0.0.1:{port}"))
    video = call.server.client("kinesisvideo")
    assert video.get_data_endpoint(StreamName="call", APIName="PUT_MEDIA")["DataEndpoint"] == public
    await call.push(recordings / "call_1.flac", 0)
    assert [event["detailStatus"] for event in await call.finish()][-1] == "VoiceToneAnalysisCompleted"


def test_idle_connections_are_kept_for_longer_than_sdks_keep_theirs(server: Any) -> None:
    """Node's SDK closes its own after 20 s at the latest; uvicorn alone would close after 5 s, and reset a request."""
    assert ServerSettings().keep_alive_seconds > 60
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
        for _ in range(2):
            connection.settimeout(120)
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
            while b"ok" not in connection.recv(4096):
                pass
            connection.settimeout(6)
            with pytest.raises(TimeoutError):  # what would be read is the end
                connection.recv(1)


def test_every_line_of_a_json_log_is_json_whoever_wrote_it(start_server: Any, tmp_path: Path) -> None:
    server = start_server(tmp_path, CARILLON_SERVER_LOG_STYLE="json")
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
        connection.sendall(b"no HTTP at all\r\n\r\n")
        assert b"400" in connection.recv(100)
    assert server.stop() == 0
    events = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines()]
    assert [event for event in events if event["event"] == "library.said"] == [], "strangers could fill a disk with it"
    assert events[-1]["event"] == "server.stopped"


def test_a_server_whose_log_is_full_serves_and_stops(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "carillon", "serve", "--port", "0", "--data-dir", str(tmp_path)]
    environment = {**os.environ, "CARILLON_SERVER_LOG_LEVEL": "debug"}
    with (
        Path("/dev/full").open("w") as full,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=full, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        said = process.stdout.readline()
        try:
            with urllib.request.urlopen(f"{said.split()[4]}/health") as response:
                assert response.status == 200
        finally:
            process.terminate()
        assert process.wait(120) == 0


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]], ids=["Ctrl-C", "twice SIGTERM"]
)
def test_who_is_in_a_hurry_is_not_kept_by_a_producer_in_the_middle_of_a_fragment(
    start_server: Any, tmp_path: Path, signals: list[signal.Signals]
) -> None:
    server = start_server(tmp_path, CARILLON_SERVER_STOP_SECONDS="1000")
    server.client("kinesisvideo").create_stream(StreamName="call")
    muxer = Muxer(Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16))
    whole = muxer.cluster(0, [Block(1, 0, bytes(1600)), Block(1, 100, bytes(1600))])

    async def never_ends() -> AsyncIterator[bytes]:
        yield muxer.header() + whole[:-1000]
        await sleep_forever()

    async def produce() -> None:
        keys = {name: server.environment[f"AWS_{name.upper()}"] for name in ("access_key_id", "secret_access_key")}
        async with KinesisVideoClient(endpoint_url=server.url, region="us-east-1", **keys) as client:
            with suppress(PutMediaRefused, StreamUnavailable):
                await put_media(client, "call", never_ends(), lambda _: heard.set())

    heard = threading.Event()
    with ThreadPoolExecutor() as pool:
        producing = pool.submit(anyio.run, produce)
        assert heard.wait(120)
        for number in signals:
            server.process.send_signal(number)
            _wait_for_line(tmp_path / "server.log", "server.draining")
        assert server.process.wait(120) == 0
        producing.result(60)
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def _wait_for_line(log: Path, event: str) -> None:
    deadline = time.monotonic() + 120
    while event not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
