from datetime import UTC, datetime

import pytest

from carillon.api.voice.task_results import _search_details
from carillon.notifications import ProfileMatch, SpeakerSearchStatus
from carillon.tasks import SearchResult

AT = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)
MATCHES = (ProfileMatch("vp-1", 0.83), ProfileMatch("vp-2", 0.712345678912))
LIKELY = SearchResult(AT, SpeakerSearchStatus.LIKELY, MATCHES[1:])
IDENTIFIED = SearchResult(AT, SpeakerSearchStatus.IDENTIFIED, MATCHES)
CHANGED = SearchResult(AT, SpeakerSearchStatus.CHANGED, change=0.97)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ([], None),
        ([SearchResult(AT, SpeakerSearchStatus.VOICEPRINT_READY)], "VoiceprintGenerationSuccess"),
        ([SearchResult(AT, SpeakerSearchStatus.VOICEPRINT_FAILED)], "VoiceprintGenerationFailure"),
    ],
)
@pytest.mark.parametrize("before", [[], [LIKELY]])
@pytest.mark.parametrize("after", [[], [CHANGED]])
def test_the_matches_of_the_answer_are_told_and_what_became_of_the_voiceprint(
    before: list[SearchResult], outcome: list[SearchResult], after: list[SearchResult], told: str | None
) -> None:
    assert _search_details([*before, IDENTIFIED, *outcome, *after]) == {
        "Results": [
            {"ConfidenceScore": 0.83, "VoiceProfileId": "vp-1"},
            {"ConfidenceScore": 0.71234568, "VoiceProfileId": "vp-2"},
        ],
        "VoiceprintGenerationStatus": told,
    }


def test_who_is_likely_counts_until_there_is_an_answer() -> None:
    likely = {
        "Results": [{"ConfidenceScore": 0.71234568, "VoiceProfileId": "vp-2"}],
        "VoiceprintGenerationStatus": None,
    }
    assert _search_details([LIKELY]) == likely
    nobody = SearchResult(AT, SpeakerSearchStatus.NO_MATCHES)
    assert _search_details([LIKELY, nobody]) == {**likely, "Results": []}


def test_before_there_is_anything_to_tell_there_are_no_details() -> None:
    assert _search_details([]) is None
