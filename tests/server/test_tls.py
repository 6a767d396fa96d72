"""https, with a certificate of the server's own making or of the operator's."""

import shutil
import socket
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import SSLError
from cryptography import x509

from carillon import config
from carillon.data_folder import prepare
from carillon.environment import exports
from carillon.server.tls import BUNDLE, FOLDER, TlsUnusable, certificate_of


def settings(data_dir: Path, **server: Any) -> config.Settings:
    return config.load(data_dir, {"server": server}, environment={})


@pytest.fixture(scope="module")
def served(start_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = start_server(tmp_path_factory.mktemp("tls") / "data", CARILLON_SERVER_TLS="self-signed")
    assert server.url.startswith("https://127.0.0.1:")
    return server


def client(server: Any, service: str, **options: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=options.pop("url", server.url),
        region_name="us-east-1",
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
        **options,
    )


def test_boto3_trusts_the_server_by_the_bundle_that_env_prints(served: Any) -> None:
    bundle = served.environment["AWS_CA_BUNDLE"]
    for url in (served.url, served.url.replace("127.0.0.1", "localhost")):
        assert "StreamInfoList" in client(served, "kinesisvideo", verify=bundle, url=url).list_streams()
    with pytest.raises(SSLError):
        client(served, "kinesisvideo").list_streams()
    assert Path(bundle).read_text().count("BEGIN CERTIFICATE") > 50, "the world's authorities stay trusted"


@pytest.mark.parametrize("how", ["with the data folder", "with the variables"])
def test_a_recording_is_pushed_and_analyzed_over_tls(
    served: Any, carillon: Any, recordings: Path, how: str, tmp_path: Path
) -> None:
    name = how.replace(" ", "-")
    video = client(served, "kinesisvideo", verify=served.environment["AWS_CA_BUNDLE"])
    arn = video.create_stream(StreamName=name, DataRetentionInHours=1)["StreamARN"]
    arguments = ["push", str(recordings / "call_1.flac"), "--stream", name, "--speed", "0"]
    if how == "with the data folder":
        done = carillon(*arguments, "--data-dir", str(served.data_dir), "--endpoint", served.url)
    else:
        done = carillon(*arguments, **{**served.environment, "AWS_ENDPOINT_URL": served.url, "COLUMNS": "200"})
    assert "persisted" in done.stderr
    media = client(served, "kinesis-video-media", verify=served.environment["AWS_CA_BUNDLE"])
    opened = media.get_media(StreamARN=arn, StartSelector={"StartSelectorType": "EARLIEST"})
    assert len(opened["Payload"].read(10_000)) == 10_000


def test_only_modern_tls_is_spoken(served: Any) -> None:
    port = int(served.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=served.environment["AWS_CA_BUNDLE"])
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        assert wrapped.version() in {"TLSv1.2", "TLSv1.3"}


def test_openssl_itself_accepts_the_certificate(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = certificate_of(settings(tmp_path, tls="self-signed"))
    assert made is not None
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(tmp_path / FOLDER / BUNDLE), str(made.certificate)]
    subprocess.run(command, check=True, capture_output=True)


def test_a_made_certificate_is_kept_until_it_will_not_do(tmp_path: Path) -> None:
    first = certificate_of(settings(tmp_path, tls="self-signed"))
    assert first is not None
    held = first.certificate.read_bytes()
    assert stat.S_IMODE(first.key.stat().st_mode) == 0o600
    certificate_of(settings(tmp_path, tls="self-signed"))
    assert first.certificate.read_bytes() == held
    certificate_of(settings(tmp_path, tls="self-signed", public_url="https://voice.example.com:8650"))
    anew = first.certificate.read_bytes()
    assert anew != held
    parsed = x509.load_pem_x509_certificate(anew)
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "voice.example.com" in names.get_values_for_type(x509.DNSName)
    assert timedelta(days=800) < parsed.not_valid_after_utc - datetime.now(UTC) < timedelta(days=826)


def test_a_certificate_of_the_operators_is_served(start_server: Any, tmp_path: Path) -> None:
    made = certificate_of(settings(tmp_path / "elsewhere", tls="self-signed"))
    assert made is not None
    bundle = tmp_path / "elsewhere" / FOLDER / BUNDLE
    server = start_server(
        tmp_path / "data",
        CARILLON_SERVER_TLS_CERT=str(made.certificate),
        CARILLON_SERVER_TLS_KEY=str(made.key),
        CARILLON_SERVER_TLS_CA=str(bundle),
    )
    assert client(server, "kinesisvideo", verify=str(bundle)).list_streams()["StreamInfoList"] == []
    told = settings(tmp_path / "data", tls_cert="x", tls_key="y", tls_ca=str(bundle))
    found = exports(told)
    assert found["AWS_CA_BUNDLE"] == str(bundle)
    assert found["AWS_ENDPOINT_URL_KINESIS_VIDEO"] == server.url
    server.stop()
    found = exports(told)
    assert found["AWS_CA_BUNDLE"] == str(bundle)
    assert found["AWS_ENDPOINT_URL_KINESIS_VIDEO"] == "https://127.0.0.1:8650"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tls_cert": "c.pem"}, "both"),
        ({"tls_key": "k.pem"}, "both"),
        ({"tls": "self-signed", "tls_cert": "c", "tls_key": "k"}, "not both"),
        ({"tls_cert": "nowhere.pem", "tls_key": "k.pem"}, "cannot be used"),
    ],
)
def test_what_cannot_be_served_with_is_refused_in_words(tmp_path: Path, given: Any, message: str) -> None:
    with pytest.raises(TlsUnusable, match=message):
        certificate_of(settings(tmp_path, **given))


def test_the_ready_lines_say_how_clients_trust_the_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "carillon", "serve", "--port", "0", "--data-dir", str(tmp_path)]
    process = subprocess.Popen([*command, "--tls", "self-signed"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    process.terminate()
    process.wait(120)
    process.stdout.close()
    assert "ready at https://" in lines[0]
    assert f"AWS_CA_BUNDLE={tmp_path / FOLDER / BUNDLE}" in lines[1]


def test_without_tls_nothing_changes(tmp_path: Path) -> None:
    assert certificate_of(settings(tmp_path)) is None
    prepare(tmp_path)
    assert "AWS_CA_BUNDLE" not in exports(settings(tmp_path))
    endpoints = {name: url for name, url in exports(settings(tmp_path)).items() if "ENDPOINT_URL" in name}
    assert endpoints
    assert set(endpoints.values()) == {"http://127.0.0.1:8650"}
