"""Create, Get, Update, List and DeleteVoiceProfileDomain(s)."""

from collections.abc import Mapping
from typing import Any

from carillon.access.request_counter import RequestCounter
from carillon.api.paging import Pages
from carillon.api.protocol import operation
from carillon.api.tags import read_tags
from carillon.profiles import Domain, Profiles
from carillon.tasks import Tasks


class VoiceProfileDomainOperations:
    """The operations on voice profile domains."""

    def __init__(self, profiles: Profiles, tasks: Tasks, pages: Pages, calls: RequestCounter) -> None:
        self._profiles = profiles
        self._tasks = tasks
        self._pages = pages
        self._calls = calls

    @operation("CreateVoiceProfileDomain")
    async def create(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Make a domain. The KMS key is echoed; our own vault makes and keeps the domain's data key."""
        made = await self._profiles.create_domain(
            request["Name"],
            request.get("Description"),
            request["ServerSideEncryptionConfiguration"]["KmsKeyArn"],
            request.get("ClientRequestToken"),
            read_tags(request),
        )
        return {"VoiceProfileDomain": _render(made)}

    @operation("GetVoiceProfileDomain")
    async def get(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a domain by id."""
        return {"VoiceProfileDomain": _render(await self._profiles.domain(request["VoiceProfileDomainId"]))}

    @operation("UpdateVoiceProfileDomain")
    async def update(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Change a domain's name or description; AWS: the key cannot change."""
        changed = await self._profiles.update_domain(
            request["VoiceProfileDomainId"], request.get("Name"), request.get("Description")
        )
        return {"VoiceProfileDomain": _render(changed)}

    @operation("DeleteVoiceProfileDomain")
    async def delete(self, request: Mapping[str, Any]) -> None:
        """Delete a domain with every profile, embedding and recording in it, for good."""
        with self._calls.about(request["VoiceProfileDomainId"]):
            await self._tasks.delete_domain(request["VoiceProfileDomainId"])

    @operation("ListVoiceProfileDomains")
    async def list_all(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a page of domains."""
        page = await self._pages.page("ListVoiceProfileDomains", request, self._profiles.domains, lambda item: item.id)
        return {
            "VoiceProfileDomains": [_summarize(item) for item in page.items],
            "NextToken": page.next_token,
        }


def _render(domain: Domain) -> Mapping[str, object]:
    return {**_summarize(domain), "ServerSideEncryptionConfiguration": {"KmsKeyArn": domain.kms_key_arn}}


def _summarize(domain: Domain) -> Mapping[str, object]:
    return {
        "VoiceProfileDomainId": domain.id,
        "VoiceProfileDomainArn": domain.arn,
        "Name": domain.name,
        "Description": domain.description,
        "CreatedTimestamp": domain.created_at,
        "UpdatedTimestamp": domain.updated_at,
    }
