"""Create, Get, Update, List and DeleteVoiceProfile(s)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from carillon.api.paging import Pages
from carillon.api.protocol import operation
from carillon.profiles import Profile, Profiles
from carillon.tasks import Tasks


class VoiceProfileOperations:
    """The operations on voice profiles."""

    def __init__(self, profiles: Profiles, tasks: Tasks, pages: Pages) -> None:
        self._profiles = profiles
        self._tasks = tasks
        self._pages = pages

    @operation("CreateVoiceProfile")
    async def create(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Enroll the voiceprint of a speaker search into the domain that it searched."""
        return {"VoiceProfile": _render(await self._tasks.enroll(request["SpeakerSearchTaskId"]))}

    @operation("GetVoiceProfile")
    async def get(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a profile by id."""
        return {"VoiceProfile": _render(await self._profiles.profile(request["VoiceProfileId"]))}

    @operation("UpdateVoiceProfile")
    async def update(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Replace a profile's voiceprint and renew its expiry; revives an expired one."""
        made = await self._tasks.refresh(request["VoiceProfileId"], request["SpeakerSearchTaskId"])
        return {"VoiceProfile": _render(made)}

    @operation("DeleteVoiceProfile")
    async def delete(self, request: Mapping[str, Any]) -> None:
        """Delete a profile, its embedding and its enrollment speech, for good."""
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
