from collections.abc import Callable
from typing import Any

import pytest

from carillon.access.request_counter import RequestCounter, RequestInProgress
from carillon.api.media_pipelines import SpeakerSearchOperations, VoiceToneAnalysisOperations
from carillon.api.voice import VoiceProfileDomainOperations, VoiceProfileOperations
from carillon.errors import StateConflict


def test_by_default_as_many_may_be_at_work_as_come() -> None:
    calls = RequestCounter(0)
    with calls.about("vp-1"), calls.about("vp-1"), calls.about("vp-1", "task-1"):
        pass


def test_of_two_about_one_resource_the_second_is_told_to_wait() -> None:
    calls = RequestCounter(1)
    with calls.about("vp-1", "task-1"):
        with pytest.raises(RequestInProgress, match="task-1") as refused, calls.about("vp-2", "task-1"):
            pass
        assert isinstance(refused.value, StateConflict)
        with calls.about("vp-2"):
            pass
    with calls.about("vp-1"), calls.about("task-1"):
        pass


def test_a_call_that_fails_is_over() -> None:
    calls = RequestCounter(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), calls.about("vp-1"):
            raise ZeroDivisionError
    assert not calls._now


NOTHING: Any = None
"""Who is refused before anything is done needs no rooms."""
CHANGES: list[tuple[Callable[[RequestCounter], Any], str, dict[str, str]]] = [
    (lambda calls: VoiceProfileOperations(NOTHING, NOTHING, NOTHING, calls).create, "t", {"SpeakerSearchTaskId": "t"}),
    (
        lambda calls: VoiceProfileOperations(NOTHING, NOTHING, NOTHING, calls).update,
        "t",
        {"VoiceProfileId": "p", "SpeakerSearchTaskId": "t"},
    ),
    (
        lambda calls: VoiceProfileOperations(NOTHING, NOTHING, NOTHING, calls).update,
        "p",
        {"VoiceProfileId": "p", "SpeakerSearchTaskId": "t"},
    ),
    (lambda calls: VoiceProfileOperations(NOTHING, NOTHING, NOTHING, calls).delete, "p", {"VoiceProfileId": "p"}),
    (
        lambda calls: VoiceProfileDomainOperations(NOTHING, NOTHING, NOTHING, calls).delete,
        "d",
        {"VoiceProfileDomainId": "d"},
    ),
    (
        lambda calls: SpeakerSearchOperations(NOTHING, calls).stop_speaker_search_task,
        "t",
        {"Identifier": "i", "SpeakerSearchTaskId": "t"},
    ),
    (
        lambda calls: VoiceToneAnalysisOperations(NOTHING, calls).stop_voice_tone_analysis_task,
        "t",
        {"Identifier": "i", "VoiceToneAnalysisTaskId": "t"},
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("operation", "busy", "request_"), CHANGES)
async def test_changes_of_one_resource_take_turns(
    operation: Callable[[RequestCounter], Any], busy: str, request_: dict[str, str]
) -> None:
    calls = RequestCounter(1)
    with calls.about(busy), pytest.raises(RequestInProgress):
        await operation(calls)(request_)
