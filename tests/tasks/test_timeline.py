from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from carillon.media import Chunk
from carillon.tasks.model import Anchor, Checkpoint
from carillon.tasks.timeline import Timeline

BEGAN_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def chunk(at_seconds: float, seconds: float = 1.0, rate_hz: int = 8_000, *, is_apart: bool = False) -> Chunk:
    samples = np.zeros(round(seconds * rate_hz), np.float32)
    return Chunk("7", BEGAN_AT + timedelta(seconds=at_seconds), rate_hz, samples, is_apart)


def after(*chunks: Chunk) -> Timeline:
    timeline = Timeline.begun(chunks[0])
    for later in chunks[1:]:
        timeline = timeline.advanced(later)
    return timeline


def wall(timeline: Timeline, media_seconds: float) -> float:
    return (timeline.wall(round(media_seconds * 1000)) - BEGAN_AT).total_seconds()


def test_media_time_is_wall_time_since_the_first_sample() -> None:
    timeline = after(chunk(0), chunk(1), chunk(2, 0.5))
    assert (timeline.start_fragment, timeline.heard_ms, timeline.first_at) == ("7", 2_500, BEGAN_AT)
    assert [wall(timeline, at) for at in (0, 1.25, 2.5)] == [0, 1.25, 2.5]


def test_the_wall_clock_is_taken_anew_from_every_fragment() -> None:
    timeline = after(chunk(0), chunk(1.1), chunk(2.2))
    assert wall(timeline, 3) == 3.2
    assert wall(timeline, 0) == pytest.approx(0.2)


def test_media_time_stands_still_in_a_gap() -> None:
    timeline = after(chunk(0), chunk(1), chunk(10, is_apart=True), chunk(11))
    assert timeline.heard_ms == 4_000
    assert [wall(timeline, at) for at in (0, 1.5, 2, 3.5, 4)] == [0, 1.5, 10, 11.5, 12]


@pytest.mark.parametrize("to", [-3_600, -1.5, 3_600])
def test_times_never_run_backwards_whatever_a_clock_does(to: float) -> None:
    timeline = after(chunk(0), chunk(1), chunk(to, is_apart=True), chunk(to + 1), chunk(50, is_apart=True))
    times = [wall(timeline, at / 10) for at in range(51)]
    assert times == sorted(times)
    assert wall(timeline, 5) == 51


def test_a_chunk_without_samples_changes_nothing() -> None:
    timeline = after(chunk(0), chunk(1))
    assert timeline.advanced(chunk(-5, 0)) == timeline


def test_audio_begins_with_the_first_sample() -> None:
    timeline = after(chunk(-5, 0), chunk(3, is_apart=True))
    assert [wall(timeline, at) for at in (0, 1)] == [3, 4]


def test_another_rate_is_another_length_of_samples() -> None:
    timeline = after(chunk(0), chunk(1, 1, 16_000, is_apart=True), chunk(2, 1, 48_000, is_apart=True))
    assert (timeline.heard_ms, timeline.heard_samples) == (3_000, 144_000)
    assert [wall(timeline, at) for at in (0, 0.5, 1.5, 3)] == [0, 0.5, 1.5, 3]


def test_of_many_gaps_the_latest_are_remembered_and_the_beginning() -> None:
    timeline = after(chunk(0), *(chunk(10 * at, is_apart=True) for at in range(1, 100)))
    assert len(timeline.anchors) == 32
    assert [wall(timeline, at) for at in (0, 69, 99.5)] == [0, 690, 990.5]


def test_a_restart_is_invisible() -> None:
    before = after(chunk(0), chunk(7, is_apart=True))
    kept = Checkpoint(
        fragment_number="9",
        fragment_at=BEGAN_AT,
        heard_samples=before.heard_samples,
        heard_ms=before.heard_ms,
        heard_until=before.heard_until,
        first_at=before.first_at,
        analyzer_state=b"",
        anchors=before.anchors[1:],
    )
    resumed = Timeline.resumed(Checkpoint.from_bytes(kept.to_bytes()), "7", 8_000)
    assert resumed == before
    assert resumed.advanced(chunk(8)) == before.advanced(chunk(8))


def test_a_checkpoint_of_an_earlier_version_is_read() -> None:
    timeline = Timeline.resumed(
        Checkpoint("9", BEGAN_AT, 16_000, 2_000, BEGAN_AT + timedelta(seconds=2), BEGAN_AT, b""), "7", 8_000
    )
    assert timeline == replace(after(chunk(0), chunk(1)), anchors=(Anchor(0, BEGAN_AT),))
