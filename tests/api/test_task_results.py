from datetime import UTC, datetime

import pytest

from carillon.api.voice.task_results import _search_details
from carillon.arns import AwsAccount
from carillon.notifications import EventContext, ProfileMatch, SpeakerSearchStatus, speaker_search_event

AT = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize("spelled", ["VoiceprintGenerationSuccess", "VoiceprintGenerationSuccessful"])
@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (None, None),
        (SpeakerSearchStatus.VOICEPRINT_READY, "VoiceprintGenerationSuccess"),
        (SpeakerSearchStatus.VOICEPRINT_FAILED, "VoiceprintGenerationFailure"),
    ],
)
def test_results_are_in_the_words_of_the_model_however_notifications_spell_them(
    spelled: str, outcome: SpeakerSearchStatus | None, told: str | None
) -> None:
    context = EventContext(AwsAccount(), "pipeline", "arn", "task", "arn:stream", 0, None, voiceprint_ready=spelled)
    found = speaker_search_event(
        context, SpeakerSearchStatus.IDENTIFIED, AT, matches=[ProfileMatch("vp-1", 0.83), ProfileMatch("vp-2", 0.71)]
    )
    events = [found] if outcome is None else [found, speaker_search_event(context, outcome, AT)]
    assert _search_details(events) == {
        "Results": [
            {"ConfidenceScore": 0.83, "VoiceProfileId": "vp-1"},
            {"ConfidenceScore": 0.71, "VoiceProfileId": "vp-2"},
        ],
        "VoiceprintGenerationStatus": told,
    }


def test_before_there_is_anything_to_tell_there_are_no_details() -> None:
    assert _search_details([]) is None
