"""curl, whose library is what the producer SDK for C sends with: the same headers, by the very code that it runs on."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from producer_c import matroska
from producer_c.producer import USER_AGENT
from producer_c.signing import signed_headers

END = matroska.tags(matroska.END_OF_FRAGMENT, "")


def test_curl_sends_a_call_and_hears_of_it_while_it_does(
    peers: Any, a_law: Any, call: Callable[..., list[matroska.Frame]], name: str
) -> None:
    curl = shutil.which("curl")
    if curl is None:
        if os.environ.get("CI") == "true":
            pytest.fail("curl is not on this machine")
        pytest.skip("curl is not on this machine")
    producer = peers.producer(a_law())
    producer.create()
    url = f"{producer.endpoint}/putMedia"
    given = [
        ("user-agent", USER_AGENT),
        ("x-amzn-stream-name", name),
        ("x-amzn-producer-start-timestamp", "1767225600.5"),
        ("x-amzn-fragment-acknowledgment-required", "1"),
        ("x-amzn-fragment-timecode-type", "RELATIVE"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
    ]
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    headers = signed_headers(url, given, None, peers.key, "us-east-1", stamp)
    options = [option for header, value in headers for option in ("--header", f"{header}: {value}")]
    command = [curl, "--silent", "--show-error", "--no-buffer", "--include", "--cacert", str(peers.authorities)]
    packaged = [producer.fragment(call(index)) for index in range(2)]
    with subprocess.Popen(
        [*command, "--request", "POST", "--upload-file", ".", *options, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(producer.header + packaged[0] + packaged[1][:500])
        process.stdin.flush()
        head = [process.stdout.readline() for _ in range(3)]
        assert head == [b"HTTP/1.1 100 Continue\r\n", b"\r\n", b"HTTP/1.1 200 OK\r\n"]
        while process.stdout.readline() != b"\r\n":
            pass
        events: list[dict[str, Any]] = []
        while not events or events[-1]["EventType"] != "PERSISTED":  # while it is still sending
            events.append(json.loads(process.stdout.readline()))
        process.stdin.write(packaged[1][500:] + END)
        process.stdin.close()
        events += [json.loads(line) for line in process.stdout]
        assert process.wait(120) == 0, process.stderr.read()
    assert [event["FragmentTimecode"] for event in events if event["EventType"] == "PERSISTED"] == [0, 2000]
    read = peers.read(name)
    assert [document.cluster for document in read] == packaged
    assert [document.producer_timestamp for document in read] == ["1767225600.500", "1767225602.500"]
