"""`carillon push` with a live pipe, as a shell would run it."""

import io
import math
import os
import signal
import struct
import subprocess
import wave
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from carillon.matroska import BlockRead, Demuxer
from carillon.push import BadOptions, checked_speed

SAMPLES = np.random.default_rng(7).integers(-20_000, 20_000, 20_000, np.int16).tobytes()  # 2.5 s at 8 kHz
EMPTY = b"RIFF$\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8_000, 16_000, 2, 16) + b"data\0\0\0\0"


Push = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def push(program: str) -> Push:
    return partial(_push, program)


def _push(program: str, server: Any, stream: str, *options: str, **changed: Any) -> subprocess.Popen[bytes]:
    command = [program, "push", changed.get("source", "-"), "--stream", stream]
    command += ["--data-dir", str(server.data_dir)]
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


def test_a_wav_through_a_pipe_is_streamed_to_its_end(server: Any, push: Push) -> None:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(SAMPLES)
    said, errors = (pushing := push(server, "push-wav")).communicate(written.getvalue(), timeout=120)
    assert (pushing.returncode, said) == (0, b""), errors
    assert b"3 fragments received, 3 persisted." in errors
    assert _stored(server, "push-wav") == SAMPLES


@pytest.mark.parametrize("format_", ["WAV", "FLAC"])
def test_a_recording_of_any_kind_is_the_same_from_a_file_and_from_a_pipe(
    server: Any, push: Push, tmp_path: Path, format_: str
) -> None:
    path = tmp_path / "call"
    soundfile.write(path, np.frombuffer(SAMPLES, np.int16), 8_000, "PCM_24", format=format_)
    for name, source in (("pipe", "-"), ("file", str(path))):
        stream = f"push-{format_}-{name}"
        with path.open("rb") as file:
            pushing = push(server, stream, *(["--speed", "0"] if name == "file" else []), source=source, stdin=file)
            _, errors = pushing.communicate(timeout=120)
        assert pushing.returncode == 0, errors
        assert _stored(server, stream) == SAMPLES


def test_a_named_pipe_is_sent_as_it_comes(server: Any, push: Push, tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "fifo")
    pushing = push(server, "push-fifo", "--rate", "8000", source=str(path))
    with path.open("wb") as fifo:
        fifo.write(SAMPLES[:32_000])
        fifo.flush()
        while len(_stored(server, "push-fifo")) < 32_000:
            assert pushing.poll() is None
        fifo.write(SAMPLES[32_000:])
    _, errors = pushing.communicate(timeout=120)
    assert pushing.returncode == 0, errors
    assert _stored(server, "push-fifo") == SAMPLES


def test_raw_samples_from_a_file_are_streamed_to_its_end(server: Any, push: Push, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(SAMPLES)
    with (tmp_path / "raw").open("rb") as file:
        pushing = push(server, "push-raw", "--rate", "16000", "--encoding", "s16le", stdin=file)
        _, errors = pushing.communicate(timeout=120)
    assert pushing.returncode == 0, errors
    assert b"2 fragments received, 2 persisted." in errors
    assert _stored(server, "push-raw") == SAMPLES


def test_what_came_before_an_interrupt_is_stored(server: Any, push: Push) -> None:
    pushing = push(server, "push-interrupted", "--rate", "8000")
    assert pushing.stdin is not None
    pushing.stdin.write(SAMPLES)
    pushing.stdin.flush()
    while len(_stored(server, "push-interrupted")) < 32_000:  # the whole fragments
        assert pushing.poll() is None
    pushing.send_signal(signal.SIGINT)
    _, errors = pushing.communicate(timeout=120)
    assert pushing.returncode == 0, errors
    assert b"3 fragments received, 3 persisted." in errors
    assert _stored(server, "push-interrupted") == SAMPLES


@pytest.mark.parametrize(
    ("options", "data", "said"),
    [
        ([], b"some samples", "has no header"),
        ([], EMPTY, "holds no sound"),
        (["--rate", "-8000"], b"1234", "--rate is from 1"),
        ([], b"", "Nothing came through the pipe"),
        (["--speed", "2"], b"", "leave out --speed"),
        (["--channels", "2"], b"", "--rate 8000"),
    ],
)
def test_what_cannot_be_pushed_is_said_in_one_line(program: str, options: list[str], data: bytes, said: str) -> None:
    command = [program, "push", "-", "--stream", "x", "--endpoint", "http://127.0.0.1:9"]
    known = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
    }  # no folder is needed
    done = subprocess.run([*command, *options], input=data, capture_output=True, timeout=120, check=False, env=known)
    assert done.returncode == 1
    assert said in " ".join(done.stderr.decode().split())
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("speed", [-3.0, math.nan, math.inf, -math.inf, 1e-9])
def test_there_is_no_speed_but_zero_and_sensible_ones(speed: float) -> None:
    assert [checked_speed(good) for good in (None, 0.0, 0.5, 8.0)] == [1.0, 0.0, 0.5, 8.0]
    with pytest.raises(BadOptions, match=r"--speed is 0, or from 0\.01 to 10000"):
        checked_speed(speed)


def test_a_speed_that_is_none_is_refused_in_one_line(carillon: Any, recordings: Path) -> None:
    done = carillon("push", str(recordings / "call_1.flac"), "--stream", "x", "--speed", "-3", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["carillon: --speed is 0, or from 0.01 to 10000, not -3."]


def test_a_file_without_samples_fails_in_one_line(carillon: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(EMPTY)
    done = carillon("push", str(tmp_path / "empty.wav"), "--stream", "x", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"carillon: {tmp_path}/empty.wav holds no sound."]


def test_a_file_says_itself_what_it_is(carillon: Any, recordings: Path) -> None:
    done = carillon("push", str(recordings / "call_1.flac"), "--stream", "x", "--encoding", "mulaw", check=False)
    assert done.returncode == 1
    assert "leave out --channels and --encoding" in " ".join(done.stderr.split())
