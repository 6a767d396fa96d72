"""Answers of speaker search in the audit trail: who was found, and what that was made from."""

from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.api.access.trail import TASK, TrailRow, add_to_trail
from carillon.arns import Place
from carillon.tasks import Explanation

ACTION: Final = "carillon:IdentifySpeaker"


class Explanations:
    """Writes a row for each answer, in the answer's own transaction: there is none without the other.

    Numbers and ids only: scores tell nothing of a voice.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    async def explain(self, connection: AsyncConnection, at: datetime, explanation: Explanation) -> None:
        """Write down one answer's explanation."""
        await add_to_trail(connection, [explanation_row(self._place, at, explanation)])


def explanation_row(
    place: Place, at: datetime, explanation: Explanation, *, source: str = TASK, user: str | None = None
) -> TrailRow:
    """Return the row of one answer.

    Args:
        place: whose domain it is.
        at: when it was given.
        explanation: what it was made from; its task's id is in the place of a request's.
        source: what gave it.
        user: of this machine, if it was a command.
    """
    matches = explanation.matches
    candidates = [
        {
            "voice_profile_id": candidate.profile_id,
            "channel": candidate.channel,
            "cosine": round(candidate.score, 4),
            "log_likelihood_ratio": round(candidate.log_ratio, 2),
            "confidence": round(candidate.confidence, 4),
            "person": candidate.person,
            "is_match": candidate in matches,
        }
        for candidate in explanation.candidates
    ]
    return TrailRow(
        at=at,
        access_key_id="",
        action=ACTION,
        resource=place.arn("chime", f"voice-profile-domain/{explanation.domain_id}"),
        source=source,
        status=200,
        error=None,
        request_id=explanation.task_id,
        details={
            **({} if user is None else {"user": user}),
            "model": explanation.model_id,
            "band": explanation.band,
            "speech_seconds": round(explanation.speech_seconds, 2),
            "known_voices": explanation.known_voices,
            "threshold": explanation.threshold,
            "candidates": candidates,
        },
    )
