import inspect

import pytest

import carillon.errors
from carillon.access.errors import AccessDenied, AccessKeyUnknown, RateExceeded
from carillon.api.errors import CODES, INTERNAL, NEAREST, SHAPES, AwsError, Family, code_of, shape_of
from carillon.api.protocol import models
from carillon.api.protocol.faults import GATEWAY_STATUSES, ErrorFormat
from carillon.errors import (
    AlreadyExists,
    CarillonError,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    StateConflict,
    Transient,
)

SERVICES = {
    Family.CHIME: ("chime-sdk-media-pipelines", "chime-sdk-voice"),
    Family.KINESIS_VIDEO: ("kinesisvideo", "kinesis-video-media", "kinesis-video-archived-media"),
}
CODE_ENUMS = {  # The voice API's, which has the one of media pipelines in it.
    *("BadRequest", "Conflict", "Forbidden", "NotFound", "PreconditionFailed", "ResourceLimitExceeded"),
    *("ServiceFailure", "AccessDenied", "ServiceUnavailable", "Throttled", "Throttling", "Unauthorized"),
    *("Unprocessable", "Gone", "Validation"),
}


def shapes_of(family: Family) -> set[str]:
    return {shape for service in SERVICES[family] for shape in models.load(service).error_statuses}


def error_format(service: str, operation: str) -> ErrorFormat:
    model = models.load(service)
    declared = frozenset(shape.name for shape in model.operation(operation).error_shapes)
    return ErrorFormat(model.family, model.error_statuses, declared)


def test_every_root_has_a_row_in_each_family() -> None:
    roots = {kind for _, kind in inspect.getmembers(carillon.errors, inspect.isclass) if kind is not CarillonError}
    for family in Family:
        assert roots <= SHAPES[family].keys()


@pytest.mark.parametrize("family", Family)
def test_every_shape_is_one_of_the_services_or_a_gateways(family: Family) -> None:
    named = {*SHAPES[family].values(), INTERNAL[family]}
    assert named - shapes_of(family) <= GATEWAY_STATUSES.keys()


def test_a_nearest_shape_stands_for_another_of_its_family() -> None:
    everything = shapes_of(Family.CHIME) | shapes_of(Family.KINESIS_VIDEO)
    assert {*NEAREST, *NEAREST.values()} <= everything
    assert "ResourceLimitExceededException" not in NEAREST


def test_every_code_of_a_chime_error_is_in_the_enum() -> None:
    assert {code_of(shape) for shape in shapes_of(Family.CHIME)} <= CODE_ENUMS
    assert CODES.keys() <= shapes_of(Family.CHIME)


def test_a_special_word_is_found_before_its_root() -> None:
    class StreamNotFound(NotFound):
        pass

    class Unheard(CarillonError):
        pass

    assert shape_of(StreamNotFound(), Family.KINESIS_VIDEO) == "ResourceNotFoundException"
    assert shape_of(StreamNotFound(), Family.CHIME) == "NotFoundException"
    assert shape_of(Unheard(), Family.CHIME) is None


@pytest.mark.parametrize(
    ("service", "operation", "error", "shape", "status"),
    [
        ("chime-sdk-media-pipelines", "StartSpeakerSearchTask", StateConflict(), "ConflictException", 409),
        ("chime-sdk-media-pipelines", "CreateMediaInsightsPipeline", StateConflict(), "BadRequestException", 400),
        (
            *("chime-sdk-media-pipelines", "CreateMediaInsightsPipelineConfiguration", AlreadyExists()),
            *("BadRequestException", 400),
        ),
        ("chime-sdk-media-pipelines", "StartSpeakerSearchTask", LimitExceeded(), "ResourceLimitExceededException", 400),
        (
            "chime-sdk-media-pipelines",
            "GetMediaPipeline",
            AccessDenied(),
            "ForbiddenException",
            403,
        ),
        ("chime-sdk-voice", "CreateVoiceProfile", AwsError("GoneException", ""), "GoneException", 410),
        ("chime-sdk-voice", "GetVoiceProfile", AwsError("GoneException", ""), "NotFoundException", 404),
        ("chime-sdk-voice", "GetVoiceProfile", InvalidRequest(), "BadRequestException", 400),
        ("chime-sdk-voice", "GetVoiceProfile", Transient(), "ServiceUnavailableException", 503),
        ("chime-sdk-voice", "GetVoiceProfile", CarillonError(), "ServiceFailureException", 500),
        ("chime-sdk-voice", "GetVoiceProfile", AccessDenied(), "AccessDeniedException", 403),
        ("chime-sdk-voice", "GetVoiceProfile", AccessKeyUnknown(), "UnrecognizedClientException", 403),
        ("chime-sdk-voice", "GetVoiceProfile", RateExceeded(), "ThrottledClientException", 429),
        ("chime-sdk-voice", "GetVoiceProfile", KeyError(), "ServiceFailureException", 500),
        ("kinesisvideo", "DescribeStream", NotFound(), "ResourceNotFoundException", 404),
        ("kinesisvideo", "CreateStream", AlreadyExists(), "ResourceInUseException", 400),
        ("kinesisvideo", "TagStream", StateConflict(), "InvalidArgumentException", 400),
        ("kinesisvideo", "TagStream", Transient(), "ServiceUnavailable", 503),
        ("kinesis-video-media", "GetMedia", LimitExceeded(), "ClientLimitExceededException", 400),
        ("kinesis-video-media", "GetMedia", AccessDenied(), "NotAuthorizedException", 401),
        ("kinesis-video-media", "GetMedia", KeyError(), "InternalFailure", 500),
    ],
)
def test_an_error_is_sent_as_the_operation_declares_it(
    service: str, operation: str, error: Exception, shape: str, status: int
) -> None:
    spoken = error_format(service, operation)
    assert spoken.name(error).shape == shape
    assert spoken.status(shape) == status
