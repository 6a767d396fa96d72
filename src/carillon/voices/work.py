"""What each command does, without its words: plain values in and out."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from anyio import to_thread

from carillon.analysis import IdentificationReady, VoiceprintReady
from carillon.errors import CarillonError, InvalidRequest
from carillon.profiles import KnownVoice, OpenVoice, Profile, ProfileExists
from carillon.tasks import ENROLLED_SECONDS, Candidate, Identification
from carillon.voices.archive import read_archive, writing_archive
from carillon.voices.tools import VoiceTools


@dataclass(frozen=True, slots=True)
class Identified:
    """What a recording's voice was found to be, or why nothing can be said."""

    path: Path
    candidates: tuple[Candidate, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The profile that a recording's voice went into, or why it did not."""

    path: Path
    profile: Profile | None = None
    fault: str | None = None
    known_as: tuple[Candidate, ...] = ()
    """Other profiles of the domain that this voice was found to be, before it was added."""


OnKnown: TypeAlias = Callable[[Path, Sequence[Candidate]], None]
"""Told of a recording whose voice the domain knows already, before anything is added."""


class ImportInterrupted(CarillonError):
    """An import ended in the middle; says what came in."""

    def __init__(self, came: int, present: int, error: CarillonError) -> None:
        super().__init__(
            f"{error} Until then {came} voice(s) had come in and {present} were there already; they stay. Run the "
            "import again for the others."
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two profiles of a domain that may be one person."""

    one: str
    other: str
    score: float
    confidence: float


async def identify(tools: VoiceTools, domain_id: str, paths: Sequence[Path], channel: int) -> AsyncIterator[Identified]:
    """Yield for each recording whose voice it may be."""
    for path in paths:
        try:
            finding = await to_thread.run_sync(tools.embedder.identification, path, channel)
        except InvalidRequest as error:  # of this recording: the others are analyzed all the same
            yield Identified(path, fault=str(error))
            continue
        found = await _identified(tools, domain_id, finding)
        yield Identified(path, found.candidates)


async def enroll(
    tools: VoiceTools,
    domain_id: str,
    paths: Sequence[Path],
    channel: int,
    profile_id: str | None,
    label: str,
    *,
    refuse_known: bool,
    on_known: OnKnown,
) -> AsyncIterator[Enrolled]:
    """Make a profile of each recording's voice, or add each to one profile under a label.

    A voice that the domain knows already, as another profile, is reported before it is added, or refused.
    """
    for path in paths:
        try:
            finding = await to_thread.run_sync(tools.embedder.voiceprint, path, channel)
        except InvalidRequest as error:  # of this recording: the others are analyzed all the same
            yield Enrolled(path, fault=str(error))
            continue
        known = (await _identified(tools, domain_id, finding, without=[profile_id] if profile_id else [])).matches
        if known and (refuse_known or tools.settings.tasks.known_voices == "refuse"):
            yield Enrolled(path, fault=_known_already(known), known_as=known)
            continue
        if known:
            on_known(path, known)
        model_id = tools.models.speaker.id
        voice = OpenVoice(label, finding.band, model_id, finding.embedding, finding.narrowband, finding.speech)
        if profile_id is None:
            made = await tools.bulk.enroll(domain_id, voice, tools.trail.enrolled)
        else:
            made = await tools.bulk.add_voice(domain_id, profile_id, voice, tools.trail.enrolled)
        yield Enrolled(path, made, known_as=known)


async def re_embed(tools: VoiceTools, domain_id: str, on_voice: Callable[[], None]) -> int:
    """Embed anew every voice that another model embedded; return how many."""
    await tools.trail.note("EmbedVoicesAnew", domain_id, model=tools.models.speaker.id)
    changed = 0
    async for known in tools.all_voices(domain_id):
        on_voice()
        if known.voice.model_id != tools.models.speaker.id:
            embedding, narrowband = await to_thread.run_sync(tools.embedded_anew, known.voice)
            await tools.bulk.replace(known, embedding, narrowband, tools.models.speaker.id)
            changed += 1
    return changed


async def export(tools: VoiceTools, domain_id: str, path: Path, passphrase: str) -> int:
    """Write a domain into an archive, one voice after the other; return how many.

    Raises:
        InvalidRequest: the file exists, or cannot be written.
    """
    try:
        with writing_archive(path, passphrase) as archive:
            await tools.trail.note("ExportVoices", domain_id, file=str(path))
            async for known in tools.all_voices(domain_id):
                archive.add(known)
    except FileExistsError as error:
        raise InvalidRequest(f"{path} exists already. Give another name.") from error
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}.") from error
    return archive.count


async def take_in(tools: VoiceTools, domain_id: str, path: Path, passphrase: str) -> tuple[int, int]:
    """Read an archive into a domain; return how many voices came and how many were there already.

    The archive is read to its end before anything is changed, and then once more, one voice after the other.

    Raises:
        ArchiveBroken: not whole, changed, or another passphrase.
        ImportInterrupted: it could not be finished.
    """
    count = sum(1 for _ in read_archive(path, passphrase))
    await tools.trail.note("ImportVoices", domain_id, file=str(path), voices=count)
    came = present = 0
    try:
        for profile, voice in read_archive(path, passphrase):
            try:
                await tools.bulk.put_back(domain_id, profile, voice)
            except ProfileExists:
                present += 1
            else:
                came += 1
    except CarillonError as error:
        raise ImportInterrupted(came, present, error) from error
    return came, present


async def duplicates(tools: VoiceTools, domain_id: str, least_confidence: float) -> list[Pair]:
    """Return pairs of profiles that may be one person, surest first."""
    await tools.trail.note("FindDuplicateVoices", domain_id)
    pairs: dict[tuple[str, str], Pair] = {}
    async for known in tools.all_voices(domain_id):
        if known.voice.model_id != tools.models.speaker.id:
            continue
        for pair in await _like(tools, domain_id, known):
            key = min(pair.one, pair.other), max(pair.one, pair.other)
            if pair.confidence >= least_confidence and (key not in pairs or pairs[key].confidence < pair.confidence):
                pairs[key] = pair
    return sorted(pairs.values(), key=lambda pair: -pair.confidence)


async def _like(tools: VoiceTools, domain_id: str, known: KnownVoice) -> list[Pair]:
    """Return the pairs of one voice with others; its own profile, which it would find first, is left out."""
    profile, voice = known.profile, known.voice
    found = await tools.identifier.identify(
        domain_id, voice.embedding, voice.band, ENROLLED_SECONDS, without=[profile.id]
    )
    return [Pair(profile.id, other.profile_id, other.score, other.confidence) for other in found.candidates]


async def _identified(
    tools: VoiceTools, domain_id: str, finding: IdentificationReady | VoiceprintReady, without: Sequence[str] = ()
) -> Identification:
    """Return whose voice it may be, and write an audit row."""
    seconds = finding.speech_seconds if isinstance(finding, IdentificationReady) else ENROLLED_SECONDS
    found = await tools.identifier.identify(domain_id, finding.embedding, finding.band, seconds, without=without)
    await tools.trail.explain(found)
    return found


def _known_already(known: Sequence[Candidate]) -> str:
    names = ", ".join(f"{one.profile_id} (confidence {one.confidence:.2f})" for one in known)
    return f"This voice is known already as {names}; nothing was added."
