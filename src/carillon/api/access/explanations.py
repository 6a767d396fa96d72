"""Answers of speaker search in the audit trail: who was found, and what that was made from."""

from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.api.access.trail import TASK, TrailRow, add_to_trail
from carillon.arns import Place
from carillon.tasks import Identification

ACTION: Final = "carillon:IdentifySpeaker"


class Explanations:
    """Writes a row for each answer, in the answer's own transaction: there is none without the other.

    Numbers and ids only: scores tell nothing of a voice.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    async def explain(self, connection: AsyncConnection, at: datetime, task_id: str, found: Identification) -> None:
        """Write down what an answer of a task was made from."""
        await add_to_trail(connection, [explanation_row(self._place, at, task_id, found)])


def explanation_row(
    place: Place, at: datetime, asked_by: str, found: Identification, *, source: str = TASK, user: str | None = None
) -> TrailRow:
    """Return the row of one answer.

    Args:
        place: whose domain it is.
        at: when it was given.
        asked_by: the id of the task, or one for this occasion: in the place of a request's.
        found: what it was made from.
        source: what gave it.
        user: of this machine, if it was a command.
    """
    matches = found.matches
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
        for candidate in found.candidates
    ]
    return TrailRow(
        at=at,
        access_key_id="",
        action=ACTION,
        resource=place.arn("chime", f"voice-profile-domain/{found.domain_id}"),
        source=source,
        status=200,
        error=None,
        request_id=asked_by,
        details={
            **({} if user is None else {"user": user}),
            "model": found.model_id,
            "band": found.band,
            "speech_seconds": round(found.speech_seconds, 2),
            "known_voices": found.known_voices,
            "threshold": found.threshold,
            "candidates": candidates,
        },
    )
