"""`carillon push` with a live pipe, as a shell would run it."""

import io
import signal
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carillon.matroska import BlockRead, Demuxer

SAMPLES = np.random.default_rng(7).integers(-20_000, 20_000, 20_000, np.int16).tobytes()  # 2.5 s at 8 kHz


def _push(server: Any, stream: str, *options: str, **changed: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "carillon", "push", "-", "--stream", stream, "--data-dir", str(server.data_dir)]
    server.client("kinesisvideo").create_stream(StreamName=stream, DataRetentionInHours=1)
    return subprocess.Popen(
        [*command, "--endpoint", server.url, *options],
        stdin=changed.get("stdin", subprocess.PIPE),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={name: value for name, value in server.environment.items() if name == "PATH"},
    )


def _stored(server: Any, stream: str) -> bytes:
    media = server.client("kinesis-video-media")
    body = media.get_media(StreamName=stream, StartSelector={"StartSelectorType": "EARLIEST"})["Payload"].read()
    demuxer = Demuxer()
    events = [*demuxer.feed(body), *demuxer.end()]
    return b"".join(event.data for event in events if isinstance(event, BlockRead))


def test_a_wav_through_a_pipe_is_streamed_to_its_end(server: Any) -> None:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(SAMPLES)
    said, errors = (pushing := _push(server, "push-wav")).communicate(written.getvalue(), timeout=60)
    assert (pushing.returncode, said) == (0, b""), errors
    assert b"3 fragments received, 3 persisted." in errors
    assert _stored(server, "push-wav") == SAMPLES


def test_raw_samples_from_a_file_are_streamed_to_its_end(server: Any, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(SAMPLES)
    with (tmp_path / "raw").open("rb") as file:
        pushing = _push(server, "push-raw", "--rate", "16000", "--encoding", "s16le", stdin=file)
        _, errors = pushing.communicate(timeout=60)
    assert pushing.returncode == 0, errors
    assert b"2 fragments received, 2 persisted." in errors
    assert _stored(server, "push-raw") == SAMPLES


def test_what_came_before_an_interrupt_is_stored(server: Any) -> None:
    pushing = _push(server, "push-interrupted", "--rate", "8000")
    assert pushing.stdin is not None
    pushing.stdin.write(SAMPLES)
    pushing.stdin.flush()
    while len(_stored(server, "push-interrupted")) < 32_000:  # the whole fragments
        assert pushing.poll() is None
    pushing.send_signal(signal.SIGINT)
    _, errors = pushing.communicate(timeout=60)
    assert pushing.returncode == 0, errors
    assert b"3 fragments received, 3 persisted." in errors
    assert _stored(server, "push-interrupted") == SAMPLES


@pytest.mark.parametrize(
    ("options", "data", "said"),
    [
        ([], b"some samples", "has no header"),
        ([], b"", "Nothing came through the pipe"),
        (["--speed", "2"], b"", "leave out --speed"),
        (["--channels", "2"], b"", "--rate 8000"),
    ],
)
def test_what_cannot_be_pushed_is_said_in_one_line(carillon: Any, options: list[str], data: bytes, said: str) -> None:
    command = [sys.executable, "-m", "carillon", "push", "-", "--stream", "x", "--endpoint", "http://127.0.0.1:9"]
    done = subprocess.run([*command, *options], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert said in " ".join(done.stderr.decode().split())
    assert b"Traceback" not in done.stderr


def test_a_file_says_itself_what_it_is(carillon: Any, recordings: Path) -> None:
    done = carillon("push", str(recordings / "call_1.flac"), "--stream", "x", "--encoding", "mulaw", check=False)
    assert done.returncode == 1
    assert "leave out --channels and --encoding" in " ".join(done.stderr.split())
