"""A real call through a real server: every kind of sink hears every answer. moto stands for AWS."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import boto3

ACCOUNT = "123456789012"


def _received(queue: Any, url: str, wanted: int, *, wrapped: bool) -> list[dict[str, Any]]:
    """Read a queue until it has given so many events."""
    events: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + 120
    while len(events) < wanted and time.monotonic() < deadline:
        for message in queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
            "Messages", []
        ):
            body = json.loads(message["Body"])
            event = json.loads(body["Message"]) if wrapped else body
            events[event["id"]] = event
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return list(events.values())


def test_every_sink_hears_every_answer(
    start_server: Any, program: str, tmp_path: Path, recordings: Path, moto_url: str, functions: Any
) -> None:
    keys = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    sqs, sns, kinesis = (boto3.client(name, endpoint_url=moto_url, **keys) for name in ("sqs", "sns", "kinesis"))
    direct, behind_sns = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("direct", "behind-sns"))
    topic = sns.create_topic(Name="call")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:behind-sns")
    kinesis.create_stream(StreamName="call", ShardCount=1)
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:call"
    functions.names |= {"call", function}

    server = start_server(
        tmp_path,
        AWS_ENDPOINT_URL=moto_url,
        AWS_ENDPOINT_URL_LAMBDA=functions.url,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        CARILLON_ACCOUNT_ID=ACCOUNT,
    )
    pipelines = server.client("chime-sdk-media-pipelines")
    domain = server.client("chime-sdk-voice").create_voice_profile_domain(
        Name="sinks", ServerSideEncryptionConfiguration={"KmsKeyArn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"}
    )["VoiceProfileDomain"]
    targets = {
        "SqsQueueSink": f"arn:aws:sqs:us-east-1:{ACCOUNT}:direct",
        "SnsTopicSink": topic,
        "KinesisDataStreamSink": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/call",
        "LambdaFunctionSink": function,
    }
    features = {"SpeakerSearchStatus": "Enabled", "VoiceToneAnalysisStatus": "Enabled"}
    configuration = pipelines.create_media_insights_pipeline_configuration(
        MediaInsightsPipelineConfigurationName="sinks",
        ResourceAccessRoleArn=f"arn:aws:iam::{ACCOUNT}:role/any",
        Elements=[
            {"Type": "VoiceAnalyticsProcessor", "VoiceAnalyticsProcessorConfiguration": features},
            *({"Type": kind, f"{kind}Configuration": {"InsightsTarget": arn}} for kind, arn in targets.items()),
        ],
    )["MediaInsightsPipelineConfiguration"]
    stream_arn = server.client("kinesisvideo").create_stream(StreamName="call", DataRetentionInHours=1)["StreamARN"]
    pipeline_id = pipelines.create_media_insights_pipeline(
        MediaInsightsPipelineConfigurationArn=configuration["MediaInsightsPipelineConfigurationArn"],
        KinesisVideoStreamSourceRuntimeConfiguration={
            "MediaEncoding": "pcm",
            "MediaSampleRate": 8000,
            "Streams": [{"StreamArn": stream_arn, "StreamChannelDefinition": {"NumberOfChannels": 2}}],
        },
    )["MediaInsightsPipeline"]["MediaPipelineId"]
    source = {"StreamArn": stream_arn, "ChannelId": 0}
    task_id = pipelines.start_speaker_search_task(
        Identifier=pipeline_id,
        VoiceProfileDomainArn=domain["VoiceProfileDomainArn"],
        KinesisVideoStreamSourceTaskConfiguration=source,
    )["SpeakerSearchTask"]["SpeakerSearchTaskId"]
    push = ["push", str(recordings / "call_1.flac"), "--stream", "call", "--speed", "0"]
    subprocess.run(
        [program, *push, "--data-dir", str(tmp_path), "--endpoint", server.url],
        env=server.environment,
        check=True,
        capture_output=True,
        timeout=120,
    )
    from_queue = _received(sqs, direct, 2, wrapped=False)
    from_topic = _received(sqs, behind_sns, 2, wrapped=True)
    shard = kinesis.describe_stream(StreamName="call")["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName="call", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    from_stream = [json.loads(record["Data"]) for record in records]
    from_function = [json.loads(payload) for _, _, payload in functions.invoked]

    for heard in (from_queue, from_topic, from_stream, from_function):
        told = {event["id"]: event for event in heard}.values()
        assert {event["detail"]["detailStatus"] for event in told} == {
            "IdentificationNoMatchesFound",
            "VoiceprintGenerationSuccess",
        }
        assert {event["detail"]["taskId"] for event in told} == {task_id}
        assert {event["detail"]["streamArn"] for event in told} == {stream_arn}
    assert {record["PartitionKey"] for record in records} == {task_id}
    assert {kind for _, kind, _ in functions.invoked} == {"Event"}
