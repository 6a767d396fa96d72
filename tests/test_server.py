"""The server as an operator meets it: starts, says so, answers, stops."""

import re
import socket
import stat
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError


def test_it_stops_cleanly_on_sigterm(start_server: Any, tmp_path: Path) -> None:
    server = start_server(tmp_path / "data")
    assert server.stop() == 0
    log = (tmp_path / "data" / "server.log").read_text()
    assert "Traceback" not in log


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
    documented = (Path(__file__).parents[1] / "docs/operating.md").read_text()
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
