"""CreateMediaInsightsPipeline, UpdateMediaInsightsPipelineStatus; Get, List and DeleteMediaPipeline(s)."""

from collections.abc import Mapping
from typing import Any, Final

from carillon.api.errors import AwsError
from carillon.api.media_pipelines.wire import PIPELINE_STATUSES, read_claim, read_sources
from carillon.api.paging import Pages
from carillon.api.protocol import operation
from carillon.api.tags import read_tags
from carillon.pipelines import Element, ElementKind, NewPipeline, Pipeline, Pipelines
from carillon.pipelines.elements import WITH_STATUS
from carillon.tasks import Tasks

_SOURCE: Final = "KinesisVideoStreamSourceRuntimeConfiguration"
_RECORDING: Final = ("KinesisVideoStreamRecordingSourceRuntimeConfiguration", "S3RecordingSinkRuntimeConfiguration")


class PipelineOperations:
    """The operations on media insights pipelines."""

    def __init__(self, pipelines: Pipelines, tasks: Tasks, pages: Pages) -> None:
        self._pipelines = pipelines
        self._tasks = tasks
        self._pages = pages

    @operation("CreateMediaInsightsPipeline")
    async def create(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Make a pipeline for a call; nothing is read before a task starts."""
        source = request.get(_SOURCE)
        if source is None:
            raise AwsError(
                "BadRequestException",
                f"{_SOURCE} is needed: voice analytics listens to live streams, not to recordings.",
            )
        made = await self._pipelines.create(
            NewPipeline(
                configuration_arn=request["MediaInsightsPipelineConfigurationArn"],
                sources=read_sources(source),
                rate_hz=source["MediaSampleRate"],
                metadata=request.get("MediaInsightsRuntimeMetadata", {}),
                document=source,
                recording={name: request[name] for name in _RECORDING if name in request},
                tags=read_tags(request),
            ),
            read_claim("CreateMediaInsightsPipeline", request),
        )
        return {"MediaInsightsPipeline": _render(made)}

    @operation("GetMediaPipeline")
    async def get(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a pipeline by id."""
        return {
            "MediaPipeline": {"MediaInsightsPipeline": _render(await self._pipelines.find(request["MediaPipelineId"]))}
        }

    @operation("ListMediaPipelines")
    async def list_all(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Return a page of the pipelines that are active or ended within an hour."""
        page = await self._pages.page("ListMediaPipelines", request, self._pipelines.page, lambda item: item.id)
        return {
            "MediaPipelines": [{"MediaPipelineId": item.id, "MediaPipelineArn": item.arn} for item in page.items],
            "NextToken": page.next_token,
        }

    @operation("UpdateMediaInsightsPipelineStatus")
    async def update_status(self, request: Mapping[str, Any]) -> None:
        """Pause or resume a pipeline; pausing stops every task, resuming starts none."""
        change = self._tasks.pause if request["UpdateStatus"] == "Pause" else self._tasks.resume
        await change(request["Identifier"])

    @operation("DeleteMediaPipeline")
    async def delete(self, request: Mapping[str, Any]) -> None:
        """Stop a pipeline and its tasks, or hide one that has ended."""
        await self._tasks.delete_pipeline(request["MediaPipelineId"])


def _render(pipeline: Pipeline) -> Mapping[str, object]:
    return {
        "MediaPipelineId": pipeline.id,
        "MediaPipelineArn": pipeline.arn,
        "MediaInsightsPipelineConfigurationArn": pipeline.configuration_arn,
        "Status": PIPELINE_STATUSES[pipeline.state],
        _SOURCE: pipeline.document,
        **pipeline.recording,
        "MediaInsightsRuntimeMetadata": pipeline.metadata or None,
        "CreatedTimestamp": pipeline.created_at,
        "ElementStatuses": [
            {"Type": element.kind.value, "Status": _element_status(element, pipeline)}
            for element in pipeline.elements.items
            if element.kind in WITH_STATUS
        ],
    }


def _element_status(element: Element, pipeline: Pipeline) -> str:
    return PIPELINE_STATUSES[pipeline.state] if element.kind is ElementKind.VOICE_ANALYTICS else "NotSupported"
