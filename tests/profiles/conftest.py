"""A room of profiles over a real database, and voices to fill it with."""

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from uuid import UUID

import numpy as np
import pytest

from carillon.arns import AwsAccount
from carillon.audio import Embedding
from carillon.clock import ManualClock
from carillon.profiles import Band, Domain, Profiles, ProfileSettings, Voiceprint
from carillon.storage import Database, Vault

MODEL = "resnet34-lm/1"


def _voice(seed: int) -> Embedding:
    drawn = np.random.default_rng(seed).standard_normal(256).astype(np.float32)
    embedding: Embedding = drawn / np.linalg.norm(drawn)
    return embedding


@pytest.fixture
def voice() -> Callable[[int], Embedding]:
    """Return the embedding of an imaginary speaker, (256,), L2 norm 1."""
    return _voice


@pytest.fixture
def open_profiles(database: Database, vault: Vault, clock: ManualClock) -> Callable[..., Profiles]:
    """Open the room once more: another process, or other settings. Ids count up within each."""
    rooms = count(0)

    def another(settings: ProfileSettings | None = None) -> Profiles:
        numbers = count(next(rooms) * 1_000 + 1)
        return Profiles(database, vault, AwsAccount(), clock, settings, new_id=lambda: UUID(int=next(numbers)))

    return another


@pytest.fixture
async def profiles(open_profiles: Callable[..., Profiles], anyio_backend: str) -> AsyncIterator[Profiles]:
    """The room, without quotas."""
    async with open_profiles() as room:
        yield room


@pytest.fixture
async def domain(profiles: Profiles) -> Domain:
    """A domain to enroll into."""
    return await profiles.create_domain("callers", None, "arn:aws:kms:us-east-1:111122223333:key/5f8a")


@pytest.fixture
def hear(profiles: Profiles, database: Database, clock: ManualClock) -> Callable[..., Awaitable[None]]:
    """Keep a voiceprint of an imaginary speaker, as a task would."""

    async def keep(
        task_id: str,
        domain_id: str,
        seed: int,
        model_id: str = MODEL,
        band: Band = "tel",
        narrowband: int | None = None,
    ) -> None:
        speech = np.random.default_rng(seed).integers(-9_000, 9_000, 1_600, dtype=np.int16)
        narrow = _voice(narrowband) if narrowband else None
        heard = Voiceprint(task_id, domain_id, _voice(seed), speech, model_id, clock.now(), band, narrow)
        async with database.transaction() as connection:
            await profiles.keep_voiceprint(connection, heard)

    return keep
