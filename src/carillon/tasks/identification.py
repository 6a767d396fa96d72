"""Whose voice is it, of those in a domain? Search, evidence, decision: for a call, a recording, or an enrollment."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from carillon.analysis.speaker import LogLikelihoodRatio
from carillon.audio import Band, Embedding
from carillon.inference import Compensated
from carillon.profiles import Profiles
from carillon.tasks.decision import Candidate, decide, plausible
from carillon.tasks.settings import TaskSettings


class NamedSpeakerModel(LogLikelihoodRatio, Protocol):
    """A speaker model's id, and what its cosines are evidence for."""

    @property
    def id(self) -> str:
        """Return the name that every embedding of this model is kept under."""
        ...

    def compensated(self, voice: Embedding, band: Band, speech_seconds: float) -> Compensated:
        """Return a voice that is searched without what its line did to it."""
        ...


@dataclass(frozen=True, slots=True)
class Identification:
    """Who it may be, and what that was made from: numbers and ids, nothing of a voice."""

    domain_id: str
    model_id: str
    band: Band
    """What carried the voice."""
    speech_seconds: float
    """Behind its embedding."""
    line_shift: float
    """What the line of the call took from its cosines, by its sound: added to each before it became evidence."""
    known_voices: int
    """In the domain, of which the candidates are the nearest."""
    threshold: float
    """The confidence from which on a candidate is a match."""
    candidates: tuple[Candidate, ...]
    """Best first, matches or not; at most `match_limit`."""

    @property
    def matches(self) -> tuple[Candidate, ...]:
        """Return the candidates that are published."""
        return tuple(candidate for candidate in self.candidates if candidate.confidence >= self.threshold)


class Identifier:
    """Says whose voices they are.

    Args:
        profiles: who is known.
        model: made the embeddings.
        settings: what is a match, and how many are published.
    """

    def __init__(self, profiles: Profiles, model: NamedSpeakerModel, settings: TaskSettings) -> None:
        self._profiles = profiles
        self._model = model
        self._settings = settings

    @property
    def model_id(self) -> str:
        """Return which model's embeddings can be identified."""
        return self._model.id

    async def identify(
        self,
        domain_id: str,
        voice: Embedding,
        band: Band,
        speech_seconds: float,
        *,
        without: Collection[str] = (),
    ) -> Identification:
        """Compare (d,), L2 norm 1, with the profiles of a domain.

        Args:
            domain_id: where to look.
            voice: an embedding of the model.
            band: what carried it.
            speech_seconds: speech behind it.
            without: profiles that are not asked about.

        Raises:
            DomainNotFound: there is no such domain.
            SealBroken: a row of the domain was tampered with.
        """
        limit = self._settings.match_limit
        heard = self._model.compensated(voice, band, speech_seconds)
        nearest = await self._profiles.search(
            domain_id, heard.embedding, self._model.id, limit + len(without), band=band
        )
        found = [match for match in nearest if match.profile_id not in without]
        asked = plausible(found, self._model, speech_seconds, heard.shift)
        alike = await self._profiles.likenesses(domain_id, asked, self._model.id) if len(asked) > 1 else ()
        candidates = decide(found, self._model, speech_seconds, self._settings.known_callers, alike, heard.shift)
        known_voices = found[0].size if found else 0
        return Identification(
            domain_id=domain_id,
            model_id=self._model.id,
            band=band,
            speech_seconds=speech_seconds,
            line_shift=heard.shift,
            known_voices=known_voices,
            threshold=await self._threshold(domain_id),
            candidates=candidates[:limit],
        )

    async def _threshold(self, domain_id: str) -> float:
        """Return the confidence that is a match in this domain: by its id or its name, else the one for all."""
        own = self._settings.match_confidence_of
        if not own or domain_id in own:
            return own.get(domain_id, self._settings.match_confidence)
        domain = await self._profiles.domain(domain_id)
        return own.get(domain.name, self._settings.match_confidence)
