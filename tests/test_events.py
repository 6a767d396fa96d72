"""One notification as one line: what a task found out is said from its result."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.text import Text

from carillon.arns import AwsAccount
from carillon.events import line
from carillon.notifications import (
    EventContext,
    PipelineEventType,
    ProfileMatch,
    SpeakerSearchStatus,
    ToneWindow,
    VoiceToneStatus,
    pipeline_event,
    speaker_search_event,
)
from carillon.tasks import SearchResult, TaskResult, ToneResult

AT = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)
STREAM = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/support/1732270000000"
CONTEXT = EventContext(AwsAccount(), "pipeline-1", "arn:pipeline", "task-1", STREAM, 0, None)
NOW = ToneWindow(0, 30_000, AT, AT, "negative", 0.7, 0.2, 0.1)
OVERALL = replace(NOW, label="neutral")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            SearchResult(
                AT, SpeakerSearchStatus.IDENTIFIED, (ProfileMatch("vp-1", 0.987654321), ProfileMatch("vp-2", 0.7))
            ),
            "vp-1 0.99, vp-2 0.70",
        ),
        (
            SearchResult(AT, SpeakerSearchStatus.VOICEPRINT_FAILED, message="Too little [speech]."),
            "Too little [speech].",
        ),
        (ToneResult(AT, VoiceToneStatus.DRIFTED, NOW, OVERALL, "It turned."), "now negative, call neutral"),
        (ToneResult(AT, VoiceToneStatus.FAILED, message="No speech."), "No speech."),
    ],
)
def test_a_line_says_what_was_found_out(result: TaskResult, said: str) -> None:
    event = speaker_search_event(CONTEXT, SpeakerSearchStatus.IDENTIFIED, AT)
    shown = Text.from_markup(line(event, result, ())).plain
    assert shown.startswith("2026-11-22 10:15:30  IdentificationSuccessful  ")
    assert shown.split("  ")[2:] == [said, "call pipeline-1", "stream support", "task task-1", f"id {event.id}"]


def test_a_line_of_a_pipeline_says_why_it_failed() -> None:
    failed = PipelineEventType.PERMANENT_FAILURE
    event = pipeline_event(
        AwsAccount(),
        pipeline_id="pipeline-1",
        pipeline_arn="arn",
        event_type=failed,
        at=AT,
        failure_reason="No stream.",
    )
    assert Text.from_markup(line(event, None, ())).plain.split("  ")[2] == "No stream."
