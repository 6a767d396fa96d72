"""Who is a match: one threshold, or the domain's own."""

from typing import Any

import numpy as np
import pytest

from carillon.audio import Embedding
from carillon.tasks import Candidate, Identification, Identifier, TaskSettings

pytestmark = pytest.mark.anyio

VOICE: Embedding = np.eye(256, dtype=np.float32)[0]


def _identification(threshold: float, *confidences: float) -> Identification:
    candidates = tuple(
        Candidate(
            profile_id=f"p{number}", confidence=confidence, score=0.5, log_ratio=1.0, channel="tel", person=number
        )
        for number, confidence in enumerate(confidences)
    )
    return Identification("d", "m", "tel", 10.0, 0.0, len(candidates), threshold, candidates)


def test_a_candidate_at_the_threshold_is_a_match_and_one_below_it_is_not() -> None:
    found = _identification(0.7, 0.7, np.nextafter(0.7, 0), 0.1)
    assert [candidate.profile_id for candidate in found.matches] == ["p0"]
    assert len(found.candidates) == 3


@pytest.mark.parametrize(
    ("named", "threshold"), [("id", 0.9), ("name", 0.8), ("another", 0.6)], ids=["by id", "by name", "by default"]
)
async def test_a_domain_may_have_a_threshold_of_its_own(quick_room: Any, named: str, threshold: float) -> None:
    domain = await quick_room.domain()
    own = {"id": {domain.id: 0.9, domain.name: 0.1}, "name": {domain.name: 0.8}, "another": {"y": 0.9}}[named]
    settings = TaskSettings(match_confidence=0.6, match_confidence_of=own)
    identifier = Identifier(quick_room.profiles, quick_room.models, settings)
    found = await identifier.identify(domain.id, VOICE, "tel", 10.0)
    assert found.threshold == threshold
    assert found.matches == ()
