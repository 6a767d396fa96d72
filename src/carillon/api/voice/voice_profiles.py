"""Create, Get, Update, List and DeleteVoiceProfile(s)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from carillon.access.request_counter import RequestCounter
from carillon.api.paging import Pages
from carillon.api.protocol import operation
from carillon.profiles import Profile, Profiles
from carillon.tasks import Tasks


class VoiceProfileOperations:
    """The operations on voice profiles."""

    def __init__(self, profiles: Profiles, tasks: Tasks, pages: Pages, calls: RequestCounter) -> None:
        self._profiles = profiles
        self._tasks = tasks
        self._pages = pages
        self._calls = calls

    @operation("CreateVoiceProfile")
    async def create(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Enroll the voiceprint of a speaker search into the domain that it searched."""
        task_id = request["SpeakerSearchTaskId"]
        with self._calls.about(task_id):
            return {"VoiceProfile": _render(await self._tasks.enroll(task_id))}

    @operation("GetVoiceProfile")
    async def get(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a profile by id."""
        return {"VoiceProfile": _render(await self._profiles.profile(request["VoiceProfileId"]))}

    @operation("UpdateVoiceProfile")
    async def update(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Replace a profile's voiceprint and renew its expiry; revives an expired one."""
        profile_id, task_id = request["VoiceProfileId"], request["SpeakerSearchTaskId"]
        with self._calls.about(profile_id, task_id):
            return {"VoiceProfile": _render(await self._tasks.refresh(profile_id, task_id))}

    @operation("DeleteVoiceProfile")
    async def delete(self, request: Mapping[str, Any]) -> None:
        """Delete a profile, its embedding and its enrollment speech, for good."""
        with self._calls.about(request["VoiceProfileId"]):
            await self._profiles.delete_profile(request["VoiceProfileId"])

    @operation("ListVoiceProfiles")
    async def list_all(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a page of a domain's profiles."""
        domain_id = request["VoiceProfileDomainId"]
        page = await self._pages.page(
            "ListVoiceProfiles",
            request,
            partial(self._profiles.profiles, domain_id),
            lambda item: item.id,
            filters={"VoiceProfileDomainId": domain_id},
        )
        return {"VoiceProfiles": [_render(item) for item in page.items], "NextToken": page.next_token}


def _render(profile: Profile) -> Mapping[str, object]:
    return {
        "VoiceProfileId": profile.id,
        "VoiceProfileArn": profile.arn,
        "VoiceProfileDomainId": profile.domain_id,
        "CreatedTimestamp": profile.created_at,
        "UpdatedTimestamp": profile.updated_at,
        "ExpirationTimestamp": profile.expires_at,
    }
