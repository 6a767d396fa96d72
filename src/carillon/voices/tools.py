"""The parts that the commands on voices work with, opened on the data folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from carillon.analysis import embed_speech, narrowband_embedding
from carillon.arns import Arn
from carillon.audio import Embedding
from carillon.clock import SystemClock
from carillon.config import Settings
from carillon.data_folder import opened
from carillon.inference import Models
from carillon.profiles import BulkProfiles, Domain, KnownVoice, OpenVoice, Profiles
from carillon.storage import Database
from carillon.tasks import Identifier
from carillon.voices.recordings import RecordingEmbedder
from carillon.voices.trail import CommandAuditTrail


@dataclass(frozen=True, slots=True)
class VoiceTools:
    """Profiles and models."""

    database: Database
    profiles: Profiles
    bulk: BulkProfiles
    models: Models
    embedder: RecordingEmbedder
    trail: CommandAuditTrail
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
        """Return the present model's embeddings of a voice's speech: as it is, and narrowband."""
        model = self.models.speaker
        return embed_speech(model, voice.speech), narrowband_embedding(model, voice.speech, voice.band)


@asynccontextmanager
async def open_tools(settings: Settings) -> AsyncIterator[VoiceTools]:
    """Open the data folder for commands on voices."""
    models, clock = Models(settings.inference), SystemClock()
    async with opened(settings, must_exist=True) as data_folder:
        parts = (data_folder.database, data_folder.vault, settings.account, clock, settings.profiles)
        async with Profiles(*parts) as profiles:
            embedder = RecordingEmbedder(models, settings.analysis)
            trail = CommandAuditTrail(data_folder.database, settings.account, clock, is_on=settings.audit.is_on)
            yield VoiceTools(data_folder.database, profiles, BulkProfiles(*parts), models, embedder, trail, settings)
