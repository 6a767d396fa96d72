"""What requests are routed to: every operation of the served models, each with all about its model compiled."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from carillon.api.errors import AwsError, Family
from carillon.api.protocol import models
from carillon.api.protocol.faults import ErrorFormat
from carillon.api.protocol.operations import Handler, OperationMark, RawHandler, RouteMark, Service, marked
from carillon.api.protocol.parsing import Query, Readers, RequestReader
from carillon.api.protocol.routing import RouteMatch, Router
from carillon.api.protocol.serialization import WriteResponse, Writers
from carillon.arns import Arn, MalformedArn

_VOICE: Final = "chime-sdk-voice"
_REFUSALS: Final[Mapping[Family, Sequence[str]]] = {
    Family.CHIME: ("BadRequestException", "ForbiddenException", "NotFoundException"),
    Family.KINESIS_VIDEO: ("InvalidArgumentException", "NotAuthorizedException"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """A modeled operation that somebody answers."""

    service: str
    name: str
    action: str
    """As policies spell it: `chime:GetSpeakerSearchTask`."""
    error_format: ErrorFormat
    reader: RequestReader
    handler: Handler
    write: WriteResponse


@dataclass(frozen=True, slots=True, eq=False)
class NotImplementedOperation:
    """A modeled operation that nobody answers; the refusal says which ones are."""

    service: str
    name: str
    error_format: ErrorFormat
    shape: str
    message: str

    def refusal(self) -> AwsError:
        """Return the error to answer with."""
        return AwsError(self.shape, self.message)


@dataclass(frozen=True, slots=True, eq=False)
class RawRoute:
    """A route that takes its request as it arrives."""

    service: str
    name: str
    action: str
    error_format: ErrorFormat
    handler: RawHandler
    parameters: Mapping[str, str]
    """Headers that name a resource, with the member names they stand for."""


Endpoint = Operation | NotImplementedOperation | RawRoute


def add_service(router: Router[Endpoint], service: Service) -> tuple[str, ...]:
    """Add every operation of a service's model, and its raw routes; return the names of those that are answered.

    Raises:
        ValueError: a handler is marked for an operation or a service that is not this one's, or two for the same.
    """
    model = models.load(service.name)
    handlers: dict[str, Callable[..., Awaitable[Any]]] = {}
    raw: list[tuple[RouteMark, RawHandler]] = []
    for mark, handler in marked(service):
        if isinstance(mark, OperationMark):
            if mark.name in handlers:
                raise ValueError(f"Two handlers answer {service.name} {mark.name}.")
            handlers[mark.name] = handler
        elif mark.service != service.name:
            raise ValueError(f"{mark.path} is a route of {mark.service}; give its object to that Service.")
        else:
            raw.append((mark, handler))
    if unknown := handlers.keys() - set(model.operation_names):
        raise ValueError(f"{service.name} has no operation {', '.join(sorted(unknown))}; see botocore's model of it.")
    _add_operations(router, model, handlers, Readers(service.admitted))
    for route, answer in raw:
        error_format = ErrorFormat(model.family, model.error_statuses, frozenset(model.error_statuses))
        action = f"{model.family.value}:{route.name or route.path.strip('/')}"
        raw_endpoint = RawRoute(service.name, route.name or route.path, action, error_format, answer, route.parameters)
        router.add(route.method, route.path, raw_endpoint)
    return tuple(sorted(handlers))


def _add_operations(
    router: Router[Endpoint],
    model: models.Model,
    handlers: Mapping[str, Callable[..., Awaitable[Any]]],
    readers: Readers,
) -> None:
    writers = Writers()
    covered = ", ".join(sorted(handlers)) or "nothing"
    for name in model.operation_names:
        operation = model.operation(name)
        declared = frozenset(shape.name for shape in operation.error_shapes)
        error_format = ErrorFormat(model.family, model.error_statuses, declared)
        endpoint: Endpoint
        if name in handlers:
            reader, write = readers.request(operation), writers.response(operation)
            endpoint = Operation(
                model.name, name, f"{model.family.value}:{name}", error_format, reader, handlers[name], write
            )
        else:
            shape = next((shape for shape in _REFUSALS[model.family] if shape in declared), min(declared))
            message = f"carillon does not cover {name}. Of {model.name} it covers: {covered}."
            endpoint = NotImplementedOperation(model.name, name, error_format, shape, message)
        router.add(operation.http["method"], operation.http["requestUri"], endpoint)


def choose(match: RouteMatch[Endpoint], query: Query, document: Mapping[str, object]) -> Endpoint:
    """Return the one endpoint of a match.

    Both Chime APIs model `/tags` alike, on one signing name; there the kind of resource in the ARN tells them apart.
    An ARN that tells nothing goes to the first, whose handler says what is wrong with it.
    """
    first = match.endpoints[0]
    if len(match.endpoints) == 1:
        return first
    arn = document.get("ResourceARN") or next(iter(query.get("arn", ())), None)
    try:
        kind = Arn.parse(arn).kind if isinstance(arn, str) else ""
    except MalformedArn:
        return first
    # `media-pipeline`, `media-insights-pipeline-configuration`, ... against `voice-profile-domain`, `vc`, `sma`, ...
    voice = bool(kind) and not kind.startswith("media-")
    return next((endpoint for endpoint in match.endpoints if (endpoint.service == _VOICE) is voice), first)
