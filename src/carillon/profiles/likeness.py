"""How alike profiles of one domain are: are two of them one person who was enrolled twice?"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.audio import Band, BandPair, Embedding
from carillon.profiles import domains
from carillon.profiles.enrolled_voices import sealed_row
from carillon.profiles.sealing import unseal_embedding
from carillon.profiles.tables import enrolled_voices, voice_profiles
from carillon.storage import Vault


@dataclass(frozen=True, slots=True)
class Likeness:
    """A voice of one profile beside a voice of another."""

    one: str
    other: str
    channel: BandPair
    score: float  # cosine in [-1, 1]


@dataclass(frozen=True, slots=True)
class _Voice:
    profile_id: str
    band: Band
    embedding: Embedding = field(repr=False)
    by_telephone: Embedding = field(repr=False)
    """Its own embedding if a telephone carried it, else the narrowband one if there is one."""


async def likenesses(
    connection: AsyncConnection, vault: Vault, domain_id: str, profile_ids: Collection[str], model_id: str
) -> Sequence[Likeness]:
    """Compare every voice of each profile with every voice of the others, those of one model.

    Raises:
        DomainNotFound: there is no such domain.
        SealBroken: a row was tampered with.
    """
    access = await domains.find_access(connection, domain_id)
    query = (
        sa.select(enrolled_voices, voice_profiles.c.profile_id)
        .join(voice_profiles, voice_profiles.c.number == enrolled_voices.c.profile_number)
        .where(
            voice_profiles.c.profile_id.in_(profile_ids),
            voice_profiles.c.domain_id == domain_id,
            enrolled_voices.c.model_id == model_id,
        )
    )
    voices = []
    for row in (await connection.execute(query)).all():
        name = sealed_row(row.profile_id, row.label)
        embedding = unseal_embedding(vault, access.data_key, name, row.embedding)
        narrowband = row.narrowband and unseal_embedding(vault, access.data_key, name, row.narrowband, "narrowband")
        voices.append(_Voice(row.profile_id, row.band, embedding, embedding if narrowband is None else narrowband))
    return list(_compared(voices))


def _compared(voices: Sequence[_Voice]) -> Iterator[Likeness]:
    for one, other in combinations(voices, 2):
        if one.profile_id == other.profile_id:
            continue
        if one.band == other.band:
            channel: BandPair = one.band
            score = float(one.embedding @ other.embedding)
        else:
            channel, score = "cross", float(one.by_telephone @ other.by_telephone)
        yield Likeness(one.profile_id, other.profile_id, channel, min(1.0, max(-1.0, score)))
