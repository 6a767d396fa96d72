"""What each command does, without its words: plain values in and out."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from carillon.errors import InvalidRequest
from carillon.profiles import KnownVoice, OpenVoice, Profile, ProfileExists
from carillon.tasks import Candidate
from carillon.voices.archive import read_archive, write_archive
from carillon.voices.recordings import UnfitRecording
from carillon.voices.room import Room

_DUPLICATE_SECONDS = 20.0  # of speech behind every voice that a call enrolled


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


@dataclass(frozen=True, slots=True)
class Pair:
    """Two profiles of a domain that may be one person."""

    one: str
    other: str
    score: float
    confidence: float


async def identify(room: Room, domain_id: str, paths: Sequence[Path], channel: int) -> AsyncIterator[Identified]:
    """Say of each recording whose voice it may be."""
    for path in paths:
        try:
            heard = await to_thread.run_sync(room.listener.identification, path, channel)
        except UnfitRecording as error:
            yield Identified(path, fault=str(error))
            continue
        found = await room.candidates(domain_id, heard.embedding, heard.band, heard.speech_seconds)
        yield Identified(path, found)


async def enroll(
    room: Room, domain_id: str, paths: Sequence[Path], channel: int, profile_id: str | None, label: str
) -> AsyncIterator[Enrolled]:
    """Make a profile of each recording's voice, or add each to one profile under a label."""
    for path in paths:
        try:
            heard = await to_thread.run_sync(room.listener.voiceprint, path, channel)
        except UnfitRecording as error:
            yield Enrolled(path, fault=str(error))
            continue
        voice = OpenVoice(label, heard.band, room.models.speaker.id, heard.embedding, heard.twin, heard.speech)
        if profile_id is None:
            yield Enrolled(path, await room.bulk.enroll(domain_id, voice))
        else:
            yield Enrolled(path, await room.bulk.add_voice(domain_id, profile_id, voice))


async def re_embed(room: Room, domain_id: str, on_voice: Callable[[], None]) -> int:
    """Embed anew every voice that another model embedded; return how many."""
    changed = 0
    async for known in room.all_voices(domain_id):
        on_voice()
        if known.voice.model_id != room.models.speaker.id:
            embedding, twin = await to_thread.run_sync(room.embedded_anew, known.voice)
            await room.bulk.replace(known, embedding, twin, room.models.speaker.id)
            changed += 1
    return changed


async def export(room: Room, domain_id: str, path: Path, passphrase: str) -> int:
    """Write a domain into an archive; return how many voices.

    Raises:
        InvalidRequest: the file exists.
    """
    voices = [known async for known in room.all_voices(domain_id)]
    try:
        return await to_thread.run_sync(write_archive, path, passphrase, voices)
    except FileExistsError as error:
        raise InvalidRequest(f"{path} exists already. Give another name.") from error


async def take_in(room: Room, domain_id: str, path: Path, passphrase: str) -> tuple[int, int]:
    """Read an archive into a domain; return how many voices came and how many were there already.

    The archive is read to its end before anything is changed.

    Raises:
        ArchiveBroken: not whole, changed, or another passphrase.
    """
    voices = await to_thread.run_sync(lambda: list(read_archive(path, passphrase)))
    came = present = 0
    for profile, voice in voices:
        try:
            await room.bulk.put_back(domain_id, profile, voice)
        except ProfileExists:
            present += 1
        else:
            came += 1
    return came, present


async def duplicates(room: Room, domain_id: str, least_confidence: float) -> list[Pair]:
    """Return pairs of profiles that may be one person, surest first."""
    pairs: dict[tuple[str, str], Pair] = {}
    async for known in room.all_voices(domain_id):
        if known.voice.model_id != room.models.speaker.id:
            continue
        for pair in await _like(room, domain_id, known):
            key = min(pair.one, pair.other), max(pair.one, pair.other)
            if pair.confidence >= least_confidence and (key not in pairs or pairs[key].confidence < pair.confidence):
                pairs[key] = pair
    return sorted(pairs.values(), key=lambda pair: -pair.confidence)


async def _like(room: Room, domain_id: str, known: KnownVoice) -> list[Pair]:
    """Return the pairs of one voice with others; its own profile, which it would find first, is left out."""
    matches = await room.profiles.search(
        domain_id, known.voice.embedding, known.voice.model_id, room.settings.tasks.match_limit, band=known.voice.band
    )
    others = [match for match in matches if match.profile_id != known.profile.id]
    found = room.decided(others, _DUPLICATE_SECONDS)
    return [Pair(known.profile.id, other.profile_id, other.score, other.confidence) for other in found]
