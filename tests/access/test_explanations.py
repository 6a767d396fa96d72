"""What an answer was made from is in the audit trail exactly if the answer was given."""

from datetime import UTC, datetime

import pytest

from carillon.access import AuditRow, Explanations, read_trail
from carillon.arns import AwsAccount
from carillon.audit import line
from carillon.storage import Database
from carillon.tasks import Candidate, Identification

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DOMAIN = "arn:aws:chime:us-east-1:111122223333:voice-profile-domain/vpd-1"


def identification(*candidates: Candidate) -> Identification:
    return Identification("vpd-1", "wespeaker", "tel", 10.016, 0.0123, 250, 0.5, candidates)


async def explained(database: Database, of: Identification) -> AuditRow:
    async with database.transaction() as connection:
        await Explanations(AwsAccount()).explain(connection, NOW, "task-1", of)
    ((_, row),) = await read_trail(database, 0, 10)
    return row


async def test_a_row_tells_the_score_and_what_became_of_it_for_each_candidate(database: Database) -> None:
    best, other = Candidate("vp-1", "tel", 0.71239, 9.1234, 0.98765), Candidate("vp-2", "cross", 0.2, -6.0, 0.00001, 1)
    row = await explained(database, identification(best, other))
    assert (row.at, row.access_key_id, row.source, row.status, row.error) == (NOW, "", "task", 200, None)
    assert (row.action, row.resource, row.request_id) == ("carillon:IdentifySpeaker", DOMAIN, "task-1")
    assert row.details == {
        "model": "wespeaker",
        "band": "tel",
        "speech_seconds": 10.02,
        "line_shift": 0.012,
        "known_voices": 250,
        "threshold": 0.5,
        "candidates": [
            {
                "voice_profile_id": "vp-1",
                "channel": "tel",
                "cosine": 0.7124,
                "log_likelihood_ratio": 9.12,
                "confidence": 0.9877,
                "person": 0,
                "is_match": True,
            },
            {
                "voice_profile_id": "vp-2",
                "channel": "cross",
                "cosine": 0.2,
                "log_likelihood_ratio": -6.0,
                "confidence": 0.0,
                "person": 1,
                "is_match": False,
            },
        ],
    }


@pytest.mark.parametrize(
    ("candidates", "told"),
    [
        ((), "nobody is known"),
        ((Candidate("vp-1", "tel", 0.7, 9.0, 0.98),), "is vp-1: confidence 0.98 (cosine 0.7 tel, log"),
        ((Candidate("vp-1", "tel", 0.3, 1.0, 0.02),), "nobody; nearest vp-1: confidence 0.02"),
    ],
)
async def test_a_line_tells_the_best_candidate(
    database: Database, candidates: tuple[Candidate, ...], told: str
) -> None:
    shown = line(await explained(database, identification(*candidates)))
    assert told in shown
    assert "] carillon task" in shown.replace("[/]", "]")


async def test_an_answer_that_was_not_given_is_not_explained(database: Database) -> None:
    async def answer() -> None:
        async with database.transaction() as connection:
            await Explanations(AwsAccount()).explain(connection, NOW, "task-1", identification())
            raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        await answer()
    assert await read_trail(database, 0, 10) == []
