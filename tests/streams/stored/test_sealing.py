"""What is stored can be opened in its own place, and nowhere else."""

from dataclasses import replace

import pytest

from carillon.clock import ManualClock
from carillon.storage import SealBroken, Vault
from carillon.streams import Streams
from carillon.streams.fragments import ReceivedFragment
from carillon.streams.stored.sealing import ADDED_BYTES, FragmentSealing

NOW = ManualClock().now()
SMALL, LARGE = (ReceivedFragment(str(n), NOW, NOW, NOW, 0, 0, b"head", bytes(n)) for n in (10, 300_000))


@pytest.fixture
def sealing(vault: Vault) -> FragmentSealing:
    return FragmentSealing(vault)


async def test_a_fragment_of_any_size_comes_out_as_it_went_in(sealing: FragmentSealing, streams: Streams) -> None:
    stream = await streams.catalog.create("call")
    records = await sealing.seal(stream, [SMALL, LARGE])
    for fragment, record in zip([SMALL, LARGE], records, strict=True):
        assert len(record) == fragment.size + ADDED_BYTES
        assert await sealing.unseal(stream, fragment.number, record) == fragment.head + fragment.body


async def test_a_record_opens_neither_under_another_number_nor_in_another_stream(
    sealing: FragmentSealing, streams: Streams
) -> None:
    stream = await streams.catalog.create("call")
    (record,) = await sealing.seal(stream, [SMALL])
    for other, number in ((stream, "11"), (replace(stream, id="other"), SMALL.number)):
        with pytest.raises(SealBroken):
            await sealing.unseal(other, number, record)
