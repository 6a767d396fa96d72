import re
from typing import Any

import pytest
import structlog
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ResponseStreamingError

from carillon.access import AccessKey
from carillon.api.protocol import Api, Service, operation, route

TASK_ID = "3f2f6c0e-6a0a-4a55-8a1b-0f5e5a7d1c11"
PIPELINE_ARN = f"arn:aws:chime:us-east-1:111122223333:media-pipeline/{TASK_ID}"
DOMAIN_ARN = "arn:aws:chime:us-east-1:111122223333:voice-profile-domain/vpd-1"
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")


@pytest.fixture(scope="module")
def pipelines(served: Any) -> Any:
    return served.client("chime-sdk-media-pipelines")


@pytest.fixture(scope="module")
def voice(served: Any) -> Any:
    return served.client("chime-sdk-voice")


@pytest.fixture(scope="module")
def video(served: Any) -> Any:
    return served.client("kinesisvideo")


def task_of(pipelines: Any, identifier: str) -> Any:
    return pipelines.get_speaker_search_task(Identifier=identifier, SpeakerSearchTaskId=TASK_ID)


def error_of(pipelines: Any, identifier: str) -> ClientError:
    with pytest.raises(ClientError) as caught:
        task_of(pipelines, identifier)
    return caught.value


def test_an_arn_in_the_path_reaches_the_handler_decoded(served: Any, pipelines: Any) -> None:
    task_of(pipelines, PIPELINE_ARN)
    assert served.toys.tasks.requests[-1] == {"Identifier": PIPELINE_ARN, "SpeakerSearchTaskId": TASK_ID}


def test_the_handler_can_ask_who_is_calling(served: Any, pipelines: Any) -> None:
    task_of(pipelines, "demo")
    assert served.toys.tasks.callers[-1] == served.key.access_key_id


def test_chime_timestamps_have_milliseconds_and_absent_members_are_left_out(pipelines: Any) -> None:
    bodies: list[AWSResponse] = []
    pipelines.meta.events.register("before-parse", lambda response_dict, **_: bodies.append(response_dict["body"]))
    task = task_of(pipelines, "demo")["SpeakerSearchTask"]
    assert bodies[-1] == f'{{"SpeakerSearchTask":{{"SpeakerSearchTaskId":"{TASK_ID}",'.encode() + (
        b'"CreatedTimestamp":"2026-11-22T10:15:30.123Z"}}'
    )
    assert task["CreatedTimestamp"].isoformat() == "2026-11-22T10:15:30.123000+00:00"


def test_kinesis_video_timestamps_are_epoch_seconds(video: Any) -> None:
    bodies: list[bytes] = []
    video.meta.events.register("before-parse", lambda response_dict, **_: bodies.append(response_dict["body"]))
    stream = video.list_streams(MaxResults=3)["StreamInfoList"][0]
    assert b'"CreationTime":1795342530.123' in bodies[-1]
    assert stream["CreationTime"].timestamp() == pytest.approx(1795342530.123)


@pytest.mark.parametrize(
    ("method", "parameters", "status"),
    [
        ("start_speaker_search_task", {"Identifier": "demo", "VoiceProfileDomainArn": DOMAIN_ARN}, 201),
        ("stop_speaker_search_task", {"Identifier": "demo", "SpeakerSearchTaskId": TASK_ID}, 204),
        ("update_media_insights_pipeline_status", {"Identifier": "demo", "UpdateStatus": "Pause"}, 200),
    ],
)
def test_the_status_comes_from_the_model(pipelines: Any, method: str, parameters: dict[str, str], status: int) -> None:
    answer = getattr(pipelines, method)(**parameters)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_request_id_is_on_every_response(pipelines: Any, video: Any) -> None:
    answers = [
        task_of(pipelines, "demo"),
        pipelines.stop_speaker_search_task(Identifier="demo", SpeakerSearchTaskId=TASK_ID),
        video.list_streams(),
        error_of(pipelines, "missing").response,
    ]
    ids = [answer["ResponseMetadata"]["RequestId"] for answer in answers]
    assert all(UUID.fullmatch(request_id) for request_id in ids)
    assert len(set(ids)) == len(ids)
    assert answers[2]["ResponseMetadata"]["HTTPHeaders"]["x-amz-requestid"] == ids[2]


@pytest.mark.parametrize(
    ("identifier", "shape", "code", "status", "message"),
    [
        ("missing", "NotFoundException", "NotFound", 404, "no such pipeline"),
        ("stopped", "BadRequestException", "BadRequest", 400, "the pipeline is stopped"),  # Get declares no conflict.
        ("quota", "ResourceLimitExceededException", "ResourceLimitExceeded", 400, "25 tasks are active"),
        ("busy", "ServiceUnavailableException", "ServiceUnavailable", 503, "the database is busy"),
        ("aws", "ForbiddenException", "Forbidden", 403, "not for you"),
    ],
)
def test_our_errors_arrive_as_the_classes_that_an_sdk_knows(
    pipelines: Any, identifier: str, shape: str, code: str, status: int, message: str
) -> None:
    error = error_of(pipelines, identifier)
    assert isinstance(error, getattr(pipelines.exceptions, shape))
    metadata = error.response["ResponseMetadata"]
    assert error.response["Error"] == {"Code": shape, "Message": message}
    assert metadata["HTTPStatusCode"] == status
    assert (error.response["Code"], error.response["RequestId"]) == (code, metadata["RequestId"])


@pytest.mark.parametrize(("identifier", "code"), [("stopped", "Conflict"), ("taken", "Conflict")])
def test_a_conflict_is_one_where_the_operation_declares_it(pipelines: Any, identifier: str, code: str) -> None:
    with pytest.raises(pipelines.exceptions.ConflictException) as caught:
        pipelines.start_speaker_search_task(Identifier=identifier, VoiceProfileDomainArn=DOMAIN_ARN)
    assert caught.value.response["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409


def test_a_conflict_of_an_operation_that_declares_none_is_a_bad_request(pipelines: Any) -> None:
    with pytest.raises(pipelines.exceptions.BadRequestException, match="other parameters"):
        pipelines.create_media_insights_pipeline(
            MediaInsightsPipelineConfigurationArn=PIPELINE_ARN, ClientRequestToken="token"
        )


def test_kinesis_video_errors_have_their_own_names_and_both_headers(video: Any) -> None:
    with pytest.raises(video.exceptions.ResourceInUseException) as caught:
        video.create_stream(StreamName="agent")
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-errortype"] == headers["x-amz-errortype"] == "ResourceInUseException"
    assert headers["x-amzn-requestid"] == headers["x-amz-requestid"]
    assert caught.value.response["Error"]["Message"] == "the stream exists"


@pytest.mark.parametrize("identifier", ["bug", "broken"])
def test_a_mistake_of_ours_is_logged_without_its_message_and_answered_without_details(
    pipelines: Any, identifier: str
) -> None:
    with structlog.testing.capture_logs() as logs:
        error = error_of(pipelines, identifier)
    assert isinstance(error, pipelines.exceptions.ServiceFailureException)
    assert "secret" not in str(error)
    [entry] = logs
    assert entry["event"] == "api.failed"
    assert entry["request_id"] == error.response["ResponseMetadata"]["RequestId"]
    assert entry["operation"] == "GetSpeakerSearchTask"
    assert "get_speaker_search_task" in entry["traceback"]
    assert "secret content" not in repr(entry)


def test_a_mistake_in_kinesis_video_is_an_internal_failure(video: Any) -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises(ClientError, match="InternalFailure") as caught:
        video.delete_stream(StreamARN="arn:aws:kinesisvideo:us-east-1:111122223333:stream/agent/1")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert logs[0]["error"] == "builtins.ZeroDivisionError"


def test_an_output_member_that_the_model_does_not_know_never_leaves(pipelines: Any) -> None:
    with structlog.testing.capture_logs(), pytest.raises(pipelines.exceptions.ServiceFailureException):
        pipelines.list_media_pipelines()


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"VoiceProfileDomainArn": "domain"}, "VoiceProfileDomainArn: must match the pattern"),
        ({"VoiceProfileDomainArn": "arn" + "a" * 1024}, "VoiceProfileDomainArn: has 1027 characters; at most 1024"),
        ({}, "VoiceProfileDomainArn: is required"),
        ({"VoiceProfileDomainArn": DOMAIN_ARN, "ClientRequestToken": "x"}, "ClientRequestToken: has 1 characters"),
        (
            {
                "VoiceProfileDomainArn": DOMAIN_ARN,
                "KinesisVideoStreamSourceTaskConfiguration": {"StreamArn": "arn", "ChannelId": 2},
            },
            "KinesisVideoStreamSourceTaskConfiguration.StreamArn: must match",
        ),
    ],
)
def test_what_breaks_the_model_is_a_bad_request_that_says_where(
    pipelines: Any, parameters: dict[str, Any], problem: str
) -> None:
    with pytest.raises(pipelines.exceptions.BadRequestException) as caught:
        pipelines.start_speaker_search_task(Identifier="demo", **parameters)
    assert caught.value.response["Error"]["Message"].startswith(problem)


def test_query_members_arrive_typed(served: Any, voice: Any) -> None:
    voice.list_voice_profile_domains(MaxResults=7, NextToken="a+b/c=")
    assert served.toys.domains.requests[-1] == {"MaxResults": 7, "NextToken": "a+b/c="}
    with pytest.raises(voice.exceptions.BadRequestException, match="MaxResults: must be at least 1"):
        voice.list_voice_profile_domains(MaxResults=0)


def test_a_modeled_operation_that_is_not_covered_says_what_is(pipelines: Any, video: Any) -> None:
    with pytest.raises(pipelines.exceptions.BadRequestException, match=r"CreateMediaCapturePipeline.*StopSpeaker"):
        pipelines.create_media_capture_pipeline(SourceArn="arn")
    with pytest.raises(ClientError, match=r"CreateSignalingChannel.*ListStreams") as caught:
        video.create_signaling_channel(ChannelName="c")
    assert caught.value.response["Error"]["Code"] == "InvalidArgumentException"


@pytest.mark.parametrize(
    ("arn", "api"),
    [(PIPELINE_ARN, "media-pipelines"), (DOMAIN_ARN, "voice"), ("arn-of-nothing", "media-pipelines")],
)
@pytest.mark.parametrize("asked", ["chime-sdk-media-pipelines", "chime-sdk-voice"])
def test_tags_are_answered_by_the_api_that_owns_the_arn(served: Any, asked: str, arn: str, api: str) -> None:
    [tag] = served.client(asked).list_tags_for_resource(ResourceARN=arn)["Tags"]
    assert tag["Value"] == api


def test_tags_in_a_body_are_dispatched_by_the_arn_too(served: Any, pipelines: Any, voice: Any) -> None:
    tags = [{"Key": "a", "Value": ""}]
    pipelines.tag_resource(ResourceARN=DOMAIN_ARN, Tags=tags)
    voice.tag_resource(ResourceARN=PIPELINE_ARN, Tags=tags)
    assert served.toys.domains.requests[-1] == {"ResourceARN": DOMAIN_ARN, "Tags": tags}
    assert served.toys.tasks.requests[-1] == {"ResourceARN": PIPELINE_ARN, "Tags": tags}


def test_an_unknown_key_and_a_wrong_secret_are_refused_by_their_gateway_names(served: Any) -> None:
    unknown = served.client("kinesisvideo", AccessKey("CRLNUNKNOWN", "secret"))
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        unknown.list_streams()
    wrong = served.client("chime-sdk-voice", AccessKey(served.key.access_key_id, "not the secret"))
    with pytest.raises(ClientError, match="InvalidSignatureException") as caught:
        wrong.create_voice_profile_domain(Name="n")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_client_of_another_region_is_refused(served: Any) -> None:
    with pytest.raises(ClientError, match=r"InvalidSignatureException.*Region us-east-1"):
        served.client("kinesisvideo", region="us-west-2").list_streams()


def test_a_streamed_payload_arrives_with_its_header(served: Any) -> None:
    answer = served.client("kinesis-video-media").get_media(
        StreamName="whole", StartSelector={"StartSelectorType": "NOW"}
    )
    assert answer["ContentType"] == "video_webm"
    assert answer["Payload"].read() == b"onetwothree"


def test_a_stream_that_fails_midway_closes_the_connection(served: Any) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = served.client("kinesis-video-media").get_media(
            StreamName="fails", StartSelector={"StartSelectorType": "NOW"}
        )
        with pytest.raises(ResponseStreamingError):
            answer["Payload"].read()
    assert [entry["event"] for entry in logs] == ["api.failed"]


def test_a_stream_ends_when_its_reader_goes_away(served: Any) -> None:
    served.toys.media.ended.clear()
    answer = served.client("kinesis-video-media").get_media(
        StreamName="endless", StartSelector={"StartSelectorType": "NOW"}
    )
    assert answer["Payload"].read(10) == b"onetwothre"
    answer["Payload"].close()
    assert served.toys.media.ended.wait(120)


def test_a_mark_that_its_service_does_not_know_is_found_at_start() -> None:
    class Handlers:
        @operation("StartSpeakerSearchTusk")
        async def start(self, request: dict[str, Any]) -> None: ...

    class More:
        @operation("ListStreams")
        async def one(self, request: dict[str, Any]) -> None: ...

        @operation("ListStreams")
        async def other(self, request: dict[str, Any]) -> None: ...

    class Elsewhere:
        @route("POST", "/putMedia", service="kinesis-video-media")
        async def put(self, call: Any) -> None: ...

    for service, problem in [
        (Service("chime-sdk-voice", [Handlers()]), "no operation StartSpeakerSearchTusk"),
        (Service("kinesisvideo", [More()]), "Two handlers answer kinesisvideo ListStreams"),
        (Service("kinesisvideo", [Elsewhere()]), "/putMedia is a route of kinesis-video-media"),
    ]:
        with pytest.raises(ValueError, match=problem):
            Api(services=[service], verifier=None)
    with pytest.raises(ValueError, match="twice"):
        Api(services=[Service("kinesisvideo", []), Service("kinesisvideo", [])], verifier=None)


def test_an_api_knows_what_it_covers(served: Any) -> None:
    covered = Api(services=served.toys.services(), verifier=None).covered
    assert covered["chime-sdk-voice"] == (
        "CreateVoiceProfileDomain",
        "ListTagsForResource",
        "ListVoiceProfileDomains",
        "TagResource",
    )
    assert covered["kinesis-video-archived-media"] == ()
