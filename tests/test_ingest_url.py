"""`carillon ingest-url`."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from carillon import config
from carillon.access import KeyRing
from carillon.api.ingest import KEY_PURPOSE, IngestTokens
from carillon.api.ingest.errors import MalformedMessage
from carillon.api.ingest.urls import read_path
from carillon.clock import ManualClock, SystemClock
from carillon.data_folder import ROOT_KEY_FILE, prepare
from carillon.ingest_url import KeyUnusable, SpanUnreadable, ingest_url
from carillon.server.running import held
from carillon.storage import Vault


def _made(folder: Path, expires: str | None = None, key: str | None = None, **server: Any) -> str:
    settings = config.load(folder, {"server": server}, environment={})
    prepare(folder)
    return anyio.run(ingest_url, settings, "door", "twilio", expires, key, None)


def _issuer(folder: Path, url: str, after: timedelta = timedelta()) -> str:
    vault = Vault((folder / ROOT_KEY_FILE).read_bytes())
    target = read_path(url.partition("/ingest/")[1].encode() + url.partition("/ingest/")[2].encode())
    assert target is not None
    clock = ManualClock(SystemClock().now() + after)
    return IngestTokens(vault.derive(KEY_PURPOSE), 1).issuer(target, KeyRing(prepare(folder).keys), clock)


@pytest.mark.parametrize(
    ("server", "begins"),
    [
        ({}, "ws://127.0.0.1:8650/ingest/twilio/door/"),
        ({"public_url": "https://voice.example.com/"}, "wss://voice.example.com/ingest/twilio/door/"),
        ({"tls": "self-signed", "port": 443}, "wss://127.0.0.1:443/ingest/twilio/door/"),
    ],
)
def test_it_leads_where_the_settings_say_and_is_good_for_the_default_key(
    tmp_path: Path, server: dict[str, Any], begins: str
) -> None:
    url = _made(tmp_path, **server)
    assert url.startswith(begins)
    assert _issuer(tmp_path, url, timedelta(days=10_000)) == prepare(tmp_path).default.access_key_id


@pytest.mark.parametrize(("expires", "minutes"), [("90m", 90), ("24h", 1440), ("7d", 10_080)])
def test_it_expires_when_it_is_told_to(tmp_path: Path, expires: str, minutes: int) -> None:
    url = _made(tmp_path, expires)
    _issuer(tmp_path, url, timedelta(minutes=minutes - 1))
    with pytest.raises(Exception, match="expired"):
        _issuer(tmp_path, url, timedelta(minutes=minutes + 1))


@pytest.mark.parametrize("expires", ["", "1", "d", "0d", "-1h", "1.5h", "1w", "9999999d"])
def test_a_span_of_time_that_is_none_is_named(tmp_path: Path, expires: str) -> None:
    with pytest.raises(SpanUnreadable):
        _made(tmp_path, expires)


def test_a_key_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match="CRLNX"):
        _made(tmp_path, key="CRLNX")


@pytest.mark.parametrize(("stream", "format_"), [("a/b", "twilio"), ("", "pcm"), ("é", "pcm"), ("door", "wav")])
def test_what_is_no_stream_or_no_format_is_refused(tmp_path: Path, stream: str, format_: str) -> None:
    prepare(tmp_path)
    with pytest.raises(MalformedMessage):
        anyio.run(ingest_url, config.load(tmp_path, environment={}), stream, format_, None, None, None)


def test_the_url_is_the_public_one_of_the_server_that_runs(tmp_path: Path) -> None:
    with held(tmp_path) as tell:
        tell("http://127.0.0.1:1", "https://voice.example.com", None)
        assert _made(tmp_path).startswith("wss://voice.example.com/ingest/")
