"""An index for each domain, model and band, in memory, in step with the encrypted rows.

How it works: a domain counts its changes (`revision`), and every changed row carries the count at which it changed. An
index remembers the count that it has followed to. A search first asks the domain for its count, one row by primary key;
if the index is behind it reads the rows in between, and only those. So a change that is committed is seen by the next
search, in whichever process it was made; a transaction that fails leaves no trace; and a restart is merely an index
that is behind by everything. What the index proposes is checked against the rows before it is believed.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final, Literal, TypeAlias

import anyio
import numpy as np
import sqlalchemy as sa
from anyio import CapacityLimiter, to_thread
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.audio import Band, BandPair, Embedding
from carillon.clock import Clock
from carillon.profiles import domains
from carillon.profiles.domains import DomainAccess, DomainNotFound
from carillon.profiles.enrolled_voices import sealed_row
from carillon.profiles.index import Neighbor, RowNumbers, VoiceIndex
from carillon.profiles.sealing import unseal_embedding
from carillon.profiles.tables import enrolled_voices, removed_voices, voice_profiles
from carillon.storage import Database, Vault, WrappedKey

_PAGE_ROWS: Final = 4096  # about 5 MB on its way from rows to index
_NAMES_AT_ONCE: Final = 500
_OWNERS: Final = (  # by number alone: with more conditions SQLite walks the whole domain
    sa.select(
        enrolled_voices.c.number,
        enrolled_voices.c.domain_id,
        enrolled_voices.c.expires_at,
        enrolled_voices.c.label,
        enrolled_voices.c.embedding,
        enrolled_voices.c.narrowband,
        voice_profiles.c.profile_id,
    )
    .join(voice_profiles, voice_profiles.c.number == enrolled_voices.c.profile_number)
    .where(enrolled_voices.c.number.in_(sa.bindparam("numbers", expanding=True)))
)
_SPARE: Final = 6  # among a million, the index's rounding can put the tenth in the eleventh place
_WIDER: Final = 4  # ask for so many times more when expired profiles took the best places

_Kind: TypeAlias = tuple[str, Literal["wb", "tel", "narrowband"]]
"""Model, and what an index of it holds: voices as they are, by band, or as a telephone would carry them."""

_COMPARED: Final[Mapping[Band, Sequence[tuple[Literal["wb", "tel", "narrowband"], BandPair]]]] = {
    "wb": (("wb", "wb"), ("tel", "cross")),
    "tel": (("tel", "tel"), ("narrowband", "cross")),
}
"""Which voices a probe is compared with."""

_Judge: TypeAlias = Callable[[Any], float | None]
"""Returns the cosine of a row of `_OWNERS`, None if it is not to be found."""

NewIndex: TypeAlias = Callable[[int], VoiceIndex]
"""Makes an empty index for embeddings of so many dimensions."""


@dataclass(frozen=True, slots=True)
class VoiceMatch:
    """A known voice and how much it sounds like the one searched for."""

    profile_id: str
    score: float  # cosine in [-1, 1]
    channel: BandPair
    size: int  # voices that are known in the domain, of which this is one of the nearest


@dataclass(frozen=True, slots=True)
class Probe:
    """A voice to look for."""

    embedding: Embedding = field(repr=False)
    band: Band
    model_id: str


@dataclass(frozen=True, slots=True)
class _Change:
    """A voice that came."""

    number: int
    profile_id: str
    label: str
    band: Band
    revision: int
    model_id: str
    embedding: bytes = field(repr=False)
    narrowband: bytes | None = field(repr=False)


@dataclass(slots=True)
class _ResidentDomain:
    """What is in memory of one domain."""

    indexes: dict[_Kind, VoiceIndex] = field(default_factory=dict)
    revision: int = 0
    data_key: WrappedKey = field(default=WrappedKey(b""), repr=False)
    lock: anyio.Lock = field(default_factory=anyio.Lock)  # held while following

    def __len__(self) -> int:
        return sum(map(len, self.indexes.values()))

    def count_of(self, model_id: str) -> int:
        """Return how many voices of a model are known, by one embedding each."""
        return sum(len(index) for (of, kind), index in self.indexes.items() if of == model_id and kind != "narrowband")


class ResidentIndexes:
    """Searches any domain; reads it into memory at the first search and follows its changes from then on.

    Args:
        limiter: how many threads may search and decrypt at the same time.
        resident_profiles: beyond so many embeddings the least recently searched domains leave memory.
        new_index: makes what holds the embeddings of one kind in a domain.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        limiter: CapacityLimiter,
        resident_profiles: int,
        new_index: NewIndex,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._limiter = limiter
        self._resident_profiles = resident_profiles
        self._new_index = new_index
        self._residents: OrderedDict[str, _ResidentDomain] = OrderedDict()

    async def search(self, domain_id: str, probe: Probe, limit: int) -> list[VoiceMatch]:
        """Return up to `limit` profiles for each channel, best first within it; expired ones are not known.

        Raises:
            DomainNotFound: there is no such domain.
            SealBroken: a row was tampered with. Rather no answer than one that lacks somebody.
        """
        resident = await self._followed(domain_id)
        size = resident.count_of(probe.model_id)
        matches: list[VoiceMatch] = []
        for kind, channel in _COMPARED[probe.band]:
            index = resident.indexes.get((probe.model_id, kind))
            if index is not None:
                about = partial(
                    self._about, domain_id, resident.data_key, probe.embedding, is_narrowband=kind == "narrowband"
                )
                nearest = await self._nearest(index, probe.embedding, limit, about)
                matches += [VoiceMatch(profile_id, score, channel, size) for profile_id, score in nearest.items()]
        return matches

    async def _nearest(self, index: VoiceIndex, embedding: Embedding, limit: int, about: _Judge) -> dict[str, float]:
        """Return up to `limit` profiles that are known now, the best score of each, best first.

        The index proposes, from rounded values; the rows decide, and are compared as they are.
        """
        asked = limit + _SPARE
        while True:
            proposed = await to_thread.run_sync(index.search, embedding, asked, limiter=self._limiter)
            found = await self._confirmed(proposed, about)
            if len(found) >= limit or len(proposed) < asked:
                best = sorted(found, key=lambda profile_id: -found[profile_id])
                return {profile_id: found[profile_id] for profile_id in best[:limit]}
            asked *= _WIDER

    async def warm(self, domain_id: str) -> None:
        """Read a domain into memory before it is searched.

        Raises:
            DomainNotFound: there is no such domain.
            SealBroken: a row was tampered with.
        """
        await self._followed(domain_id)

    async def follow(self, domain_id: str) -> None:
        """Take a domain's changes in now, if it is in memory: what was deleted leaves memory at once.

        Raises:
            SealBroken: a changed row was tampered with.
        """
        if domain_id in self._residents:
            try:
                await self._followed(domain_id)
            except DomainNotFound:
                self.drop(domain_id)

    def drop(self, domain_id: str) -> None:
        """Drop everything that is in memory of a domain."""
        self._residents.pop(domain_id, None)

    def clear(self) -> None:
        """Drop everything."""
        self._residents.clear()

    def __len__(self) -> int:
        """Return how many embeddings are in memory."""
        return sum(map(len, self._residents.values()))

    async def _followed(self, domain_id: str) -> _ResidentDomain:
        """Return what is in memory of a domain, brought up to its newest committed change."""
        resident = self._residents.setdefault(domain_id, _ResidentDomain())
        self._residents.move_to_end(domain_id)
        try:
            async with self._database.reading() as connection:
                if resident.revision == (await domains.find_access(connection, domain_id)).revision:
                    return resident
            async with resident.lock, self._database.reading() as connection:
                await self._catch_up(connection, domain_id, resident)
        except DomainNotFound:
            self.drop(domain_id)
            raise
        self._shed()
        return resident

    async def _catch_up(self, connection: AsyncConnection, domain_id: str, resident: _ResidentDomain) -> None:
        access = await domains.find_access(connection, domain_id)
        anew = resident.revision < access.compacted_revision  # removals that we have not seen are no longer listed
        indexes, since = ({}, 0) if anew else (resident.indexes, resident.revision)
        if gone := await _removed(connection, domain_id, since):
            await to_thread.run_sync(_remove, indexes, np.array(gone, dtype=np.int64), limiter=self._limiter)
        async for page in _changed(connection, domain_id, since):
            await to_thread.run_sync(self._apply, indexes, access, page, limiter=self._limiter)
        resident.indexes, resident.revision, resident.data_key = indexes, access.revision, access.data_key

    def _apply(self, indexes: dict[_Kind, VoiceIndex], access: DomainAccess, page: Sequence[_Change]) -> None:
        opened: dict[_Kind, list[tuple[int, Embedding]]] = {}
        for change in page:
            row = sealed_row(change.profile_id, change.label)
            embedding = unseal_embedding(self._vault, access.data_key, row, change.embedding)
            opened.setdefault((change.model_id, change.band), []).append((change.number, embedding))
            if change.narrowband is not None:
                narrowband = unseal_embedding(self._vault, access.data_key, row, change.narrowband, "narrowband")
                opened.setdefault((change.model_id, "narrowband"), []).append((change.number, narrowband))
            elif change.band == "wb":  # found from a telephone all the same, if less surely
                opened.setdefault((change.model_id, "narrowband"), []).append((change.number, embedding))
        for kind, voices in opened.items():
            numbers = np.array([number for number, _ in voices], dtype=np.int64)
            embeddings = np.stack([embedding for _, embedding in voices])
            indexes.setdefault(kind, self._new_index(embeddings.shape[1])).put(numbers, embeddings)

    async def _confirmed(self, proposed: Sequence[Neighbor], about: _Judge) -> dict[str, float]:
        """Return the profiles of neighbors that are still known, the best score of each, equal ones in their order."""
        found: dict[str, float] = {}
        remaining = iter(proposed)
        while some := list(islice(remaining, _NAMES_AT_ONCE)):
            async with self._database.reading() as connection:
                rows = await connection.execute(_OWNERS, {"numbers": [neighbor.number for neighbor in some]})
                owners = {row.number: row for row in rows.all()}
            for neighbor in some:
                owner = owners.get(neighbor.number)
                score = None if owner is None else about(owner)
                if owner is not None and score is not None:
                    found[owner.profile_id] = max(score, found.get(owner.profile_id, score))
        return found

    def _about(
        self,
        domain_id: str,
        key: WrappedKey,
        embedding: Embedding,
        voice: Any,  # noqa: ANN401 - a row
        *,
        is_narrowband: bool,
    ) -> float | None:
        """Return the cosine of a row, None if it is of another domain or has expired."""
        if voice.domain_id != domain_id or voice.expires_at <= self._clock.now():
            return None
        name = sealed_row(voice.profile_id, voice.label)
        if is_narrowband and voice.narrowband is not None:
            known = unseal_embedding(self._vault, key, name, voice.narrowband, "narrowband")
        else:
            known = unseal_embedding(self._vault, key, name, voice.embedding)
        return min(1.0, max(-1.0, float(embedding @ known)))

    def _shed(self) -> None:
        while len(self) > self._resident_profiles and len(self._residents) > 1:
            self._residents.popitem(last=False)


def _remove(indexes: Mapping[_Kind, VoiceIndex], numbers: RowNumbers) -> None:
    for index in indexes.values():
        index.remove(numbers)


async def _removed(connection: AsyncConnection, domain_id: str, since: int) -> Sequence[int]:
    query = sa.select(removed_voices.c.number).where(
        removed_voices.c.domain_id == domain_id, removed_voices.c.revision > since
    )
    return (await connection.execute(query)).scalars().all()


async def _changed(connection: AsyncConnection, domain_id: str, since: int) -> AsyncIterator[Sequence[_Change]]:
    """Yield the voices of a domain that came after a revision, in pages, in the order of change."""
    columns = enrolled_voices.c
    query = (
        sa.select(
            columns.number,
            voice_profiles.c.profile_id,
            columns.label,
            columns.band,
            columns.revision,
            columns.model_id,
            columns.embedding,
            columns.narrowband,
        )
        .join(voice_profiles, voice_profiles.c.number == columns.profile_number)
        .where(columns.domain_id == domain_id)
        .order_by(columns.revision, columns.number)
        .limit(_PAGE_ROWS)
    )
    revision, number = since, np.iinfo(np.int64).max
    while True:
        later = sa.tuple_(columns.revision, columns.number) > (revision, int(number))  # SQLite finds it in the index
        page = [_Change(*row) for row in await connection.execute(query.where(later))]
        if page:
            yield page
        if len(page) < _PAGE_ROWS:
            return
        revision, number = page[-1].revision, page[-1].number
