"""A recording becomes the same live stream whatever its format, its length or the size of the fragments."""

import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from carillon.clock import ManualClock
from carillon.matroska import BlockRead, ClusterTimecode, Demuxer, TracksRead
from carillon.media import BadFragmentLength, Recording, UnreadableRecording, as_live, read_recording
from carillon.media import sound as sound_module
from carillon.media.pcm import to_pcm
from clocks import RecordingClock

pytestmark = pytest.mark.anyio

Write = Callable[..., tuple[Path, npt.NDArray[np.int16]]]
STARTED_MS = 1_767_225_600_000  # where a ManualClock begins


async def play(recording: Recording, **parameters: Any) -> list[bytes]:
    """The header, and then the fragments."""
    live = as_live(recording, 0, **{"clock": RecordingClock(), **parameters})
    return [piece async for piece in live]


def blocks(pieces: list[bytes]) -> list[BlockRead]:
    return [event for event in Demuxer().feed(b"".join(pieces)) if isinstance(event, BlockRead)]


def samples(pieces: list[bytes], channels: int = 2) -> npt.NDArray[np.int16]:
    return np.frombuffer(b"".join(block.data for block in blocks(pieces)), "<i2").reshape(-1, channels)


@pytest.mark.parametrize("name", ["call.wav", "call.flac"])
@pytest.mark.parametrize("channels", [1, 2])
async def test_every_sample_is_sent_as_it_was_recorded(a_call: Write, name: str, channels: int) -> None:
    path, recorded = a_call(3.5, channels=channels, name=name)
    recording = read_recording(path)
    assert recording == Recording(path, 3.5, channels, 8_000)
    pieces = await play(recording)
    assert len(pieces) == 5
    np.testing.assert_array_equal(samples(pieces, channels), recorded)
    (tracks,) = (event.tracks for event in Demuxer().feed(pieces[0]) if isinstance(event, TracksRead))
    assert [(track.codec_id, track.rate_hz, track.channels, track.bit_depth) for track in tracks] == [
        ("A_PCM/INT/LIT", 8_000.0, channels, 16)
    ]


@pytest.mark.parametrize("name", ["call.mp3", "call.ogg"])
async def test_lossy_formats_are_played_to_the_end(a_call: Write, name: str) -> None:
    path, recorded = a_call(2.5, name=name)
    heard = samples(await play(read_recording(path)))
    assert abs(len(heard) - len(recorded)) <= 8_000 * 0.1  # an mp3 may be padded
    assert np.abs(heard).max() > 1_000


@pytest.mark.parametrize(("own_hz", "rate_hz"), [(44_100, 8_000), (8_000, 16_000), (48_000, 8_000), (11_025, 44_100)])
async def test_another_rate_keeps_pitch_and_length(tmp_path: Path, own_hz: int, rate_hz: int) -> None:
    seconds = 2.7
    times = np.arange(round(seconds * own_hz)) / own_hz
    tone = 0.5 * np.sin(2 * np.pi * 440 * times)
    soundfile.write(tmp_path / "tone.wav", tone, own_hz)
    recording = read_recording(tmp_path / "tone.wav", rate_hz)
    assert (recording.rate_hz, round(recording.seconds, 3)) == (rate_hz, seconds)
    heard = samples(await play(recording), 1)[:, 0] / 32_768
    assert abs(len(heard) - seconds * rate_hz) <= max(1, rate_hz / own_hz)  # a sample of the file
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(heard)) / rate_hz)
    inner = slice(rate_hz // 10, -rate_hz // 10)  # the ends ring
    assert np.abs(heard - expected)[inner].max() < 1e-3


async def test_the_same_call_gives_the_same_bytes(a_call: Write) -> None:
    for rate_hz in (None, 16_000):
        recording = read_recording(a_call(2.2)[0], rate_hz)
        assert await play(recording) == await play(recording)


@pytest.mark.parametrize("fragment_seconds", [0.02, 0.5, 1.3, 2.0, 20.0])
async def test_fragments_of_any_length_hold_the_same_call(a_call: Write, fragment_seconds: float) -> None:
    path, recorded = a_call(5.01, rate_hz=11_025)
    pieces = await play(read_recording(path), fragment_seconds=fragment_seconds)
    assert len(pieces) - 1 == np.ceil(len(recorded) / round(fragment_seconds * 11_025))
    np.testing.assert_array_equal(samples(pieces), recorded)
    starts = [event.timecode_ms for event in Demuxer().feed(b"".join(pieces)) if isinstance(event, ClusterTimecode)]
    assert starts == [
        STARTED_MS + number * round(fragment_seconds * 11_025) * 1_000 // 11_025 for number in range(len(starts))
    ]


@pytest.mark.parametrize("seconds", [0.0, 0.01, 20.1, -1.0, float("nan")])
async def test_fragments_that_no_endpoint_takes_are_refused(a_call: Write, seconds: float) -> None:
    with pytest.raises(BadFragmentLength, match="to 20 seconds"):
        await play(read_recording(a_call()[0]), fragment_seconds=seconds)


async def test_timecodes_are_wall_time(a_call: Write) -> None:
    clock = ManualClock(datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC))
    pieces = await play(read_recording(a_call(2.0)[0]), clock=clock)
    times = [block.timecode_ms for block in blocks(pieces)]
    first = round(clock.now().timestamp() * 1_000)
    assert times == [first + 20 * number for number in range(100)]


async def test_a_fragment_is_sent_when_its_last_sample_would_have_been_spoken(a_call: Write) -> None:
    class Jumping(ManualClock):
        async def sleep(self, seconds: float) -> None:
            self.advance(timedelta(seconds=seconds))

    clock, told = Jumping(), list[float]()
    sent_at = []
    recording = read_recording(a_call(3.5)[0])
    async with aclosing(as_live(recording, 2.0, on_sent=told.append, clock=clock)) as live:
        async for _ in live:
            sent_at.append(clock.monotonic())
            clock.advance(timedelta(seconds=0.25))  # the network is slow, the pace is kept
    assert sent_at == [0.0, 0.5, 1.0, 1.5, 1.75]
    assert told == [1.0, 2.0, 3.0, 3.5, 3.5]


async def test_who_falls_behind_does_not_wait(a_call: Write) -> None:
    clock = RecordingClock()
    async with aclosing(as_live(read_recording(a_call(3.0)[0]), 1.0, clock=clock)) as live:
        async for _ in live:
            clock.advance(timedelta(seconds=5))
    assert clock.pauses == [0.0, 0.0, 0.0]


async def test_progress_ends_with_the_whole_recording_at_any_rate(a_call: Write) -> None:
    told: list[float] = []
    recording = read_recording(a_call(2.3, rate_hz=44_100)[0], 8_000)
    await play(recording, on_sent=told.append)
    assert told == sorted(told)
    assert told[-1] == recording.seconds


def content(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_what_is_no_recording_is_named(tmp_path: Path, a_call: Write) -> None:
    quiet, _ = a_call(0.0, name="quiet.wav")
    crowd, _ = a_call(1.0, channels=3, name="crowd.wav")
    for path, reason in (
        (tmp_path / "missing.wav", "No such file"),
        (tmp_path, "Is a directory"),
        (content(tmp_path / "text.wav", b"no sound" * 100), "not a wav"),
        (content(tmp_path / "empty.wav", b""), "is empty"),
        (content(tmp_path / "samples.raw", bytes(100)), "without a header"),
        (quiet, "no sound"),
        (crowd, "3 channels"),
    ):
        with pytest.raises(UnreadableRecording, match=reason) as raised:
            read_recording(path)
        assert str(path) in str(raised.value)
    for rate_hz in (0, -8_000):
        with pytest.raises(UnreadableRecording, match="above zero"):
            read_recording(crowd, rate_hz)


async def test_a_file_that_changes_or_goes_away_is_noticed(a_call: Write) -> None:
    path, _ = a_call(1.0)
    recording = read_recording(path)
    a_call(1.0, channels=1)
    with pytest.raises(UnreadableRecording, match="changed"):
        await play(recording)
    path.unlink()
    with pytest.raises(UnreadableRecording):
        await play(recording)


async def test_a_file_that_was_cut_off_is_played_as_far_as_it_goes(a_call: Write) -> None:
    path, recorded = a_call(3.0)
    recording = read_recording(path)
    path.write_bytes(path.read_bytes()[: 44 + 8_000 * 4])
    np.testing.assert_array_equal(samples(await play(recording)), recorded[:8_000])


def open_files(path: Path) -> int:
    """How often this process has a file open."""
    return sum(link.resolve() == path for link in Path("/proc/self/fd").iterdir())


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads in which samples were read."""
    found: list[int] = []
    decode = to_pcm

    def watched(*arguments: Any) -> Any:
        found.append(threading.get_ident())
        return decode(*arguments)

    monkeypatch.setattr(sound_module, "to_pcm", watched)
    return found


@pytest.mark.parametrize("name", ["call.wav", "call.flac"])
async def test_files_are_read_in_threads_and_closed(a_call: Write, readers: list[int], name: str) -> None:
    path, _ = a_call(3.0, name=name)
    recording = await anyio.to_thread.run_sync(read_recording, path)
    await play(recording)
    async with aclosing(as_live(recording, 0)) as live:
        for _ in range(2):
            await anext(live)
        assert open_files(path) == 1
    assert open_files(path) == 0
    assert threading.get_ident() not in readers
    assert bool(readers) == (name == "call.wav")


async def test_being_stopped_closes_the_file(a_call: Write) -> None:
    path, _ = a_call(3.0)
    started = anyio.Event()

    class Watched(ManualClock):
        async def sleep(self, seconds: float) -> None:
            started.set()
            await super().sleep(seconds)

    async def listen() -> None:
        async with aclosing(as_live(read_recording(path), 1, clock=Watched())) as live:
            async for _ in live:
                pass

    with anyio.fail_after(120):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await started.wait()
            group.cancel_scope.cancel()
    assert open_files(path) == 0


async def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "long.wav", "w", 48_000, 2) as file:
        for _ in range(100):
            file.write(np.zeros((48_000, 2), np.int16))  # 19 MB in all
    recording = read_recording(tmp_path / "long.wav")
    tracemalloc.start()
    try:
        sizes = [len(piece) async for piece in _played(recording)]
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(sizes) == 101
    assert peak_bytes < 2_000_000


async def _played(recording: Recording) -> AsyncIterator[bytes]:
    async for piece in as_live(recording, 0, clock=ManualClock()):
        yield piece
