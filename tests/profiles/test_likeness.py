"""How alike profiles are, by what they were heard over."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.arns import AwsAccount
from carillon.audio import Band, Embedding
from carillon.clock import ManualClock
from carillon.profiles import BulkProfiles, OpenVoice, Profile, Profiles
from carillon.storage import Database, Vault

pytestmark = pytest.mark.anyio

KMS_KEY = "arn:aws:kms:us-east-1:111122223333:key/5f8a"


def at(degrees: float) -> Embedding:
    """Return an embedding in a plane, so that cosines are those of the angles between."""
    angle = math.radians(degrees)
    return np.array([math.cos(angle), math.sin(angle), 0, 0], dtype=np.float32)


async def nothing(connection: AsyncConnection, profile: Profile) -> None:
    pass


@pytest.fixture
def enroll(database: Database, vault: Vault, clock: ManualClock) -> Callable[..., Any]:
    bulk = BulkProfiles(database, vault, AwsAccount(), clock)

    async def make(
        domain_id: str,
        degrees: float,
        band: Band = "tel",
        narrowband: float | None = None,
        model: str = "m",
        to: str | None = None,
    ) -> str:
        by_telephone = None if narrowband is None else at(narrowband)
        voice = OpenVoice("headset" if to else "", band, model, at(degrees), by_telephone, np.zeros(9, np.int16))
        if to is None:
            return (await bulk.enroll(domain_id, voice, nothing)).id
        return (await bulk.add_voice(domain_id, to, voice, nothing)).id

    return make


@pytest.fixture
def profiles(database: Database, vault: Vault, clock: ManualClock) -> Profiles:
    return Profiles(database, vault, AwsAccount(), clock)


async def test_profiles_are_compared_over_the_channel_that_both_were_heard_over(
    profiles: Profiles, enroll: Callable[..., Any]
) -> None:
    domain_id = (await profiles.create_domain("callers", None, KMS_KEY)).id
    wide = await enroll(domain_id, 0, "wb", narrowband=20)
    bare = await enroll(domain_id, 10, "wb")
    phone = await enroll(domain_id, 50)
    other = await enroll(domain_id, 60)
    found = await profiles.likenesses(domain_id, [wide, bare, phone, other], "m")
    told = {frozenset((one.one, one.other)): (one.channel, round(math.degrees(math.acos(one.score)))) for one in found}
    assert told == {
        frozenset((wide, bare)): ("wb", 10),
        frozenset((wide, phone)): ("cross", 30),
        frozenset((wide, other)): ("cross", 40),
        frozenset((bare, phone)): ("cross", 40),
        frozenset((bare, other)): ("cross", 50),
        frozenset((phone, other)): ("tel", 10),
    }


async def test_every_voice_of_a_profile_is_compared_but_not_with_its_own_and_not_across_models(
    profiles: Profiles, enroll: Callable[..., Any]
) -> None:
    domain_id = (await profiles.create_domain("callers", None, KMS_KEY)).id
    elsewhere = (await profiles.create_domain("others", None, KMS_KEY)).id
    one, other = await enroll(domain_id, 0), await enroll(domain_id, 30)
    await enroll(domain_id, 20, to=one)
    older, foreign = await enroll(domain_id, 0, model="older"), await enroll(elsewhere, 0)
    found = await profiles.likenesses(domain_id, [one, other, older, foreign], "m")
    assert {frozenset((like.one, like.other)) for like in found} == {frozenset((one, other))}
    assert sorted(round(math.degrees(math.acos(like.score))) for like in found) == [10, 30]


async def test_a_cosine_never_leaves_its_range(profiles: Profiles, enroll: Callable[..., Any]) -> None:
    domain_id = (await profiles.create_domain("callers", None, KMS_KEY)).id
    same = [await enroll(domain_id, 33.3) for _ in range(2)]
    (found,) = await profiles.likenesses(domain_id, same, "m")
    assert found.score <= 1.0
