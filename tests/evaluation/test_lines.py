from pathlib import Path

import numpy as np
import pytest
import soundfile

from carillon.audio import Pcm
from carillon.evaluation.conditions import Condition, conditions
from carillon.evaluation.lines import LINES, PhoneLine, over_line, with_losses
from carillon.evaluation.pieces import Hearing


@pytest.fixture(scope="module")
def voice(recordings: Path) -> Pcm:
    """6 s of a telephone call."""
    samples, _ = soundfile.read(recordings / "call_1.flac", dtype="float32", frames=14 * 8_000)
    return samples[8 * 8_000 :, 0].copy()


def _levels(samples: Pcm) -> Pcm:
    levels: Pcm = np.sqrt(np.mean(samples[: len(samples) // 800 * 800].reshape(-1, 800) ** 2, axis=1))
    return levels


@pytest.mark.parametrize("line", LINES)
def test_a_line_changes_a_voice_and_leaves_its_words_where_they_were(line: PhoneLine, voice: Pcm) -> None:
    heard = over_line(voice, line, "somebody")
    assert heard.shape == voice.shape
    assert heard.dtype == np.float32
    assert not np.array_equal(heard, voice)
    assert np.corrcoef(_levels(heard), _levels(voice))[0, 1] > 0.9
    np.testing.assert_array_equal(heard, over_line(voice, line, "somebody"))


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("length", [1, 479, 8_001])
def test_a_recording_of_any_length_goes_over_a_line(line: PhoneLine, length: int, voice: Pcm) -> None:
    assert over_line(voice[:length], line, "short").shape == (length,)


def test_one_packet_in_twenty_is_concealed_by_what_was_heard_before(voice: Pcm) -> None:
    long = np.tile(voice, 10)
    packets, heard = long.reshape(-1, 160), with_losses(long, "somebody").reshape(-1, 160)
    is_lost = np.any(packets != heard, axis=1)
    assert 0.04 < np.mean(is_lost) < 0.06
    assert np.abs(heard).max() <= np.abs(packets).max()
    assert not np.array_equal(heard, with_losses(long, "somebody else").reshape(-1, 160))


def test_a_gap_goes_on_as_the_voice_did_and_fades() -> None:
    tone = np.sin(np.arange(800_000) * 2 * np.pi / 80).astype(np.float32)
    errors = np.abs(with_losses(tone, "tone") - tone).reshape(-1, 160).max(axis=1)
    follows_a_gap = np.append(False, errors[:-1] > 0.01)
    assert 0.15 < errors[~follows_a_gap].max() < 0.25
    assert 0.4 < errors[follows_a_gap].max() < 1


def test_lines_are_searched_from_and_telephones_enrolled() -> None:
    plain, over = conditions(noisy=(False,)), conditions(noisy=(False,), lines=("GSM-FR",))
    assert over[: len(plain)] == plain
    assert over[-1] == Condition("telephone", False, 20, "GSM-FR")
    assert over[-1].channel == "tel"
    assert over[-1].sides == (Hearing("telephone"), Hearing("telephone", False, "GSM-FR"))
