"""What a voice tone analysis tells beyond AWS, if it is asked to, and what it listens to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from carillon.analysis import AnalysisSettings
from carillon.audio import Pcm
from carillon.inference import AcousticJudgment, SpeakerBaseline, WordsJudgment
from carillon.matroska import AUDIO, Track
from carillon.storage import Database
from carillon.tasks import TaskSettings, TaskState

pytestmark = pytest.mark.anyio

SECOND = 8_000
MONO = Track(1, 1, AUDIO, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16)
SAID = "I will never buy from you again"
ALL = AnalysisSettings(tone_expression=True, tone_conversation=True, tone_transcript=True)


def details(events: Sequence[Any]) -> list[Any]:
    return [event.body["detail"]["voiceToneAnalysisDetails"] for event in events]


class Listening:
    """The quick models, and such as understand the same words in everything; told how often they were asked."""

    words_missing = ""

    def __init__(self, models: Any) -> None:
        self.vad, self.speaker, self.tone, self.words = models.vad, models.speaker, models.tone, self
        self.count = 0

    def judge(self, speech: Pcm) -> WordsJudgment:
        self.count += 1
        return WordsJudgment(SAID, 7, (0.9, 0.08, 0.02))


class Souring:
    """Ever more negative."""

    id = "souring"

    def judge(self, _: Pcm, baseline: SpeakerBaseline) -> tuple[AcousticJudgment, SpeakerBaseline]:
        negative = min(0.9, 0.1 + 0.2 * baseline.seconds)
        return AcousticJudgment((negative, 0.95 - negative, 0.05), 0.5), SpeakerBaseline(
            baseline.seconds + 1, baseline.mean
        )


async def heard(room: Any, tape: Any, samples: Any, **more: Any) -> list[Any]:
    """The events of a task that heard all of it."""
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.tone(pipeline, **more)
        tape.play(samples)

        async def is_heard() -> bool:
            return await room.heard_ms(task) >= len(samples) // SECOND * 1000 - 5_000

        await room.until(is_heard)
        await room.stop(task)
        await room.until_state(task, TaskState.STOPPED)
    found: list[Any] = await room.events(task)
    return found


def _talking(seconds: float, other_seconds: float, noise: Any) -> Any:
    """Speech on the left, and at its end on the right too."""
    samples = noise[: round(seconds * SECOND)].copy()
    samples[: round((seconds - other_seconds) * SECOND), 1] = 0
    return samples


async def test_by_default_nothing_is_told_but_what_aws_tells(quick_room: Any, tape: Any, noise: Any) -> None:
    events = await heard(quick_room.again(models=Listening(quick_room.models)), tape, noise[: 22 * SECOND])
    for told in details(events):
        assert told.keys() == {"currentAverageVoiceTone", "overallAverageVoiceTone"}
    assert all(SAID not in event.to_json() for event in events)


async def test_extensions_measure_both_channels_and_tell_the_words(quick_room: Any, tape: Any, noise: Any) -> None:
    room = quick_room.again(models=Listening(quick_room.models), analysis=ALL)
    told = [each["carillon"] for each in details(await heard(room, tape, _talking(25, 5, noise)))]
    last = told[-1]["overall"]
    assert last["arousal"] == 0.5
    assert -1 <= last["valence"] < 0
    assert last["speaker"]["speechRatio"] == pytest.approx(1, abs=0.01)
    assert last["speaker"]["wordsPerMinute"] == pytest.approx(7 * 3 / 25 * 60, rel=0.02)
    assert last["otherSpeaker"]["speechRatio"] == pytest.approx(0.2, abs=0.01)
    assert last["otherSpeaker"]["loudnessDbfs"] == pytest.approx(last["speaker"]["loudnessDbfs"], abs=0.2)
    assert last["talkOverRatio"] == pytest.approx(0.2, abs=0.01)
    assert last["silenceRatio"] == pytest.approx(0, abs=0.01)
    spoken = [line for each in told for line in each["transcript"]]
    assert [line["text"] for line in spoken] == [SAID] * 3
    assert [line["beginOffsetMillis"] // 1000 for line in spoken] == [0, 10, 20]


async def test_a_mono_stream_tells_of_its_speaker_alone(quick_room: Any, tape: Any, noise: Any) -> None:
    room = quick_room.again(analysis=AnalysisSettings(tone_conversation=True))
    pipeline = await room.pipeline(channels=1)
    async with room.running():
        task = await room.tone(pipeline)
        tape.play(noise[: 16 * SECOND, :1], MONO)
        await room.until_told(task, "VoiceToneAnalysisSuccessful")
    (told,) = details(await room.events(task))
    assert told["carillon"]["overall"].keys() == {"speaker", "silenceRatio"}


async def test_measures_go_on_in_another_process(quick_room: Any, tape: Any, noise: Any) -> None:
    samples = np.concatenate([_talking(20, 10, noise), _talking(20, 3, noise)])
    whole = await heard(quick_room.again(analysis=ALL), tape, samples, channel=0)
    room = quick_room.again(analysis=ALL)
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.tone(pipeline, after="0")
        await room.until_told(task, "VoiceToneAnalysisSuccessful")
    again = room.again()
    async with again.running():

        async def is_heard() -> bool:
            return await again.heard_ms(task) >= 35_000

        await again.until(is_heard)
        await again.stop(task)
        await again.until_state(task, TaskState.STOPPED)
    assert [each["carillon"] for each in details(await again.events(task))] == [
        each["carillon"] for each in details(whole)
    ]


async def test_a_drift_is_told_once_also_over_a_restart(quick_room: Any, tape: Any, noise: Any) -> None:
    models = Listening(quick_room.models)
    models.tone, models.words, models.words_missing = Souring(), None, "off"  # type: ignore[assignment]  # no words
    room = quick_room.again(models=models, analysis=AnalysisSettings(tone_drift_negative=0.25))
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.tone(pipeline)
        tape.play(noise[: 34 * SECOND])
        await room.until_told(task, "VoiceToneDriftDetected")
    again = room.again()
    async with again.running():
        tape.play(noise[: 12 * SECOND])

        async def is_heard() -> bool:
            return await again.heard_ms(task) >= 41_000

        await again.until(is_heard)
        await again.stop(task)
        await again.until_state(task, TaskState.STOPPED)
    told = await again.told(task)
    assert told.count("VoiceToneDriftDetected") == 1
    assert told[-1] == "VoiceToneAnalysisCompleted"
    events = await again.events(task)
    at = told.index("VoiceToneDriftDetected")
    drift, report = (event.body["detail"] for event in events[at : at + 2])
    assert drift["voiceToneAnalysisDetails"] == report["voiceToneAnalysisDetails"]
    assert drift["voiceToneAnalysisDetails"]["overallAverageVoiceTone"]["voiceToneScore"]["negative"] >= 0.25
    assert drift["statusMessage"] == "The overall tone of the call turned negative."
    assert len({event.id for event in events}) == len(events)


async def test_words_are_listened_to_in_english(quick_room: Any, tape: Any, noise: Any, logged: list[Any]) -> None:
    models = Listening(quick_room.models)
    (first, *_) = details(await heard(quick_room.again(models=models), tape, noise[: 22 * SECOND], language="en-US"))
    assert models.count >= 2
    assert (
        first["overallAverageVoiceTone"]["voiceToneScore"]["negative"] > 0.002
    )  # more than the quick models hear by sound
    assert not [entry for entry in logged if entry["event"] == "tone.acoustics_only"]


async def test_elsewhere_sound_alone_is_judged_and_the_log_says_so_once(
    quick_room: Any, tape: Any, noise: Any, logged: list[Any]
) -> None:
    models = Listening(quick_room.models)
    room = quick_room.again(models=models)
    pipeline = await room.pipeline()
    async with room.running():
        task = await room.tone(pipeline, language="de-DE")
        tape.play(noise[: 17 * SECOND])
        await room.until_told(task, "VoiceToneAnalysisSuccessful")
    again = room.again()
    async with again.running():
        await again.stop(task)
        await again.until_state(task, TaskState.STOPPED)
    assert models.count == 0
    (told, *_) = details(await again.events(task))
    assert told["overallAverageVoiceTone"]["voiceToneScore"]["negative"] < 0.1  # as the quick models hear it
    (entry,) = [entry for entry in logged if entry["event"] == "tone.acoustics_only"]
    assert entry["task_id"] == task.id
    assert entry["reason"] == "Words are understood in English only, not in de-DE."
    assert (await again.store.current(task.id)).language == "de-DE"


async def test_without_words_the_log_says_why(quick_room: Any, tape: Any, noise: Any, logged: list[Any]) -> None:
    await heard(quick_room, tape, noise[: 16 * SECOND])
    (entry,) = [entry for entry in logged if entry["event"] == "tone.acoustics_only"]
    assert entry["reason"] == quick_room.models.words_missing


async def test_a_task_from_before_it_was_told_a_language_is_english(
    quick_room: Any, tape: Any, noise: Any, database: Database
) -> None:
    models = Listening(quick_room.models)
    room = quick_room.again(models=models)
    pipeline = await room.pipeline()
    task = await room.tone(pipeline)
    async with database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE tasks SET language = NULL")
    async with room.running():
        tape.play(noise[: 17 * SECOND])
        await room.until_told(task, "VoiceToneAnalysisSuccessful")
    assert models.count


async def test_settings_of_the_analysis_are_those_of_every_task(quick_room: Any, tape: Any, noise: Any) -> None:
    room = quick_room.again(analysis=AnalysisSettings(tone_seconds=4, identification_seconds=4, voiceprint_seconds=6))
    pipeline = await room.pipeline()
    async with room.running():
        task, search = await room.tone(pipeline), await room.search(pipeline)
        tape.play(noise[: 7 * SECOND])
        await room.until_told(task, "VoiceToneAnalysisSuccessful")
        await room.until_state(search, TaskState.STOPPED)
    assert await room.told(search) == ["IdentificationNoMatchesFound", "VoiceprintGenerationSuccess"]


def test_admitted_languages_are_told_apart_by_commas() -> None:
    assert TaskSettings().languages == ()
    assert TaskSettings(tone_languages="de-DE, pl-PL,").languages == ("de-DE", "pl-PL")
