from datetime import timedelta

import pytest

from carillon.clock import ManualClock
from carillon.streams import (
    InvalidPage,
    InvalidRetention,
    StaleVersion,
    StreamNameTaken,
    StreamNotFound,
    StreamNotNamed,
    Streams,
    TooManyTags,
)

pytestmark = pytest.mark.anyio


async def test_a_stream_is_found_by_name_and_by_arn(streams: Streams) -> None:
    made = await streams.catalog.create(
        "call", retention_hours=24, device_name="phone", media_type="audio/x-wav", kms_key_id="alias/k", tags={"a": "1"}
    )
    assert made.arn == "arn:aws:kinesisvideo:us-east-1:111122223333:stream/call/1767225600000"
    assert await streams.catalog.find(name="call") == made == await streams.catalog.find(arn=made.arn)
    assert "data_key" not in repr(made)


async def test_a_stream_is_named_in_exactly_one_way(streams: Streams) -> None:
    made = await streams.catalog.create("call")
    with pytest.raises(StreamNotNamed):
        await streams.catalog.find()
    with pytest.raises(StreamNotNamed):
        await streams.catalog.find("call", made.arn)
    with pytest.raises(StreamNotFound):
        await streams.catalog.find(arn=made.arn.replace("call", "none"))


async def test_a_name_is_given_once_and_again_after_deletion(streams: Streams, clock: ManualClock) -> None:
    first = await streams.catalog.create("call")
    with pytest.raises(StreamNameTaken):
        await streams.catalog.create("call")
    await streams.delete(first.arn)
    clock.advance(timedelta(seconds=1))
    assert (await streams.catalog.create("call")).arn != first.arn
    with pytest.raises(StreamNotFound):
        await streams.delete(first.arn)


async def test_listing_goes_by_prefix_page_after_page(streams: Streams) -> None:
    for name in ("call-b", "call-a", "Call-c", "other", "call-%"):
        await streams.catalog.create(name)
    first = await streams.catalog.list("call-", limit=2)
    rest = await streams.catalog.list("call-", first.next_token, limit=2)
    assert [s.name for s in (*first.streams, *rest.streams)] == ["call-%", "call-a", "call-b"]
    assert rest.next_token is None
    assert len((await streams.catalog.list()).streams) == 5
    with pytest.raises(InvalidPage):
        await streams.catalog.list(token="?")


async def test_only_the_current_version_can_be_changed(streams: Streams) -> None:
    made = await streams.catalog.create("call", device_name="phone")
    changed = await streams.update(made, made.version, media_type="audio/pcm")
    assert (changed.device_name, changed.media_type) == ("phone", "audio/pcm")
    assert changed.version != made.version
    assert changed == await streams.catalog.find("call")
    with pytest.raises(StaleVersion):
        await streams.update(changed, made.version, device_name="x")
    with pytest.raises(StaleVersion):
        await streams.delete(made.arn, made.version)
    await streams.delete(made.arn, changed.version)
    with pytest.raises(StreamNotFound):
        await streams.update(changed, changed.version)


async def test_retention_stays_between_nothing_and_ten_years(streams: Streams) -> None:
    made = await streams.catalog.create("call", retention_hours=1)
    with pytest.raises(InvalidRetention):
        await streams.change_retention(made, made.version, -2)
    with pytest.raises(InvalidRetention):
        await streams.catalog.create("other", retention_hours=87_601)
    changed = await streams.change_retention(made, made.version, 87_599)
    assert changed.retention_hours == 87_600


async def test_tags_are_added_replaced_and_removed(streams: Streams) -> None:
    made = await streams.catalog.create("call", tags={"a": "1", "b": "2"})
    await streams.catalog.tag(made, {"b": "3", "c": "4"})
    await streams.catalog.untag(made, ["a", "unknown"])
    assert (await streams.catalog.find("call")).tags == {"b": "3", "c": "4"}
    with pytest.raises(TooManyTags):
        await streams.catalog.tag(made, {f"n{n}": "" for n in range(49)})
