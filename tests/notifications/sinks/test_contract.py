"""What every sink must do, whichever technology: hand over the envelope unchanged, or say that it could not."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import boto3
import pytest
from anyio import create_tcp_listener, fail_after
from anyio.abc import SocketAttribute

from carillon.arns import AwsAccount
from carillon.notifications import (
    SINKS,
    Event,
    EventRefused,
    NotificationSettings,
    PipelineEventType,
    SendFailed,
    SinkTarget,
    open_senders,
    pipeline_event,
)

pytestmark = pytest.mark.anyio

ACCOUNT = "123456789012"
REGION = "us-west-2"  # not the default one: the target's ARN decides
PATIENT: Final = NotificationSettings(connect_seconds=120.0, send_seconds=120.0)
"""Time is none of the claim: a busy machine may take it."""
MakeEvent = Callable[..., Event]


class Peer(ABC):
    """The far side of a sink: makes a target, and tells what arrived there."""

    kind: str

    def __init__(self, clients: Callable[[str], Any], functions: Any) -> None:
        self._clients = clients
        self._functions = functions
        self._name = f"t-{uuid4()}"

    @abstractmethod
    def create(self) -> str:
        """Return the ARN of a new target."""

    @abstractmethod
    def missing(self) -> str:
        """Return the ARN of a target that does not exist."""

    @abstractmethod
    def received(self) -> list[Any]:
        """Return the envelopes that arrived, as a consumer reads them."""

    def _queue(self, name: str) -> tuple[str, str]:
        sqs = self._clients("sqs")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, attributes["Attributes"]["QueueArn"]

    def _bodies(self, url: str) -> list[Any]:
        messages = self._clients("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]


class Sqs(Peer):
    kind = "SqsQueueSink"

    def create(self) -> str:
        self._url, arn = self._queue(self._name)
        return arn

    def missing(self) -> str:
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:nowhere"

    def received(self) -> list[Any]:
        return self._bodies(self._url)


class Sns(Peer):
    kind = "SnsTopicSink"

    def create(self) -> str:
        sns = self._clients("sns")
        arn = sns.create_topic(Name=self._name)["TopicArn"]
        self._url, queue_arn = self._queue(self._name)
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
        return str(arn)

    def missing(self) -> str:
        return f"arn:aws:sns:{REGION}:{ACCOUNT}:nowhere"

    def received(self) -> list[Any]:
        return [json.loads(body["Message"]) for body in self._bodies(self._url)]


class Kinesis(Peer):
    kind = "KinesisDataStreamSink"

    def create(self) -> str:
        kinesis = self._clients("kinesis")
        kinesis.create_stream(StreamName=self._name, ShardCount=1)
        return str(kinesis.describe_stream(StreamName=self._name)["StreamDescription"]["StreamARN"])

    def missing(self) -> str:
        return f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/nowhere"

    def records(self) -> list[Any]:
        kinesis = self._clients("kinesis")
        shard = kinesis.list_shards(StreamName=self._name)["Shards"][0]["ShardId"]
        iterator = kinesis.get_shard_iterator(StreamName=self._name, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        return list(kinesis.get_records(ShardIterator=iterator)["Records"])

    def received(self) -> list[Any]:
        return [json.loads(record["Data"]) for record in self.records()]


class Lambda(Peer):
    kind = "LambdaFunctionSink"

    def create(self) -> str:
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self._name}"
        self._functions.names.add(arn)
        return arn

    def missing(self) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:nowhere"

    def received(self) -> list[Any]:
        assert {kind for _, kind, _ in self._functions.invoked} <= {"Event"}
        return [json.loads(payload) for _, _, payload in self._functions.invoked]


class EventBridge(Peer):
    kind = "EventBridge"

    def create(self) -> str:
        events = self._clients("events")
        self._url, queue_arn = self._queue(self._name)
        arn = events.create_event_bus(Name=self._name)["EventBusArn"]
        events.put_rule(
            Name=self._name, EventBusName=self._name, EventPattern=json.dumps({"source": ["carillon.chime"]})
        )
        events.put_targets(Rule=self._name, EventBusName=self._name, Targets=[{"Id": "queue", "Arn": queue_arn}])
        return str(arn)

    def missing(self) -> str:
        raise NotImplementedError("moto accepts events for a bus that does not exist")

    def received(self) -> list[Any]:
        return self._bodies(self._url)


PEERS = {peer.kind: peer for peer in (Sqs, Sns, Kinesis, Lambda, EventBridge)}
UNCHANGED = sorted(PEERS.keys() - {"EventBridge"})  # EventBridge makes an envelope of its own


@pytest.fixture
def clients(aws: str) -> Iterator[Callable[[str], Any]]:
    """boto3's clients, as an operator's own program uses them."""
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = boto3.session.Session().client(service, region_name=REGION)
        return made[service]

    yield client
    for each in made.values():
        each.close()


@pytest.fixture
def peer(request: pytest.FixtureRequest, clients: Callable[[str], Any], functions: Any) -> Peer:
    return PEERS[request.param](clients, functions)


def test_every_sink_has_a_peer() -> None:
    assert PEERS.keys() == SINKS.keys()


@pytest.mark.parametrize("peer", UNCHANGED, indirect=True)
async def test_the_body_is_the_envelope_itself(peer: Peer, make_event: MakeEvent) -> None:
    target, event = SinkTarget(peer.kind, peer.create()), make_event()
    async with open_senders(PATIENT) as senders:
        await senders[peer.kind].send(target, event)
    (arrived,) = peer.received()
    assert arrived == event.body
    assert list(arrived["detail"]) == list(event.body["detail"])


@pytest.mark.parametrize("peer", UNCHANGED, indirect=True)
async def test_sent_again_it_has_the_same_id(peer: Peer, make_event: MakeEvent) -> None:
    target, event = SinkTarget(peer.kind, peer.create()), make_event()
    async with open_senders(PATIENT) as senders:
        await senders[peer.kind].send(target, event)
        await senders[peer.kind].send(target, event)
    assert [arrived["id"] for arrived in peer.received()] == [event.id, event.id]


@pytest.mark.parametrize("peer", UNCHANGED, indirect=True)
async def test_a_target_that_does_not_exist_is_a_failed_send(peer: Peer, make_event: MakeEvent) -> None:
    target = SinkTarget(peer.kind, peer.missing())
    async with open_senders(PATIENT) as senders:
        with pytest.raises(SendFailed, match="refused"):
            await senders[peer.kind].send(target, make_event())


@pytest.mark.parametrize("kind", sorted(SINKS))
async def test_an_endpoint_that_is_not_there_is_a_failed_send(
    kind: str, aws: str, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await create_tcp_listener(local_host="127.0.0.1") as closed:
        port = closed.extra(SocketAttribute.local_port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("AWS_ENDPOINT_URL_LAMBDA")
    async with open_senders(PATIENT) as senders:
        with pytest.raises(SendFailed, match="Could not connect"):
            await senders[kind].send(SinkTarget(kind, _arn(kind)), make_event())


@pytest.mark.parametrize("kind", sorted(SINKS))
async def test_an_endpoint_that_never_answers_can_be_left(
    kind: str, aws: str, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await create_tcp_listener(local_host="127.0.0.1") as silent:  # the kernel accepts, nobody answers
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.extra(SocketAttribute.local_port)}")
        monkeypatch.delenv("AWS_ENDPOINT_URL_LAMBDA")
        async with open_senders(PATIENT) as senders:
            with pytest.raises(TimeoutError), fail_after(0.5):
                await senders[kind].send(SinkTarget(kind, _arn(kind)), make_event())


@pytest.mark.parametrize("kind", sorted(SINKS))
async def test_without_credentials_a_send_fails_and_says_what_to_set(
    kind: str, bare_environment: None, make_event: MakeEvent
) -> None:
    async with open_senders(PATIENT) as senders:
        with pytest.raises(SendFailed, match="AWS_ACCESS_KEY_ID"):
            await senders[kind].send(SinkTarget(kind, _arn(kind)), make_event())


@pytest.mark.parametrize("kind", sorted(SINKS))
async def test_a_target_that_is_no_arn_is_a_failed_send(kind: str, aws: str, make_event: MakeEvent) -> None:
    async with open_senders(PATIENT) as senders:
        with pytest.raises(SendFailed, match="not an ARN"):
            await senders[kind].send(SinkTarget(kind, "nonsense"), make_event())


@pytest.mark.parametrize("peer", ["KinesisDataStreamSink"], indirect=True)
async def test_records_of_one_task_share_a_partition_key(peer: Kinesis, make_event: MakeEvent) -> None:
    target = SinkTarget(peer.kind, peer.create())
    async with open_senders(PATIENT) as senders:
        for number in range(3):
            await senders[peer.kind].send(target, make_event(number))
    assert {record["PartitionKey"] for record in peer.records()} == {make_event().task_id}


@pytest.mark.parametrize("peer", ["EventBridge"], indirect=True)
async def test_a_bus_gets_type_detail_and_our_own_source(peer: Peer) -> None:
    target = SinkTarget(peer.kind, peer.create())
    event = pipeline_event(
        AwsAccount(REGION, ACCOUNT),
        pipeline_id="p",
        pipeline_arn="arn:aws:chime:us-west-2:123456789012:media-pipeline/p",
        event_type=PipelineEventType.IN_PROGRESS,
        at=datetime(2026, 11, 22, 10, 15, 31, tzinfo=UTC),
    )
    async with open_senders(PATIENT) as senders:
        await senders[peer.kind].send(target, event)
    (arrived,) = peer.received()
    assert arrived["detail-type"] == "Media Insights State Change"
    assert arrived["source"] == "carillon.chime"
    assert arrived["detail"] == event.body["detail"]


TOO_LARGE = 2_000_000  # beyond what any service takes
LIMITED = ["EventBridge", "SnsTopicSink", "SqsQueueSink"]  # moto's streams and our functions take anything


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # of aiohttp, from 1 MiB on
@pytest.mark.parametrize("peer", LIMITED, indirect=True)
async def test_what_is_too_large_for_a_target_is_refused_for_ever(peer: Peer, make_event: MakeEvent) -> None:
    target, event = SinkTarget(peer.kind, peer.create()), make_event()
    event.body["detail"]["statusMessage"] = "x" * TOO_LARGE
    async with open_senders(PATIENT) as senders:
        with pytest.raises(EventRefused):
            await senders[peer.kind].send(target, event)
        await senders[peer.kind].send(target, make_event())


async def test_an_entry_that_a_bus_refuses_for_our_settings_is_a_failed_send(aws: str, make_event: MakeEvent) -> None:
    async with open_senders(replace(PATIENT, event_source="")) as senders:
        with pytest.raises(SendFailed, match="InvalidArgument"):
            await senders["EventBridge"].send(SinkTarget("EventBridge", _arn("EventBridge")), make_event())


async def test_sinks_that_are_never_used_connect_to_nothing(bare_environment: None) -> None:
    async with open_senders(PATIENT) as senders:
        assert senders.keys() == SINKS.keys()


def _arn(kind: str) -> str:
    return {
        "SqsQueueSink": f"arn:aws:sqs:{REGION}:{ACCOUNT}:any",
        "SnsTopicSink": f"arn:aws:sns:{REGION}:{ACCOUNT}:any",
        "KinesisDataStreamSink": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/any",
        "LambdaFunctionSink": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:any",
        "EventBridge": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
    }[kind]
