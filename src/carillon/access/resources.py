"""Which resources a request is about, as ARNs.

A parameter that names a resource means the same in every operation, so the table goes by parameters; an operation
without any of them is about `*`, as with AWS. Whatever spelling a request uses (id, name or ARN, another partition),
what comes out is the resource's own ARN: a rule about it cannot be evaded by calling it otherwise.

Source: AWS Service Authorization Reference, "Amazon Chime", "Amazon Kinesis Video Streams".
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from carillon.arns import Arn, AwsAccount, MalformedArn

ANYTHING: Final = "*"
_CONFIGURATION: Final = "media-insights-pipeline-configuration"
_CREATE_PIPELINE: Final = "CreateMediaInsightsPipeline"
_STREAM_LISTS: Final = (
    "KinesisVideoStreamSourceRuntimeConfiguration",
    "KinesisVideoStreamRecordingSourceRuntimeConfiguration",
)


class Names(Protocol):
    """Knows the ARNs of what requests call by another name. Asked only for keys that have a policy."""

    async def stream_arn(self, name: str) -> str | None:
        """Return the ARN of a stream, None if there is none."""
        ...

    async def configuration_arn(self, identifier: str) -> str | None:
        """Return the ARN of a configuration by name or id, None if there is none."""
        ...

    async def domain_of_task(self, task_id: str) -> str | None:
        """Return the id of the domain that a speaker search looks into, None if there is no such search."""
        ...


class RequiredPermission(NamedTuple):
    """Something that the caller must be allowed to do, and to what."""

    action: str
    resource: str


async def required_permissions(
    action: str, request: Mapping[str, Any], account: AwsAccount, names: Names | None
) -> list[RequiredPermission]:
    """Return everything that a request needs to be allowed; never empty.

    Args:
        action: with its prefix: `chime:GetMediaPipeline`.
        request: parsed, with AWS member names.
        account: of our ARNs.
        names: asked for what is called by a name; None leaves names as they are, for a record of what was asked.
    """
    operation = action.partition(":")[2]
    resources = [arn async for arn in _Reader(operation, request, account, names).resources()]
    found = [RequiredPermission(action, resource) for resource in resources or [ANYTHING]]
    if operation == _CREATE_PIPELINE:
        # AWS: the resource access role reads the audio, and passing the role is what the caller must be allowed. No
        # role is assumed here, so whoever makes us listen to a stream must be allowed to hear it.
        found += [RequiredPermission("kinesisvideo:GetMedia", canonical(arn)) for arn in _streams_of(request)]
    return found


def canonical(arn: str) -> str:
    """Return an ARN in our partition; what is no ARN stays as it is, and names nothing."""
    try:
        parsed = Arn.parse(arn)
    except MalformedArn:
        return arn
    return str(Arn(parsed.service, parsed.region, parsed.account, parsed.resource))


class _Reader:
    """Reads the resources of one request."""

    def __init__(self, operation: str, request: Mapping[str, Any], account: AwsAccount, names: Names | None) -> None:
        self._operation = operation
        self._request = request
        self._account = account
        self._names = names

    async def resources(self) -> AsyncIterator[str]:
        """Yield the ARN of each resource that a parameter names."""
        for parameter, value in self._request.items():
            if isinstance(value, str) and (arn := await self._of(parameter, value)) is not None:
                yield arn

    async def _of(self, parameter: str, value: str) -> str | None:
        match parameter:
            case "StreamName":
                found = await self._names.stream_arn(value) if self._names else None
                return found or self._account.arn("kinesisvideo", f"stream/{value}/*")
            case "Identifier" if self._operation.endswith("PipelineConfiguration"):
                return await self._configuration(value)
            case "MediaInsightsPipelineConfigurationName":
                return self._chime(_CONFIGURATION, value)
            case "MediaInsightsPipelineConfigurationArn" | "StreamARN" | "ResourceARN":
                return canonical(value)
            case "Identifier" | "MediaPipelineId":
                return self._chime("media-pipeline", value)
            case "VoiceConnectorId" if self._operation.endswith("Task"):  # our extension: a pipeline's id
                return self._chime("media-pipeline", value)
            case "VoiceProfileDomainId" | "VoiceProfileDomainArn":
                return self._chime("voice-profile-domain", value)
            case "VoiceProfileId":
                return self._chime("voice-profile", value)
            case "SpeakerSearchTaskId" if self._operation.endswith("VoiceProfile"):
                domain_id = await self._names.domain_of_task(value) if self._names else None
                return self._chime("voice-profile-domain", domain_id or ANYTHING)
        return None

    async def _configuration(self, identifier: str) -> str:
        if identifier.startswith("arn:"):
            return canonical(identifier)
        found = await self._names.configuration_arn(identifier) if self._names else None
        return found or self._chime(_CONFIGURATION, identifier)

    def _chime(self, kind: str, identifier: str) -> str:
        if identifier.startswith("arn:"):
            return canonical(identifier)
        return self._account.arn("chime", f"{kind}/{identifier}")


def _streams_of(request: Mapping[str, Any]) -> list[str]:
    """Return the ARNs of the streams that a new pipeline would listen to."""
    streams = [stream for name in _STREAM_LISTS for stream in request.get(name, {}).get("Streams", ())]
    return [stream["StreamArn"] for stream in streams if "StreamArn" in stream]
