"""chime-sdk-media-pipelines by plain boto3 on a real server: what every operation answers, and refuses."""

import json
import urllib.request
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::111122223333:role/any"
KEY = {"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}
NOBODY = "8fca2a0e-3c1f-4d62-8f4e-7b1d2a9e6c10"
PLACE = "us-east-1:111122223333"
VOICE_ANALYTICS = {
    "Type": "VoiceAnalyticsProcessor",
    "VoiceAnalyticsProcessorConfiguration": {"SpeakerSearchStatus": "Enabled", "VoiceToneAnalysisStatus": "Enabled"},
}


def sink(kind: str, arn: str) -> dict[str, Any]:
    return {"Type": kind, f"{kind}Configuration": {"InsightsTarget": arn}}


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


class Desk:
    """A client, and what most requests need."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.client = server.client("chime-sdk-media-pipelines")
        self.video = server.client("kinesisvideo")
        self.voice = server.client("chime-sdk-voice")
        self.stream_arn = self.video.create_stream(StreamName=unique("call"), DataRetentionInHours=1)["StreamARN"]

    def configure(self, *elements: dict[str, Any], **more: Any) -> dict[str, Any]:
        request = {
            "MediaInsightsPipelineConfigurationName": unique("configuration"),
            "ResourceAccessRoleArn": ROLE,
            "Elements": list(elements or (VOICE_ANALYTICS,)),
            **more,
        }
        made = self.client.create_media_insights_pipeline_configuration(**request)
        return made["MediaInsightsPipelineConfiguration"]

    def sources(self, *channels: dict[str, Any], count: int = 2) -> dict[str, Any]:
        definition = {"NumberOfChannels": count, **({"ChannelDefinitions": list(channels)} if channels else {})}
        return {
            "MediaEncoding": "pcm",
            "MediaSampleRate": 8000,
            "Streams": [{"StreamArn": self.stream_arn, "StreamChannelDefinition": definition}],
        }

    def open(self, configuration: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        configuration = configuration or self.configure()
        request = {
            "MediaInsightsPipelineConfigurationArn": configuration["MediaInsightsPipelineConfigurationArn"],
            "KinesisVideoStreamSourceRuntimeConfiguration": self.sources(),
            **more,
        }
        return self.client.create_media_insights_pipeline(**request)["MediaInsightsPipeline"]

    def domain(self) -> dict[str, Any]:
        made = self.voice.create_voice_profile_domain(Name="x", ServerSideEncryptionConfiguration=KEY)
        return made["VoiceProfileDomain"]

    def start_tone(self, pipeline: str, channel: int = 0, **more: Any) -> dict[str, Any]:
        request = {
            "Identifier": pipeline,
            "LanguageCode": "en-US",
            "KinesisVideoStreamSourceTaskConfiguration": {"StreamArn": self.stream_arn, "ChannelId": channel},
            **more,
        }
        return self.client.start_voice_tone_analysis_task(**request)["VoiceToneAnalysisTask"]

    def start_search(self, pipeline: str, domain_arn: str, channel: int = 0, **more: Any) -> dict[str, Any]:
        request = {
            "Identifier": pipeline,
            "VoiceProfileDomainArn": domain_arn,
            "KinesisVideoStreamSourceTaskConfiguration": {"StreamArn": self.stream_arn, "ChannelId": channel},
            **more,
        }
        return self.client.start_speaker_search_task(**request)["SpeakerSearchTask"]

    def get_tone(self, pipeline: str, task_id: str) -> dict[str, Any]:
        found = self.client.get_voice_tone_analysis_task(Identifier=pipeline, VoiceToneAnalysisTaskId=task_id)
        return found["VoiceToneAnalysisTask"]

    def stop_tone(self, pipeline: str, task_id: str) -> Any:
        return self.client.stop_voice_tone_analysis_task(Identifier=pipeline, VoiceToneAnalysisTaskId=task_id)

    def status(self, pipeline_id: str) -> str:
        return str(self.pipeline(pipeline_id)["Status"])

    def pipeline(self, pipeline_id: str) -> dict[str, Any]:
        found = self.client.get_media_pipeline(MediaPipelineId=pipeline_id)
        return found["MediaPipeline"]["MediaInsightsPipeline"]

    def listed(self) -> list[str]:
        ids: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self.client.list_media_pipelines(**token)
            ids += [item["MediaPipelineId"] for item in page["MediaPipelines"]]
            if "NextToken" not in page:
                return ids
            token = {"NextToken": page["NextToken"]}

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = datetime.now(UTC) + timedelta(seconds=120)
        while not holds():
            assert datetime.now(UTC) < deadline

    def raw(self, method: str, path: str, body: Any = None) -> Any:
        """The body of an answer as it is on the wire."""
        environment = self.server.environment
        data = json.dumps(body).encode() if body is not None else b""
        request = AWSRequest(method, f"{self.server.url}{path}", {"Content-Type": "application/json"}, data)
        credentials = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
        SigV4Auth(credentials, "chime", "us-east-1").add_auth(request)
        signed = urllib.request.Request(request.url, data, dict(request.headers), method=method)
        with urllib.request.urlopen(signed) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def desk(server: Any) -> Desk:
    return Desk(server)


def refused(error: str, status: int, act: Callable[..., Any], **request: Any) -> str:
    """The message of a refusal, after a look at what SDKs raise it as."""
    with pytest.raises(ClientError) as caught:
        act(**request)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (error, status)
    assert type(caught.value).__name__ == error
    assert uuid.UUID(response["ResponseMetadata"]["RequestId"])
    return str(response["Error"]["Message"])


# Configurations


def test_a_configuration_is_echoed_by_create_and_get_under_each_of_its_names(desk: Desk) -> None:
    elements = [
        VOICE_ANALYTICS,
        sink("KinesisDataStreamSink", f"arn:aws:kinesis:{PLACE}:stream/s"),
        sink("LambdaFunctionSink", f"arn:aws:lambda:{PLACE}:function:f"),
        sink("SqsQueueSink", f"arn:aws:sqs:{PLACE}:q"),
        sink("SnsTopicSink", f"arn:aws:sns:{PLACE}:t"),
    ]
    made = desk.configure(*elements)
    name = made["MediaInsightsPipelineConfigurationName"]
    assert made["Elements"] == elements
    assert made["ResourceAccessRoleArn"] == ROLE
    assert made["MediaInsightsPipelineConfigurationArn"] == (
        f"arn:aws:chime:{PLACE}:media-insights-pipeline-configuration/{name}"
    )
    assert str(uuid.UUID(made["MediaInsightsPipelineConfigurationId"])) == made["MediaInsightsPipelineConfigurationId"]
    assert made["CreatedTimestamp"] == made["UpdatedTimestamp"]
    assert abs(datetime.now(UTC) - made["CreatedTimestamp"]) < timedelta(minutes=1)
    for member in ("Name", "Arn", "Id"):
        identifier = made[f"MediaInsightsPipelineConfiguration{member}"]
        found = desk.client.get_media_insights_pipeline_configuration(Identifier=identifier)
        assert found["MediaInsightsPipelineConfiguration"] == made


def test_processors_that_we_do_not_run_are_kept_as_they_were_sent(desk: Desk) -> None:
    transcribe = {
        "Type": "AmazonTranscribeCallAnalyticsProcessor",
        "AmazonTranscribeCallAnalyticsProcessorConfiguration": {"LanguageCode": "en-US", "VocabularyName": "words"},
    }
    recording = {
        "Type": "S3RecordingSink",
        "S3RecordingSinkConfiguration": {"Destination": "arn:aws:s3:::bucket", "RecordingFileFormat": "Wav"},
    }
    enhancement = {"Type": "VoiceEnhancementSink", "VoiceEnhancementSinkConfiguration": {"Disabled": True}}
    alerts = {
        "Disabled": False,
        "Rules": [
            {
                "Type": "KeywordMatch",
                "KeywordMatchConfiguration": {"RuleName": "rule", "Keywords": ["cancel"], "Negate": False},
            }
        ],
    }
    elements = [VOICE_ANALYTICS, transcribe, recording, enhancement]
    made = desk.configure(*elements, RealTimeAlertConfiguration=alerts)
    assert made["Elements"] == elements
    assert made["RealTimeAlertConfiguration"] == alerts
    pipeline = desk.open(made)
    assert {item["Type"]: item["Status"] for item in pipeline["ElementStatuses"]} == {
        "VoiceAnalyticsProcessor": "NotStarted",
        "AmazonTranscribeCallAnalyticsProcessor": "NotSupported",
        "S3RecordingSink": "NotSupported",
        "VoiceEnhancementSink": "NotSupported",
    }


TRANSCRIBE = {"Type": "AmazonTranscribeProcessor", "AmazonTranscribeProcessorConfiguration": {"LanguageCode": "en-US"}}
CALL_ANALYTICS = {
    "Type": "AmazonTranscribeCallAnalyticsProcessor",
    "AmazonTranscribeCallAnalyticsProcessorConfiguration": {"LanguageCode": "en-US"},
}
QUEUE = f"arn:aws:sqs:{PLACE}:q"
SENTIMENT = {"RuleName": "rule", "SentimentType": "NEGATIVE", "TimePeriod": 60}
ALERTS = {"Disabled": False, "Rules": [{"Type": "Sentiment", "SentimentConfiguration": SENTIMENT}]}


def test_alerts_that_are_sent_disabled_need_nothing(desk: Desk) -> None:
    """As Live Call Analytics sends them."""
    alerts = {"Disabled": True}
    assert desk.configure(VOICE_ANALYTICS, RealTimeAlertConfiguration=alerts)["RealTimeAlertConfiguration"] == alerts


@pytest.mark.parametrize(
    ("says", "elements", "more"),
    [
        ("more than once", [VOICE_ANALYTICS, VOICE_ANALYTICS], {}),
        ("needs a processor", [sink("SqsQueueSink", QUEUE)], {}),
        ("exclude each other", [TRANSCRIBE, CALL_ANALYTICS], {}),
        ("needs an S3RecordingSink", [VOICE_ANALYTICS, {"Type": "VoiceEnhancementSink"}], {}),
        ("Transcribe", [VOICE_ANALYTICS], {"RealTimeAlertConfiguration": ALERTS}),
        ("Transcribe", [VOICE_ANALYTICS], {"RealTimeAlertConfiguration": {"Rules": ALERTS["Rules"]}}),
        ("FIFO", [VOICE_ANALYTICS, sink("SqsQueueSink", f"{QUEUE}.fifo")], {}),
        ("FIFO", [VOICE_ANALYTICS, sink("SnsTopicSink", f"arn:aws:sns:{PLACE}:t.fifo")], {}),
        ("ARN of kinesis", [VOICE_ANALYTICS, sink("KinesisDataStreamSink", QUEUE)], {}),
        ("ARN of lambda", [VOICE_ANALYTICS, sink("LambdaFunctionSink", QUEUE)], {}),
        ("ARN of sns", [VOICE_ANALYTICS, sink("SnsTopicSink", QUEUE)], {}),
        ("Region us-east-1", [VOICE_ANALYTICS, sink("SqsQueueSink", "arn:aws:sqs:us-west-2:111122223333:q")], {}),
        ("account 111122223333", [VOICE_ANALYTICS, sink("SqsQueueSink", "arn:aws:sqs:us-east-1:999999999999:q")], {}),
        ("not an ARN", [VOICE_ANALYTICS, sink("SqsQueueSink", "arn:q")], {}),
        ("InsightsTarget", [VOICE_ANALYTICS, {"Type": "SqsQueueSink"}], {}),
        ("Type", [{"Type": "NoSuchProcessor"}], {}),
    ],
)
def test_elements_that_do_not_go_together_are_a_bad_request(
    desk: Desk, says: str, elements: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    message = refused(
        "BadRequestException",
        400,
        desk.client.create_media_insights_pipeline_configuration,
        MediaInsightsPipelineConfigurationName=unique("refused"),
        ResourceAccessRoleArn=ROLE,
        Elements=elements,
        **more,
    )
    assert says in message


def test_a_configuration_name_is_taken_once(desk: Desk) -> None:
    name = desk.configure()["MediaInsightsPipelineConfigurationName"]
    message = refused("BadRequestException", 400, desk.configure, MediaInsightsPipelineConfigurationName=name)
    assert name in message


@pytest.mark.parametrize("identifier", ["nowhere", NOBODY, f"arn:aws:chime:{PLACE}:media-insights-pipeline/x"])
def test_an_unknown_configuration_is_not_found(desk: Desk, identifier: str) -> None:
    for operation in ("get", "delete"):
        act = getattr(desk.client, f"{operation}_media_insights_pipeline_configuration")
        refused("NotFoundException", 404, act, Identifier=identifier)


def test_a_configuration_is_deleted_once_no_active_pipeline_uses_it(desk: Desk) -> None:
    configuration = desk.configure()
    arn = configuration["MediaInsightsPipelineConfigurationArn"]
    pipeline_id = desk.open(configuration)["MediaPipelineId"]
    delete = desk.client.delete_media_insights_pipeline_configuration
    refused("ConflictException", 409, delete, Identifier=arn)
    desk.client.delete_media_pipeline(MediaPipelineId=pipeline_id)
    desk.until(lambda: desk.status(pipeline_id) == "Stopped")
    assert delete(Identifier=arn)["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused("NotFoundException", 404, delete, Identifier=arn)


def test_configurations_are_listed_page_by_page(desk: Desk) -> None:
    made = {desk.configure()["MediaInsightsPipelineConfigurationName"] for _ in range(3)}
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = desk.client.list_media_insights_pipeline_configurations(MaxResults=2, **token)
        found = page["MediaInsightsPipelineConfigurations"]
        assert all(
            set(item) == {f"MediaInsightsPipelineConfiguration{m}" for m in ("Name", "Id", "Arn")} for item in found
        )
        names += [item["MediaInsightsPipelineConfigurationName"] for item in found]
        if "NextToken" not in page:
            break
        assert len(found) == 2
        token = {"NextToken": page["NextToken"]}
    assert made <= set(names)
    assert len(names) == len(set(names))


def test_a_page_token_is_good_for_its_own_list_only(desk: Desk) -> None:
    for _ in range(2):
        desk.configure()
        desk.open()
    configurations = desk.client.list_media_insights_pipeline_configurations
    token = configurations(MaxResults=1)["NextToken"]
    assert configurations(NextToken=token)
    refused("BadRequestException", 400, desk.client.list_media_pipelines, NextToken=token)
    refused("BadRequestException", 400, configurations, NextToken="0" * 64)
    refused("BadRequestException", 400, configurations, MaxResults=101)


def test_a_configuration_token_makes_one_configuration(desk: Desk) -> None:
    same = {"ClientRequestToken": unique("token"), "MediaInsightsPipelineConfigurationName": unique("once")}
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: desk.configure(**same), range(6)))
    assert all(item == made[0] for item in made)
    # AWS: the operation declares no conflict.
    refused("BadRequestException", 400, desk.configure, **{**same, "ResourceAccessRoleArn": f"{ROLE}-other"})
    name = same["MediaInsightsPipelineConfigurationName"]
    desk.client.delete_media_insights_pipeline_configuration(Identifier=name)
    assert "new token" in refused("BadRequestException", 400, desk.configure, **same)


# Pipelines


def test_a_pipeline_is_echoed_by_create_and_get(desk: Desk) -> None:
    configuration = desk.configure()
    sources = desk.sources({"ChannelId": 0, "ParticipantRole": "CUSTOMER"}, {"ChannelId": 1})
    metadata = {"callId": "b7c7", "empty": ""}
    made = desk.open(
        configuration, KinesisVideoStreamSourceRuntimeConfiguration=sources, MediaInsightsRuntimeMetadata=metadata
    )
    assert made["MediaPipelineArn"] == f"arn:aws:chime:{PLACE}:media-pipeline/{made['MediaPipelineId']}"
    assert made["MediaInsightsPipelineConfigurationArn"] == configuration["MediaInsightsPipelineConfigurationArn"]
    assert made["Status"] == "NotStarted"
    assert made["KinesisVideoStreamSourceRuntimeConfiguration"] == sources
    assert made["MediaInsightsRuntimeMetadata"] == metadata
    assert made["ElementStatuses"] == [{"Type": "VoiceAnalyticsProcessor", "Status": "NotStarted"}]
    assert made["CreatedTimestamp"].tzinfo
    assert desk.pipeline(made["MediaPipelineId"]) == made


def test_absent_members_are_left_out_and_times_have_milliseconds(desk: Desk) -> None:
    pipeline = desk.open()
    answer = desk.raw("GET", f"/sdk-media-pipelines/{pipeline['MediaPipelineId']}")
    assert set(answer) == {"MediaPipeline"}
    assert set(answer["MediaPipeline"]) == {"MediaInsightsPipeline"}
    found = answer["MediaPipeline"]["MediaInsightsPipeline"]
    assert set(found) == {
        "MediaPipelineId",
        "MediaPipelineArn",
        "MediaInsightsPipelineConfigurationArn",
        "Status",
        "KinesisVideoStreamSourceRuntimeConfiguration",
        "CreatedTimestamp",
        "ElementStatuses",
    }
    at = found["CreatedTimestamp"]
    assert datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%fZ")
    assert len(at) == len("2026-11-22T10:15:30.123Z")
    configuration = desk.raw(
        "GET", "/media-insights-pipeline-configurations/" + desk.configure()["MediaInsightsPipelineConfigurationName"]
    )["MediaInsightsPipelineConfiguration"]
    assert "RealTimeAlertConfiguration" not in configuration
    assert "Tags" not in configuration
    listed = desk.raw("GET", "/media-insights-pipeline-configurations?max-results=100")
    assert "NextToken" not in listed or listed["NextToken"]


def test_a_pipeline_needs_what_exists_and_fits(desk: Desk) -> None:
    arn = desk.configure()["MediaInsightsPipelineConfigurationArn"]
    create, sources = desk.client.create_media_insights_pipeline, desk.sources()

    def create_with(**changes: Any) -> dict[str, Any]:
        stream = {**sources["Streams"][0], **changes}
        return {
            "MediaInsightsPipelineConfigurationArn": arn,
            "KinesisVideoStreamSourceRuntimeConfiguration": {**sources, "Streams": [stream]},
        }

    def channels(count: int, *ids: int) -> dict[str, Any]:
        definitions = [{"ChannelId": channel_id} for channel_id in ids]
        return create_with(StreamChannelDefinition={"NumberOfChannels": count, "ChannelDefinitions": definitions})

    other = {"MediaInsightsPipelineConfigurationArn": f"{arn}-other"}
    stream_arn = f"arn:aws:kinesisvideo:{PLACE}:stream/nowhere/1732270000000"
    refused("NotFoundException", 404, create, **{**create_with(), **other})
    refused("NotFoundException", 404, create, **create_with(StreamArn=stream_arn))
    foreign = stream_arn.replace("us-east-1", "us-west-2")
    assert "Region us-east-1" in refused("BadRequestException", 400, create, **create_with(StreamArn=foreign))
    refused("BadRequestException", 400, create, MediaInsightsPipelineConfigurationArn=arn)
    assert "twice" in refused("BadRequestException", 400, create, **channels(2, 1, 1))
    assert "definitions" in refused("BadRequestException", 400, create, **channels(1, 0, 1))
    twice = {**sources, "Streams": sources["Streams"] * 2}
    request = {"MediaInsightsPipelineConfigurationArn": arn}
    for broken in (
        twice,
        {**sources, "MediaEncoding": "opus"},
        {**sources, "MediaSampleRate": 48_001},
        {**sources, "Streams": sources["Streams"] * 3},
    ):
        refused("BadRequestException", 400, create, **request, KinesisVideoStreamSourceRuntimeConfiguration=broken)


def test_a_pipeline_token_makes_one_pipeline(desk: Desk) -> None:
    configuration, token = desk.configure(), unique("token")
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: desk.open(configuration, ClientRequestToken=token), range(6)))
    assert all(item == made[0] for item in made)
    changed = desk.sources(count=1)
    refused(
        "BadRequestException",
        400,
        desk.open,
        configuration=configuration,
        ClientRequestToken=token,
        KinesisVideoStreamSourceRuntimeConfiguration=changed,
    )
    pipeline_id = made[0]["MediaPipelineId"]
    desk.client.delete_media_pipeline(MediaPipelineId=pipeline_id)
    desk.until(lambda: desk.status(pipeline_id) == "Stopped")
    assert desk.open(configuration, ClientRequestToken=token)["MediaPipelineId"] == pipeline_id
    desk.client.delete_media_pipeline(MediaPipelineId=pipeline_id)
    again = {"configuration": configuration, "ClientRequestToken": token}
    assert "new token" in refused("BadRequestException", 400, desk.open, **again)


def test_a_pipeline_is_stopped_by_the_first_delete_and_hidden_by_the_next(desk: Desk) -> None:
    pipeline = desk.open()
    pipeline_id = pipeline["MediaPipelineId"]
    assert pipeline_id in desk.listed()
    deleted = desk.client.delete_media_pipeline(MediaPipelineId=pipeline_id)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    desk.until(lambda: desk.status(pipeline_id) == "Stopped")
    assert desk.pipeline(pipeline_id)["ElementStatuses"] == [{"Type": "VoiceAnalyticsProcessor", "Status": "Stopped"}]
    assert pipeline_id in desk.listed()
    desk.client.delete_media_pipeline(MediaPipelineId=pipeline_id)
    assert pipeline_id not in desk.listed()
    for act in (desk.client.get_media_pipeline, desk.client.delete_media_pipeline):
        refused("NotFoundException", 404, act, MediaPipelineId=pipeline_id)


def test_a_pipeline_is_asked_for_by_id_only(desk: Desk) -> None:
    for act in (desk.client.get_media_pipeline, desk.client.delete_media_pipeline):
        refused("NotFoundException", 404, act, MediaPipelineId=NOBODY)
        refused("BadRequestException", 400, act, MediaPipelineId="x" * 36)


def test_pipelines_are_listed_page_by_page(desk: Desk) -> None:
    made = {desk.open()["MediaPipelineId"] for _ in range(3)}
    page = desk.client.list_media_pipelines(MaxResults=2)
    assert [set(item) for item in page["MediaPipelines"]] == [{"MediaPipelineId", "MediaPipelineArn"}] * 2
    listed = desk.listed()
    assert made <= set(listed)
    assert len(listed) == len(set(listed))


# Tasks


@pytest.mark.parametrize("member", ["MediaPipelineId", "MediaPipelineArn"])
def test_a_tone_task_is_started_looked_at_and_stopped(desk: Desk, member: str) -> None:
    pipeline = desk.open()
    identifier = pipeline[member]
    task = desk.start_tone(identifier)
    assert set(task) == {
        "VoiceToneAnalysisTaskId",
        "VoiceToneAnalysisTaskStatus",
        "CreatedTimestamp",
        "UpdatedTimestamp",
    }
    task_id = task["VoiceToneAnalysisTaskId"]
    assert str(uuid.UUID(task_id)) == task_id
    assert task["VoiceToneAnalysisTaskStatus"] == "NotStarted"
    desk.until(lambda: desk.get_tone(identifier, task_id)["VoiceToneAnalysisTaskStatus"] == "Initializing")
    assert desk.status(pipeline["MediaPipelineId"]) == "Initializing"
    assert desk.stop_tone(identifier, task_id)["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused("ConflictException", 409, desk.stop_tone, pipeline=identifier, task_id=task_id)
    desk.until(lambda: desk.get_tone(identifier, task_id)["VoiceToneAnalysisTaskStatus"] == "Stopped")
    refused("ConflictException", 409, desk.stop_tone, pipeline=identifier, task_id=task_id)
    ended = desk.get_tone(identifier, task_id)
    assert ended["CreatedTimestamp"] == task["CreatedTimestamp"] < ended["UpdatedTimestamp"]


@pytest.mark.parametrize("member", ["MediaPipelineId", "MediaPipelineArn"])
def test_a_speaker_search_task_is_started_looked_at_and_stopped(desk: Desk, member: str) -> None:
    identifier = desk.open()[member]
    task = desk.start_search(identifier, desk.domain()["VoiceProfileDomainArn"], channel=1)
    assert set(task) == {"SpeakerSearchTaskId", "SpeakerSearchTaskStatus", "CreatedTimestamp", "UpdatedTimestamp"}
    assert task["SpeakerSearchTaskStatus"] == "NotStarted"
    request = {"Identifier": identifier, "SpeakerSearchTaskId": task["SpeakerSearchTaskId"]}
    stopped = desk.client.stop_speaker_search_task(**request)
    assert stopped["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused("ConflictException", 409, desk.client.stop_speaker_search_task, **request)
    get = desk.client.get_speaker_search_task
    desk.until(lambda: get(**request)["SpeakerSearchTask"]["SpeakerSearchTaskStatus"] == "Stopped")


def test_a_task_is_found_by_its_own_pipeline_and_kind_only(desk: Desk) -> None:
    pipeline, other = desk.open()["MediaPipelineId"], desk.open()["MediaPipelineId"]
    tone = desk.start_tone(pipeline)["VoiceToneAnalysisTaskId"]
    search = desk.start_search(pipeline, desk.domain()["VoiceProfileDomainArn"])["SpeakerSearchTaskId"]
    for operation in ("get", "stop"):
        of_tone = getattr(desk.client, f"{operation}_voice_tone_analysis_task")
        of_search = getattr(desk.client, f"{operation}_speaker_search_task")
        for identifier, task_id in ((other, tone), (NOBODY, tone), (pipeline, NOBODY), (pipeline, search)):
            refused("NotFoundException", 404, of_tone, Identifier=identifier, VoiceToneAnalysisTaskId=task_id)
        refused("NotFoundException", 404, of_search, Identifier=pipeline, SpeakerSearchTaskId=tone)
        refused("BadRequestException", 400, of_search, Identifier=pipeline, SpeakerSearchTaskId="x" * 36)


def test_what_a_start_names_must_exist_and_fit(desk: Desk) -> None:
    pipeline, arn = desk.open()["MediaPipelineId"], desk.domain()["VoiceProfileDomainArn"]
    start, source = desk.client.start_speaker_search_task, {"StreamArn": desk.stream_arn, "ChannelId": 0}
    request = {
        "Identifier": pipeline,
        "VoiceProfileDomainArn": arn,
        "KinesisVideoStreamSourceTaskConfiguration": source,
    }

    def start_with(**changes: Any) -> dict[str, Any]:
        return {**request, **changes}

    def from_source(**changes: Any) -> dict[str, Any]:
        return start_with(KinesisVideoStreamSourceTaskConfiguration={**source, **changes})

    refused("NotFoundException", 404, start, **start_with(Identifier=NOBODY))
    refused("NotFoundException", 404, start, **start_with(Identifier=f"arn:aws:chime:{PLACE}:media-pipeline/{NOBODY}"))
    refused("NotFoundException", 404, start, **start_with(VoiceProfileDomainArn=f"{arn}0"))
    for foreign in (arn.replace("us-east-1", "us-west-2"), arn.replace("111122223333", "999999999999"), "arn:x"):
        refused("BadRequestException", 400, start, **start_with(VoiceProfileDomainArn=foreign))
    refused("BadRequestException", 400, start, **from_source(StreamArn=f"{desk.stream_arn}0"))
    refused("BadRequestException", 400, start, **from_source(FragmentNumber="x"))
    refused("BadRequestException", 400, start, **from_source(ChannelId=2))
    refused("BadRequestException", 400, start, **start_with(ClientRequestToken="!!"))
    without_source = {name: request[name] for name in ("Identifier", "VoiceProfileDomainArn")}
    assert "StreamArn" in refused("BadRequestException", 400, start, **without_source)
    language = {"Identifier": pipeline, "KinesisVideoStreamSourceTaskConfiguration": source, "LanguageCode": "de-DE"}
    refused("BadRequestException", 400, desk.client.start_voice_tone_analysis_task, **language)


def test_a_channel_must_be_declared(desk: Desk) -> None:
    mono = desk.open(KinesisVideoStreamSourceRuntimeConfiguration=desk.sources({"ChannelId": 1}, count=1))
    refused("BadRequestException", 400, desk.start_tone, pipeline=mono["MediaPipelineId"], channel=0)
    assert desk.start_tone(mono["MediaPipelineId"], 1)
    undefined = desk.open(KinesisVideoStreamSourceRuntimeConfiguration=desk.sources(count=2))
    assert desk.start_tone(undefined["MediaPipelineId"], 1)


@pytest.mark.parametrize(
    "element",
    [
        CALL_ANALYTICS,
        {"Type": "VoiceAnalyticsProcessor"},
        {
            "Type": "VoiceAnalyticsProcessor",
            "VoiceAnalyticsProcessorConfiguration": {"SpeakerSearchStatus": "Disabled"},
        },
    ],
)
def test_a_feature_must_be_enabled(desk: Desk, element: dict[str, Any]) -> None:
    pipeline = desk.open(desk.configure(element))["MediaPipelineId"]
    arn = desk.domain()["VoiceProfileDomainArn"]
    assert "SpeakerSearchStatus" in refused(
        "BadRequestException", 400, desk.start_search, pipeline=pipeline, domain_arn=arn
    )
    assert "VoiceToneAnalysisStatus" in refused("BadRequestException", 400, desk.start_tone, pipeline=pipeline)


def test_one_task_of_each_kind_may_run_on_a_channel(desk: Desk) -> None:
    pipeline = desk.open()["MediaPipelineId"]
    desk.start_tone(pipeline)
    desk.start_search(pipeline, desk.domain()["VoiceProfileDomainArn"])
    desk.start_tone(pipeline, 1)
    refused("ConflictException", 409, desk.start_tone, pipeline=pipeline)


def test_an_ended_pipeline_accepts_no_tasks_and_keeps_those_it_had(desk: Desk) -> None:
    pipeline = desk.open()["MediaPipelineId"]
    task_id = desk.start_tone(pipeline)["VoiceToneAnalysisTaskId"]
    desk.client.delete_media_pipeline(MediaPipelineId=pipeline)
    desk.until(lambda: desk.status(pipeline) == "Stopped")
    assert desk.get_tone(pipeline, task_id)["VoiceToneAnalysisTaskStatus"] == "Stopped"
    refused("ConflictException", 409, desk.start_tone, pipeline=pipeline)
    refused("ConflictException", 409, desk.stop_tone, pipeline=pipeline, task_id=task_id)


def test_a_start_token_starts_one_task_by_whatever_name_of_the_pipeline(desk: Desk) -> None:
    pipeline, token = desk.open(), unique("token")
    identifiers = [pipeline["MediaPipelineId"], pipeline["MediaPipelineArn"]] * 4
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda name: desk.start_tone(name, ClientRequestToken=token), identifiers))
    assert len({task["VoiceToneAnalysisTaskId"] for task in started}) == 1
    refused("ConflictException", 409, desk.start_tone, pipeline=identifiers[0], channel=1, ClientRequestToken=token)
    elsewhere = desk.start_tone(desk.open()["MediaPipelineId"], ClientRequestToken=token)
    assert elsewhere["VoiceToneAnalysisTaskId"] != started[0]["VoiceToneAnalysisTaskId"]


def test_of_starts_that_race_for_a_channel_one_wins(desk: Desk) -> None:
    pipeline = desk.open()["MediaPipelineId"]

    def start(_: int) -> str:
        try:
            desk.start_tone(pipeline)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "started"

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(start, range(8)))
    assert answers == ["ConflictException"] * 7 + ["started"]


def test_a_fragment_number_that_the_stream_never_had_fails_the_task(desk: Desk) -> None:
    pipeline = desk.open()["MediaPipelineId"]
    source = {"StreamArn": desk.stream_arn, "ChannelId": 0, "FragmentNumber": "1"}
    task_id = desk.start_tone(pipeline, KinesisVideoStreamSourceTaskConfiguration=source)["VoiceToneAnalysisTaskId"]
    desk.until(lambda: desk.get_tone(pipeline, task_id)["VoiceToneAnalysisTaskStatus"] == "Failed")
    desk.until(lambda: desk.status(pipeline) == "Failed")
    refused("ConflictException", 409, desk.start_tone, pipeline=pipeline)
    desk.client.delete_media_pipeline(MediaPipelineId=pipeline)
    refused("NotFoundException", 404, desk.client.get_media_pipeline, MediaPipelineId=pipeline)
