"""Create, Get, Update, List and DeleteMediaInsightsPipelineConfiguration(s)."""

from collections.abc import Mapping
from typing import Any

from carillon.api.media_pipelines.wire import read_claim, read_elements
from carillon.api.paging import Pages
from carillon.api.protocol import operation
from carillon.api.tags import read_tags
from carillon.pipelines import Configuration, Configurations


class ConfigurationOperations:
    """The operations on media insights pipeline configurations."""

    def __init__(self, configurations: Configurations, pages: Pages) -> None:
        self._configurations = configurations
        self._pages = pages

    @operation("CreateMediaInsightsPipelineConfiguration")
    async def create(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Keep a new configuration."""
        made = await self._configurations.create(
            request["MediaInsightsPipelineConfigurationName"],
            request["ResourceAccessRoleArn"],
            read_elements(request),
            read_claim("CreateMediaInsightsPipelineConfiguration", request),
            read_tags(request),
        )
        return {"MediaInsightsPipelineConfiguration": _render(made)}

    @operation("GetMediaInsightsPipelineConfiguration")
    async def get(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a configuration by name, ARN or id."""
        return {"MediaInsightsPipelineConfiguration": _render(await self._configurations.find(request["Identifier"]))}

    @operation("UpdateMediaInsightsPipelineConfiguration")
    async def update(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Replace a configuration; pipelines that exist keep what they were made with."""
        changed = await self._configurations.update(
            request["Identifier"], request["ResourceAccessRoleArn"], read_elements(request)
        )
        return {"MediaInsightsPipelineConfiguration": _render(changed)}

    @operation("DeleteMediaInsightsPipelineConfiguration")
    async def delete(self, request: Mapping[str, Any]) -> None:
        """Remove a configuration that no active pipeline uses."""
        await self._configurations.delete(request["Identifier"])

    @operation("ListMediaInsightsPipelineConfigurations")
    async def list_all(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a page of configurations, by name."""
        scope = "ListMediaInsightsPipelineConfigurations"
        page = await self._pages.page(scope, request, self._configurations.page, lambda item: item.name)
        return {
            "MediaInsightsPipelineConfigurations": [
                {
                    "MediaInsightsPipelineConfigurationName": item.name,
                    "MediaInsightsPipelineConfigurationId": item.id,
                    "MediaInsightsPipelineConfigurationArn": item.arn,
                }
                for item in page.items
            ],
            "NextToken": page.next_token,
        }


def _render(configuration: Configuration) -> Mapping[str, object]:
    return {
        "MediaInsightsPipelineConfigurationName": configuration.name,
        "MediaInsightsPipelineConfigurationArn": configuration.arn,
        "MediaInsightsPipelineConfigurationId": configuration.id,
        "ResourceAccessRoleArn": configuration.role_arn,
        "RealTimeAlertConfiguration": configuration.elements.alerts,
        "Elements": list(configuration.elements.document),
        "CreatedTimestamp": configuration.created_at,
        "UpdatedTimestamp": configuration.updated_at,
    }
