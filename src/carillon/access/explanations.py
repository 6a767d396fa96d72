"""Answers of speaker search in the audit trail: who was found, what that rests on, and when somebody else spoke."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.access.trail import TASK, AuditRow, add_to_trail
from carillon.analysis import SpeakerChanged
from carillon.arns import AwsAccount
from carillon.tasks import Identification

ACTION: Final = "carillon:IdentifySpeaker"
CHANGE_ACTION: Final = "carillon:DetectSpeakerChange"


class Explanations:
    """Writes a row for each answer, in the answer's own transaction: there is none without the other.

    Numbers and ids only: scores tell nothing of a voice.
    """

    def __init__(self, account: AwsAccount) -> None:
        self._account = account

    async def explain(self, connection: AsyncConnection, at: datetime, task_id: str, found: Identification) -> None:
        """Write down what an answer of a task was made from."""
        await add_to_trail(connection, [explanation_row(self._account, at, task_id, found)])

    async def explain_change(
        self, connection: AsyncConnection, at: datetime, task_id: str, domain_id: str, change: SpeakerChanged
    ) -> None:
        """Write down that the voice of a call was compared with itself, and found to be another."""
        details = {"confidence": round(change.confidence, 4), "speech_seconds": round(change.speech_seconds, 2)}
        await add_to_trail(connection, [_row(self._account, at, task_id, CHANGE_ACTION, domain_id, details)])


def explanation_row(
    account: AwsAccount,
    at: datetime,
    asked_by: str,
    found: Identification,
    *,
    source: str = TASK,
    user: str | None = None,
) -> AuditRow:
    """Return the row of one answer.

    Args:
        account: whose domain it is.
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
    details = {
        **({} if user is None else {"user": user}),
        "model": found.model_id,
        "band": found.band,
        "speech_seconds": round(found.speech_seconds, 2),
        "line_shift": round(found.line_shift, 3),
        "known_voices": found.known_voices,
        "threshold": found.threshold,
        "candidates": candidates,
    }
    return _row(account, at, asked_by, ACTION, found.domain_id, details, source)


def _row(
    account: AwsAccount,
    at: datetime,
    asked_by: str,
    action: str,
    domain_id: str,
    details: Mapping[str, object],
    source: str = TASK,
) -> AuditRow:
    return AuditRow(
        at=at,
        access_key_id="",
        action=action,
        resource=account.arn("chime", f"voice-profile-domain/{domain_id}"),
        source=source,
        status=200,
        error=None,
        request_id=asked_by,
        details=dict(details),
    )
