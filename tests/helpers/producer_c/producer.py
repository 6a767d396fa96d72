"""The order of the calls: what happens before the first byte of media, and after a connection is lost."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from producer_c import matroska
from producer_c.matroska import Frame, Track
from producer_c.signing import Credentials, Headers, signed_headers
from producer_c.wire import WAIT_SECONDS, Connection, Upload, head

USER_AGENT = "AWS-SDK-KVS/3.3.1 GCC/9.4.0 Linux/5.15.0-1023-aws x86_64"
KVSSINK_USER_AGENT = "AWS-SDK-KVS-CPP-CLIENT/3.4.1 GCC/9.4.0 Linux/5.15.0-1023-aws x86_64"


@dataclass(frozen=True)
class StreamInfo:
    """What an application tells the SDK of a stream."""

    name: str
    content_type: str
    tracks: Sequence[Track]
    retention_hours: int = 2
    tags: Sequence[tuple[str, str]] = ()
    is_absolute: bool = True
    metadata: Sequence[tuple[str, str]] = ()
    """Persistent fragment metadata: repeated with every fragment."""


@dataclass
class Producer:
    """One stream of the SDK: its state machine, as far as a server can tell.

    Args:
        url: of the control plane: `CONTROL_PLANE_URI`.
        authorities: `AWS_KVS_CACERT_PATH`.
        key: what to sign with.
        info: of the stream.
    """

    url: str
    authorities: Path
    key: Credentials
    info: StreamInfo
    region: str = "us-east-1"
    user_agent: str = USER_AGENT
    device_name: str = "NWCQGAEHVTEFUJYPOZWB"
    """The SDK makes one up where an application gives none."""
    segment_uid: bytes = bytes.fromhex("6F1A4D9B0C3E5278A1B2C3D4E5F60718")
    calls: list[tuple[str, int]] = field(default_factory=list)
    arn: str = ""
    endpoint: str = ""
    unpersisted: dict[int, bytes] = field(default_factory=dict)
    """The view: packaged fragments by timecode, from the first that was not acknowledged PERSISTED."""

    def create(self) -> None:
        """Get ready: describe, create where there is none, tag, and ask where media goes."""
        described = self._call("/describeStream", f'{{\n\t"StreamName": "{self.info.name}"\n}}', {200, 404})
        if described is None:
            created = self._call("/createStream", self._create_body(), {200})
            assert created
            self.arn = created["StreamARN"]
        else:
            assert described["StreamInfo"]["Status"] == "ACTIVE"
            self.arn = described["StreamInfo"]["StreamARN"]
        if self.info.tags:
            assert self._call("/tagStream", self._tag_body(), {200}) == {}
        self.find_endpoint()

    def find_endpoint(self) -> None:
        """Ask where media goes: at the start, and again for each connection whose predecessor was lost."""
        body = f'{{\n\t"StreamName": "{self.info.name}",\n\t"APIName": "PUT_MEDIA"\n}}'
        found = self._call("/getDataEndpoint", body, {200})
        assert found
        self.endpoint = found["DataEndpoint"]

    def put_media(self, wait_seconds: float = WAIT_SECONDS) -> Upload:
        """Open a connection for media."""
        url = self.endpoint + "/putMedia"
        seconds, millis = divmod(time.time_ns() // 1_000_000, 1000)
        headers = [
            ("user-agent", self.user_agent),
            ("x-amzn-stream-name", self.info.name),
            ("x-amzn-producer-start-timestamp", f"{seconds}.{millis}"),  # 5 ms after the second is .5: not padded
            ("x-amzn-fragment-acknowledgment-required", "1"),
            ("x-amzn-fragment-timecode-type", "ABSOLUTE" if self.info.is_absolute else "RELATIVE"),
            ("transfer-encoding", "chunked"),
            ("connection", "keep-alive"),
        ]
        return Upload(url, self._signed(url, headers, None), self.authorities, wait_seconds)

    @property
    def header(self) -> bytes:
        """Return what a connection begins with."""
        return matroska.header(self.info.tracks, self.segment_uid)

    def fragment(self, frames: Sequence[Frame], once: Sequence[tuple[str, str]] = ()) -> bytes:
        """Package a fragment: metadata stands before its Cluster, for within a Cluster there can be none."""
        tags = b"".join(matroska.tags(name, value) for name, value in [*self.info.metadata, *once])
        packaged = tags + matroska.cluster(frames[0].at_ms, frames)
        self.unpersisted[frames[0].at_ms] = packaged
        return packaged

    def trim(self, upload: Upload) -> None:
        """Let go of fragments as far as they are PERSISTED without a gap."""
        done = {heard.timecode for heard in upload.heard if heard.kind == "PERSISTED"}
        for timecode in list(self.unpersisted):
            if timecode not in done:
                break
            del self.unpersisted[timecode]

    def replay(self) -> bytes:
        """Return what a new connection sends first when the last one was lost: all that is not known to be stored."""
        return self.header + b"".join(self.unpersisted.values())

    def _call(self, path: str, text: str, expected: set[int]) -> dict[str, Any] | None:
        url, body = self.url + path, text.encode()
        headers = self._signed(url, [("user-agent", self.user_agent)], body)
        with Connection(url, self.authorities) as connection:
            connection.write(head(url, headers, is_streamed=False) + body)
            status, answered = connection.answer()
            answer = connection.body(answered)
        self.calls.append((path, status))
        assert status in expected, answer
        parsed: dict[str, Any] = json.loads(answer)
        return parsed if status == 200 else None

    def _signed(self, url: str, headers: Headers, body: bytes | None) -> Headers:
        return signed_headers(url, headers, body, self.key, self.region, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}")

    def _create_body(self) -> str:
        return (
            f'{{\n\t"DeviceName": "{self.device_name}",\n\t"StreamName": "{self.info.name}",\n\t'
            f'"MediaType": "{self.info.content_type}",\n\t"DataRetentionInHours": {self.info.retention_hours}\n}}'
        )

    def _tag_body(self) -> str:
        tags = ",".join(f'\n\t\t"{name}": "{value}"' for name, value in self.info.tags)
        return f'{{\n\t"StreamARN": "{self.arn}",\n\t"Tags": {{{tags}\n\t}}\n}}'
