"""Making voice profiles of voiceprints, and what becomes of a voice that its domain knows already.

AWS: CreateVoiceProfile makes a second profile of a person without a word. So do we by default, but write it down.
"""

from collections.abc import Callable, Sequence

from carillon.errors import AlreadyExists
from carillon.profiles import Profile, Profiles
from carillon.tasks.decision import ENROLLED_SECONDS, Candidate
from carillon.tasks.identification import Identifier
from carillon.tasks.settings import TaskSettings
from carillon.tasks.store import TaskStore
from carillon.telemetry import get_logger

log = get_logger()


class VoiceKnown(AlreadyExists):
    """The domain knows a voice already, and is not to have a second profile of it."""

    def __init__(self, known: Sequence[Candidate]) -> None:
        names = ", ".join(candidate.profile_id for candidate in known)
        super().__init__(f"This voice is known already as {names}. Update that voice profile instead.")


class Enrollment:
    """Enrolls voiceprints.

    Args:
        identifier: made when it is first needed, since it may load a model.
    """

    def __init__(
        self, profiles: Profiles, identifier: Callable[[], Identifier], store: TaskStore, settings: TaskSettings
    ) -> None:
        self._profiles = profiles
        self._identifier = identifier
        self._store = store
        self._refuses = settings.known_voices == "refuse"

    async def enroll(self, task_id: str) -> Profile:
        """Make a voice profile of a speaker search's voiceprint; the same one again for the same task.

        Raises:
            VoiceprintNotFound, VoiceprintExpired, TooManyProfiles: as `Profiles.enroll` says.
            VoiceKnown: the domain knows the voice, and `known_voices` is to refuse it.
        """
        known = await self._known_as(task_id)
        if known and self._refuses:
            raise VoiceKnown(known)
        profile = await self._profiles.enroll(task_id)
        if known:
            names = ", ".join(candidate.profile_id for candidate in known)
            log.warning("voice_profile.known_already", voice_profile_id=profile.id, known_as=names, task_id=task_id)
        return profile

    async def _known_as(self, task_id: str) -> Sequence[Candidate]:
        """Return the profiles that a voice is found to be; if there are any, the audit trail has what that rests on."""
        voice = await self._profiles.enrollable_voice(task_id)
        if voice is None:
            return ()
        identifier = self._identifier()
        if voice.model_id != identifier.model_id:
            return ()
        found = await identifier.identify(voice.domain_id, voice.embedding, voice.band, ENROLLED_SECONDS)
        if found.matches:
            await self._store.explain(task_id, found)
        return found.matches
