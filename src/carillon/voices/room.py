"""The parts that the commands on voices work with, opened on the data folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from carillon.analysis import embed_speech, twin_embedding
from carillon.app import opened
from carillon.arns import Arn
from carillon.audio import Embedding
from carillon.clock import SystemClock
from carillon.config import Settings
from carillon.inference import Models
from carillon.profiles import BulkProfiles, Domain, KnownVoice, OpenVoice, Profiles
from carillon.storage import Database
from carillon.tasks import Identifier
from carillon.voices.recordings import Listener
from carillon.voices.trail import CommandTrail


@dataclass(frozen=True, slots=True)
class Room:
    """Profiles and models."""

    database: Database
    profiles: Profiles
    bulk: BulkProfiles
    models: Models
    listener: Listener
    trail: CommandTrail
    settings: Settings

    async def domain(self, wanted: str) -> Domain:
        """Return a domain by its id, or by its ARN.

        Raises:
            DomainNotFound, MalformedArn: there is none.
        """
        return await self.profiles.domain(Arn.parse(wanted).name if wanted.startswith("arn:") else wanted)

    @property
    def identifier(self) -> Identifier:
        """Return what says whose voices they are."""
        return Identifier(self.profiles, self.models.speaker, self.settings.tasks)

    async def all_voices(self, domain_id: str) -> AsyncIterator[KnownVoice]:
        """Yield every voice of a domain, open, a few in memory at a time."""
        after = 0
        while page := await self.bulk.voices(domain_id, after):
            for known in page:
                yield known
            after = page[-1].number

    def embedded_anew(self, voice: OpenVoice) -> tuple[Embedding, Embedding | None]:
        """Return the present model's embedding of a voice's speech, and that of its twin."""
        model = self.models.speaker
        return embed_speech(model, voice.speech), twin_embedding(model, voice.speech, voice.band)


@asynccontextmanager
async def room(settings: Settings) -> AsyncIterator[Room]:
    """Open the data folder for commands on voices."""
    models, clock = Models(settings.inference), SystemClock()
    async with opened(settings, must_exist=True) as ground:
        parts = (ground.database, ground.vault, settings.place, clock, settings.profiles)
        async with Profiles(*parts) as profiles:
            listener = Listener(models, settings.analysis)
            trail = CommandTrail(ground.database, settings.place, clock, is_on=settings.audit.is_on)
            yield Room(ground.database, profiles, BulkProfiles(*parts), models, listener, trail, settings)
