"""What a speaker search tells beyond AWS, if it is asked to: whom it may be, early, and that somebody else speaks."""

from typing import Any

import numpy as np
import pytest

from carillon.access import read_trail
from carillon.analysis import AnalysisSettings
from carillon.audio import Embedding, Pcm
from carillon.inference import Compensated, VadState
from carillon.profiles import Voiceprint
from carillon.tasks import TaskSettings
from carillon.tasks.model import TaskState

RATE_HZ = 8_000
FOUND = ["IdentificationSuccessful", "VoiceprintGenerationSuccess"]
LIKELY, CHANGED = "IdentificationLikely", "SpeakerChangeDetected"
EARLY = AnalysisSettings(early_confidence=0.9)
WATCHFUL = AnalysisSettings(speaker_change_confidence=0.9)


class TwoVoices:
    """In the place of real models: whoever is louder is somebody else; of less than 3 s nothing can be said."""

    id = "quick"

    @property
    def vad(self) -> "TwoVoices":
        return self

    speaker = vad

    def push(self, _window: Pcm, state: VadState) -> tuple[float, VadState]:
        return 1.0, state

    def embed(self, speech: Pcm, _band: str) -> Embedding:
        voice = np.zeros(256, np.float32)
        voice[int(np.abs(speech).mean() > 0.2)] = 1
        return voice

    embed_once = embed

    def compensated(self, voice: Embedding, band: str, speech_seconds: float) -> Compensated:
        return Compensated(voice, 0.0)

    def log_likelihood_ratio(self, score: float, speech_seconds: float, channel: str) -> float:
        return 0.0 if speech_seconds < 3 else 20.0 * score - 10.0


@pytest.fixture
async def domain(quick_room: Any) -> Any:
    """One that knows whoever is quiet."""
    room = quick_room
    domain, voice = await room.domain(), np.zeros(256, np.float32)
    voice[0] = 1
    speech = np.zeros(16_000, np.int16)
    async with room.database.transaction() as connection:
        known = Voiceprint("known", domain.id, voice, speech, "quick", room.clock.now(), band="tel", narrowband=None)
        await room.profiles.keep_voiceprint(connection, known)
    profile = await room.profiles.enroll("known")
    return domain, profile.id


def _room(quick_room: Any, analysis: AnalysisSettings) -> Any:
    return quick_room.again(
        models=TwoVoices(), analysis=analysis, settings=TaskSettings(silence_seconds=2, housekeeping_seconds=1000)
    )


async def _audited(room: Any, action: str) -> list[Any]:
    return [row.details for _, row in await read_trail(room.database, 0, 100, None, action)]


async def test_who_is_known_by_little_speech_is_told_early_once_and_confirmed(
    quick_room: Any, tape: Any, noise: Any, domain: Any
) -> None:
    room, (where, profile_id) = _room(quick_room, EARLY), domain
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.search(pipeline, domain_arn=where.arn)
        tape.play(noise[: 22 * RATE_HZ] // 2)
        await room.until_state(task, TaskState.STOPPED)
    assert await room.told(task) == [LIKELY, *FOUND]
    likely, identified, _ = [event.body["detail"] for event in await room.events(task)]
    assert likely["speakerSearchDetails"] == identified["speakerSearchDetails"]
    assert likely["speakerSearchDetails"]["results"][0]["voiceProfileId"] == profile_id
    looks = await _audited(room, "carillon:IdentifySpeaker")
    assert [look["speech_seconds"] for look in looks] == [2, 3, 10]
    assert [look["candidates"][0]["is_match"] for look in looks] == [False, True, True]
    assert [look["threshold"] for look in looks] == [0.9, 0.9, 0.7]


async def test_a_stranger_is_looked_for_early_and_nobody_is_told(
    quick_room: Any, tape: Any, noise: Any, domain: Any
) -> None:
    room = _room(quick_room, EARLY)
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.search(pipeline, domain_arn=domain[0].arn)
        tape.play(noise[: 22 * RATE_HZ] * 2)
        await room.until_state(task, TaskState.STOPPED)
    assert await room.told(task) == ["IdentificationNoMatchesFound", "VoiceprintGenerationSuccess"]
    looks = await _audited(room, "carillon:IdentifySpeaker")
    assert [look["speech_seconds"] for look in looks] == [2, 3, 4, 5, 7, 10]


async def test_an_early_answer_is_not_given_again_after_a_restart(
    quick_room: Any, tape: Any, noise: Any, domain: Any
) -> None:
    room = _room(quick_room, EARLY)
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.search(pipeline, domain_arn=domain[0].arn)
        tape.play(noise[: 5 * RATE_HZ] // 2)
        await room.until_told(task, LIKELY)
    again = room.again()
    async with again.running():
        tape.play(noise[5 * RATE_HZ : 22 * RATE_HZ] // 2)
        await again.until_state(task, TaskState.STOPPED)
    assert await again.told(task) == [LIKELY, *FOUND]


async def test_a_change_is_told_and_written_down_also_over_a_restart_and_the_task_lives_as_long_as_the_call(
    quick_room: Any, tape: Any, noise: Any, domain: Any
) -> None:
    room = _room(quick_room, WATCHFUL)
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.search(pipeline, domain_arn=domain[0].arn)
        tape.play(noise[: 30 * RATE_HZ] // 2)
        await room.until_told(task, FOUND[-1])
        assert await room.state(task) is TaskState.RUNNING
    again = room.again()
    async with again.running():
        tape.play(noise[: 15 * RATE_HZ] * 2)
        await again.until_told(task, CHANGED)
        assert await again.state(task) is TaskState.RUNNING
        await again.stop(task)
        await again.until_state(task, TaskState.STOPPED)
    assert await again.told(task) == [*FOUND, CHANGED]
    detail = (await again.events(task))[-1].body["detail"]
    assert 0.9 <= detail["speakerChangeDetails"]["confidenceScore"] <= 1
    assert detail["statusMessage"] == "Somebody else speaks than before."
    assert "speakerSearchDetails" not in detail
    (row,) = await _audited(again, "carillon:DetectSpeakerChange")
    assert row["confidence"] == round(detail["speakerChangeDetails"]["confidenceScore"], 4)
    assert 30 < row["speech_seconds"] < 45


async def test_a_profile_can_be_made_while_the_call_goes_on(quick_room: Any, tape: Any, noise: Any) -> None:
    room = _room(quick_room, WATCHFUL)
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.search(pipeline)
        tape.play(noise[: 22 * RATE_HZ] // 2)
        await room.until_told(task, "VoiceprintGenerationSuccess")
        profile = await room.tasks.enroll(task.id)
        assert await room.state(task) is TaskState.RUNNING
    assert profile.id
