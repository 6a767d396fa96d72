from datetime import timedelta

import anyio
import pytest

from carillon.arns import AwsAccount, MalformedArn
from carillon.clock import ManualClock
from carillon.pipelines import (
    BrokenRule,
    ChannelNotDeclared,
    ConfigurationInUse,
    ConfigurationNameTaken,
    ConfigurationNotFound,
    Element,
    ElementKind,
    Elements,
    ForeignConfiguration,
    NewPipeline,
    Pipeline,
    PipelineNotFound,
    Pipelines,
    PipelineState,
    Role,
    SourceRequest,
    StreamSource,
    StreamUnknown,
    WrongPipelineState,
)
from carillon.pipelines.states import TRANSITIONS
from carillon.storage import Database, IdempotencyToken, TokenReused, TokenSpent, Vault

pytestmark = pytest.mark.anyio

PLACE = AwsAccount()
ARN = "arn:aws:chime:us-east-1:111122223333:media-insights-pipeline-configuration/demo"
ROLE_ARN = "arn:aws:iam::111122223333:role/x"
STREAM = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/call/1732270000000"
ELEMENTS = Elements(
    (Element(ElementKind.VOICE_ANALYTICS, speaker_search=True),), ({"Type": "VoiceAnalyticsProcessor"},)
)


class OneStream:
    """A directory in which only STREAM exists."""

    async def has_stream(self, stream_arn: str) -> bool:
        return stream_arn == STREAM


@pytest.fixture
def pipelines(database: Database, vault: Vault, clock: ManualClock) -> Pipelines:
    return Pipelines(database=database, vault=vault, account=PLACE, clock=clock, streams=OneStream())


async def made(pipelines: Pipelines, claim: IdempotencyToken | None = None, stream_arn: str = STREAM) -> Pipeline:
    page = await pipelines.configurations.page("", 1)
    configuration = page[0] if page else await pipelines.configurations.create("demo", ROLE_ARN, ELEMENTS)
    source = StreamSource(stream_arn, 2, {0: Role.CUSTOMER, 1: Role.AGENT})
    return await pipelines.create(NewPipeline(configuration.arn, (source,), 8000, {"callId": "1"}), claim)


async def test_a_configuration_is_found_by_name_id_and_arn(pipelines: Pipelines) -> None:
    configuration = await pipelines.configurations.create("demo", ROLE_ARN, ELEMENTS)
    assert configuration.arn == "arn:aws:chime:us-east-1:111122223333:media-insights-pipeline-configuration/demo"
    for identifier in (configuration.name, configuration.id, configuration.arn):
        assert await pipelines.configurations.find(identifier) == configuration
    with pytest.raises(ConfigurationNotFound):
        await pipelines.configurations.find("dem")


async def test_a_configuration_name_is_taken_once(pipelines: Pipelines) -> None:
    await pipelines.configurations.create("demo", ROLE_ARN, ELEMENTS)
    with pytest.raises(ConfigurationNameTaken):
        await pipelines.configurations.create("demo", ROLE_ARN, ELEMENTS)


async def test_a_token_makes_one_configuration_even_when_requests_race(pipelines: Pipelines) -> None:
    claim = IdempotencyToken("CreateMediaInsightsPipelineConfiguration", "token-1", {"name": "demo"})
    found: set[str] = set()

    async def create() -> None:
        found.add((await pipelines.configurations.create("demo", ROLE_ARN, ELEMENTS, claim)).id)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(create)
    assert len(found) == 1
    with pytest.raises(TokenReused):
        await pipelines.configurations.create(
            "b", ROLE_ARN, ELEMENTS, IdempotencyToken(claim.scope, "token-1", {"name": "b"})
        )


@pytest.mark.parametrize(
    ("items", "rule"),
    [
        ([], "needs a processor"),
        ([Element(ElementKind.VOICE_ANALYTICS)] * 2, "more than once"),
        ([Element(ElementKind.TRANSCRIBE), Element(ElementKind.TRANSCRIBE_CALL_ANALYTICS)], "exclude each other"),
        ([Element(ElementKind.VOICE_ANALYTICS), Element(ElementKind.VOICE_ENHANCEMENT)], "S3RecordingSink"),
        ([Element(ElementKind.VOICE_ANALYTICS), Element(ElementKind.SQS_QUEUE)], "InsightsTarget"),
        (
            [
                Element(ElementKind.VOICE_ANALYTICS),
                Element(ElementKind.SQS_QUEUE, "arn:aws:sns:us-east-1:111122223333:t"),
            ],
            "must be an ARN of sqs",
        ),
        (
            [
                Element(ElementKind.VOICE_ANALYTICS),
                Element(ElementKind.SQS_QUEUE, "arn:aws:sqs:eu-west-1:111122223333:q"),
            ],
            "Region us-east-1",
        ),
        (
            [
                Element(ElementKind.VOICE_ANALYTICS),
                Element(ElementKind.SNS_TOPIC, "arn:aws:sns:us-east-1:111122223333:t.fifo"),
            ],
            "FIFO",
        ),
    ],
)
async def test_elements_that_do_not_go_together_are_refused(
    pipelines: Pipelines, items: list[Element], rule: str
) -> None:
    with pytest.raises(BrokenRule, match=rule):
        await pipelines.configurations.create("demo", ROLE_ARN, Elements(tuple(items)))
    assert await pipelines.configurations.page("", 10) == []


async def test_a_pipeline_keeps_the_elements_of_its_birth(pipelines: Pipelines) -> None:
    pipeline = await made(pipelines)
    assert pipeline.state is PipelineState.NOT_STARTED
    assert pipeline.elements == ELEMENTS
    assert await pipelines.find(pipeline.id) == await pipelines.find(pipeline.arn) == pipeline


async def test_an_unknown_stream_or_configuration_is_not_found(pipelines: Pipelines) -> None:
    with pytest.raises(StreamUnknown):
        await made(pipelines, stream_arn=STREAM.replace("call", "other"))
    with pytest.raises(ConfigurationNotFound):
        await pipelines.create(NewPipeline(ARN + "-other", (StreamSource(STREAM, 1, {0: None}),), 8000))


@pytest.mark.parametrize(
    ("arn", "error"),
    [
        ("demo", MalformedArn),
        (ARN.replace("us-east-1", "us-west-2"), ForeignConfiguration),
        (ARN.replace("111122223333", "999999999999"), ForeignConfiguration),
        (ARN.replace("-configuration", ""), ForeignConfiguration),
    ],
)
async def test_a_pipeline_names_its_configuration_by_an_arn_of_this_place(
    pipelines: Pipelines, arn: str, error: type[Exception]
) -> None:
    await pipelines.configurations.create("demo", ROLE_ARN, ELEMENTS)
    with pytest.raises(error):
        await pipelines.create(NewPipeline(arn, (StreamSource(STREAM, 1, {0: None}),), 8000))


async def test_what_is_named_is_looked_for_before_the_rules(pipelines: Pipelines) -> None:
    with pytest.raises(ConfigurationNotFound):
        await pipelines.configurations.update("demo", ROLE_ARN, Elements(()))
    configuration = await pipelines.configurations.create("demo", ROLE_ARN, ELEMENTS)
    with pytest.raises(BrokenRule):
        await pipelines.configurations.update("demo", ROLE_ARN, Elements(()))
    unknown = StreamSource(STREAM.replace("call", "other"), 1, {0: None, 1: None})
    with pytest.raises(StreamUnknown):
        await pipelines.create(NewPipeline(configuration.arn, (unknown,), 8000))


async def test_a_leg_is_one_declared_channel(pipelines: Pipelines) -> None:
    pipeline = await made(pipelines)
    leg = pipeline.leg(SourceRequest(STREAM, 1, "123"))
    assert (leg.channel_id, leg.channel_index, leg.channel_count) == (1, 1, 2)
    assert leg.role is Role.AGENT
    assert leg.first_fragment == "123"
    with pytest.raises(ChannelNotDeclared):
        pipeline.leg(SourceRequest(STREAM + "0", 0))


async def test_a_mono_stream_declared_as_channel_one_is_its_only_channel(pipelines: Pipelines) -> None:
    configuration = await pipelines.configurations.create("demo", ROLE_ARN, ELEMENTS)
    pipeline = await pipelines.create(NewPipeline(configuration.arn, (StreamSource(STREAM, 1, {1: None}),), 8000))
    assert pipeline.leg(SourceRequest(STREAM, 1)).channel_index == 0
    with pytest.raises(ChannelNotDeclared):
        pipeline.leg(SourceRequest(STREAM, 0))


@pytest.mark.parametrize("old", list(PipelineState))
async def test_only_the_table_of_transitions_moves_a_pipeline(
    pipelines: Pipelines, database: Database, old: PipelineState
) -> None:
    pipeline = await made(pipelines)
    for new in PipelineState:
        async with database.transaction() as connection:
            await connection.exec_driver_sql(f"UPDATE insights_pipelines SET state = '{old.value}'")
            if new in TRANSITIONS[old]:
                assert (await pipelines.move(connection, pipeline, new)).state is new
            else:
                with pytest.raises(WrongPipelineState):
                    await pipelines.move(connection, pipeline, new)


async def test_a_configuration_in_use_cannot_be_deleted(pipelines: Pipelines, database: Database) -> None:
    pipeline = await made(pipelines)
    with pytest.raises(ConfigurationInUse):
        await pipelines.configurations.delete("demo")
    async with database.transaction() as connection:
        await pipelines.move(connection, pipeline, PipelineState.STOPPED)
    await pipelines.configurations.delete("demo")
    assert (await pipelines.find(pipeline.id)).elements == ELEMENTS


async def test_an_ended_pipeline_is_listed_for_an_hour_and_read_for_a_week(
    pipelines: Pipelines, database: Database, clock: ManualClock
) -> None:
    pipeline = await made(pipelines)
    async with database.transaction() as connection:
        await pipelines.move(connection, pipeline, PipelineState.STOPPED)
    assert [item.id for item in await pipelines.page("", 10)] == [pipeline.id]
    clock.advance(timedelta(hours=1))
    assert await pipelines.page("", 10) == []
    assert await pipelines.find(pipeline.id)
    clock.advance(timedelta(days=7))
    with pytest.raises(PipelineNotFound):
        await pipelines.find(pipeline.id)


async def test_a_token_is_spent_once_what_it_made_is_deleted(pipelines: Pipelines, database: Database) -> None:
    claim = IdempotencyToken("CreateMediaInsightsPipeline", "token-1", {})
    pipeline = await made(pipelines, claim)
    async with database.transaction() as connection:
        await pipelines.move(connection, pipeline, PipelineState.STOPPED)
        await pipelines.forget(connection, pipeline)
    with pytest.raises(TokenSpent):
        await made(pipelines, claim)
    claim = IdempotencyToken("CreateMediaInsightsPipelineConfiguration", "token-1", {})
    configuration = await pipelines.configurations.create("once", ROLE_ARN, ELEMENTS, claim)
    await pipelines.configurations.delete("once")
    # One that has the other's id for a name is still another.
    await pipelines.configurations.create(configuration.id, ROLE_ARN, ELEMENTS)
    with pytest.raises(TokenSpent):
        await pipelines.configurations.create("once", ROLE_ARN, ELEMENTS, claim)


async def test_a_token_is_looked_at_before_what_the_request_names(pipelines: Pipelines, database: Database) -> None:
    claim = IdempotencyToken("CreateMediaInsightsPipeline", "token-1", {})
    pipeline = await made(pipelines, claim)
    async with database.transaction() as connection:
        await pipelines.move(connection, pipeline, PipelineState.STOPPED)
    await pipelines.configurations.delete("demo")
    source = StreamSource(STREAM, 2, {0: Role.CUSTOMER, 1: Role.AGENT})
    again = await pipelines.create(NewPipeline(pipeline.configuration_arn, (source,), 8000), claim)
    assert again.id == pipeline.id


async def test_an_arn_of_another_place_names_nothing_here(pipelines: Pipelines) -> None:
    pipeline = await made(pipelines)
    for arn in (pipeline.arn, pipeline.configuration_arn):
        foreign = arn.replace("us-east-1", "us-west-2")
        with pytest.raises(PipelineNotFound):
            await pipelines.find(foreign)
        with pytest.raises(ConfigurationNotFound):
            await pipelines.configurations.find(foreign)


async def test_pages_follow_each_other_without_gap_or_repeat(pipelines: Pipelines) -> None:
    ids = sorted([(await made(pipelines)).id for _ in range(5)])
    seen, after = [], ""
    while page := await pipelines.page(after, 2):
        seen += [item.id for item in page]
        after = page[-1].id
    assert seen == ids


async def test_a_name_that_looks_like_the_id_of_another_configuration_is_still_a_name(pipelines: Pipelines) -> None:
    first = await pipelines.configurations.create("demo", ROLE_ARN, ELEMENTS)
    second = await pipelines.configurations.create(first.id, ROLE_ARN, ELEMENTS)
    assert await pipelines.configurations.find(first.id) == second
    await pipelines.configurations.delete(first.id)
    assert await pipelines.configurations.find(first.id) == first
