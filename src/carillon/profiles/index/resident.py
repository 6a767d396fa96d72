"""One index for each domain and model, in memory, in step with the encrypted rows.

How it works: a domain counts its changes (`revision`), and every changed row carries the count at which it changed. An
index remembers the count that it has followed to. A search first asks the domain for its count, one row by primary key;
if the index is behind it reads the rows in between, and only those. So a change that is committed is seen by the next
search, in whichever process it was made; a transaction that fails leaves no trace; and a restart is merely an index
that is behind by everything. What the index proposes is checked against the rows before it is believed.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeAlias

import anyio
import numpy as np
import sqlalchemy as sa
from anyio import CapacityLimiter, to_thread
from sqlalchemy.ext.asyncio import AsyncConnection

from carillon.audio import Embedding
from carillon.clock import Clock
from carillon.profiles import domains
from carillon.profiles.domains import DomainNotFound, Held
from carillon.profiles.index import Neighbor, Numbers, VoiceIndex
from carillon.profiles.index.exact import ExactIndex
from carillon.profiles.sealing import unseal_embedding
from carillon.profiles.tables import removed_voice_profiles, voice_profiles
from carillon.profiles.voice_profiles import sealed_row
from carillon.storage import Database, Vault

_PAGE_ROWS: Final = 4096  # about 5 MB on its way from rows to index
_NAMES_AT_ONCE: Final = 500
_WIDER: Final = 4  # ask for so many times more when expired profiles took the best places

NewIndex: TypeAlias = Callable[[int], VoiceIndex]
"""Makes an empty index for embeddings of so many dimensions."""


@dataclass(frozen=True, slots=True)
class Match:
    """A known voice and how much it sounds like the one searched for."""

    profile_id: str
    score: float  # cosine in [-1, 1]


@dataclass(frozen=True, slots=True)
class _Change:
    """A row that changed: `sealed` is None if its embedding is gone."""

    number: int
    profile_id: str
    revision: int
    model_id: str
    sealed: bytes | None = field(repr=False)


@dataclass(slots=True)
class _Shelf:
    """What is in memory of one domain."""

    indexes: dict[str, VoiceIndex] = field(default_factory=dict)  # by model
    revision: int = 0
    lock: anyio.Lock = field(default_factory=anyio.Lock)  # held while following

    def __len__(self) -> int:
        return sum(map(len, self.indexes.values()))


class ResidentIndexes:
    """Searches any domain; reads it into memory at the first search and follows its changes from then on.

    Args:
        limiter: how many threads may search and decrypt at the same time.
        resident_profiles: beyond so many embeddings the least recently searched domains leave memory.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        limiter: CapacityLimiter,
        resident_profiles: int,
        new_index: NewIndex = ExactIndex,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._limiter = limiter
        self._resident_profiles = resident_profiles
        self._new_index = new_index
        self._shelves: OrderedDict[str, _Shelf] = OrderedDict()

    async def search(self, domain_id: str, embedding: Embedding, model_id: str, limit: int) -> list[Match]:
        """Return up to `limit` profiles of one model in a domain, best first; expired ones are not known.

        Raises:
            DomainNotFound: there is no such domain.
            SealBroken: a row was tampered with. Rather no answer than one that lacks somebody.
        """
        index = (await self._followed(domain_id)).indexes.get(model_id)
        if index is None:
            return []
        asked = limit
        while True:
            proposed = await to_thread.run_sync(index.search, embedding, asked, limiter=self._limiter)
            matches = await self._confirmed(domain_id, model_id, proposed, limit)
            if len(matches) == limit or len(proposed) < asked:
                return matches
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
        if domain_id in self._shelves:
            try:
                await self._followed(domain_id)
            except DomainNotFound:
                self.drop(domain_id)

    def drop(self, domain_id: str) -> None:
        """Let go of everything that is in memory of a domain."""
        self._shelves.pop(domain_id, None)

    def clear(self) -> None:
        """Let go of everything."""
        self._shelves.clear()

    def __len__(self) -> int:
        """Return how many embeddings are in memory."""
        return sum(map(len, self._shelves.values()))

    async def _followed(self, domain_id: str) -> _Shelf:
        """Return what is in memory of a domain, brought up to its newest committed change."""
        shelf = self._shelves.setdefault(domain_id, _Shelf())
        self._shelves.move_to_end(domain_id)
        try:
            async with self._database.reading() as connection:
                if shelf.revision == (await domains.hold(connection, domain_id)).revision:
                    return shelf
            async with shelf.lock, self._database.reading() as connection:
                await self._catch_up(connection, domain_id, shelf)
        except DomainNotFound:
            self.drop(domain_id)
            raise
        self._shed()
        return shelf

    async def _catch_up(self, connection: AsyncConnection, domain_id: str, shelf: _Shelf) -> None:
        held = await domains.hold(connection, domain_id)
        anew = shelf.revision < held.compacted_revision  # removals that we have not seen are no longer listed
        indexes, since = ({}, 0) if anew else (shelf.indexes, shelf.revision)
        if gone := await _removed(connection, domain_id, since):
            await to_thread.run_sync(_remove, indexes, np.array(gone, dtype=np.int64), limiter=self._limiter)
        async for page in _changed(connection, domain_id, since):
            await to_thread.run_sync(self._apply, indexes, held, page, limiter=self._limiter)
        shelf.indexes, shelf.revision = indexes, held.revision

    def _apply(self, indexes: dict[str, VoiceIndex], held: Held, page: Sequence[_Change]) -> None:
        _remove(indexes, np.array([change.number for change in page], dtype=np.int64))
        for model_id in {change.model_id for change in page}:
            kept = [change for change in page if change.model_id == model_id and change.sealed is not None]
            if not kept:
                continue
            embeddings = np.stack(
                [
                    unseal_embedding(self._vault, held.data_key, sealed_row(change.profile_id), change.sealed)
                    for change in kept
                    if change.sealed is not None
                ]
            )
            index = indexes.setdefault(model_id, self._new_index(embeddings.shape[1]))
            index.put(np.array([change.number for change in kept], dtype=np.int64), embeddings)

    async def _confirmed(self, domain_id: str, model_id: str, proposed: Sequence[Neighbor], limit: int) -> list[Match]:
        """Return the first `limit` neighbors that are still in the domain and not expired, in the same order."""
        matches: list[Match] = []
        remaining = iter(proposed)
        while len(matches) < limit and (some := list(islice(remaining, _NAMES_AT_ONCE))):
            numbers = [neighbor.number for neighbor in some]
            async with self._database.reading() as connection:
                rows = await connection.execute(
                    sa.select(voice_profiles.c.number, voice_profiles.c.profile_id).where(
                        voice_profiles.c.number.in_(numbers),
                        voice_profiles.c.domain_id == domain_id,
                        voice_profiles.c.model_id == model_id,
                        voice_profiles.c.expires_at > self._clock.now(),
                    )
                )
                names: Mapping[int, str] = {row.number: row.profile_id for row in rows}
            matches += [Match(names[neighbor.number], neighbor.score) for neighbor in some if neighbor.number in names]
        return matches[:limit]

    def _shed(self) -> None:
        while len(self) > self._resident_profiles and len(self._shelves) > 1:
            self._shelves.popitem(last=False)


def _remove(indexes: Mapping[str, VoiceIndex], numbers: Numbers) -> None:
    for index in indexes.values():
        index.remove(numbers)


async def _removed(connection: AsyncConnection, domain_id: str, since: int) -> Sequence[int]:
    query = sa.select(removed_voice_profiles.c.number).where(
        removed_voice_profiles.c.domain_id == domain_id, removed_voice_profiles.c.revision > since
    )
    return (await connection.execute(query)).scalars().all()


async def _changed(connection: AsyncConnection, domain_id: str, since: int) -> AsyncIterator[Sequence[_Change]]:
    """Yield the rows of a domain that changed after a revision, in pages, in the order of change."""
    columns = voice_profiles.c
    query = (
        sa.select(columns.number, columns.profile_id, columns.revision, columns.model_id, columns.embedding)
        .where(columns.domain_id == domain_id)
        .order_by(columns.revision, columns.number)
        .limit(_PAGE_ROWS)
    )
    revision, number = since, np.iinfo(np.int64).max
    while True:
        later = (columns.revision > revision) | ((columns.revision == revision) & (columns.number > int(number)))
        page = [_Change(*row) for row in await connection.execute(query.where(later))]
        if page:
            yield page
        if len(page) < _PAGE_ROWS:
            return
        revision, number = page[-1].revision, page[-1].number
