"""What is kept of a document until it is stored: from the oldest fragment on that is not, and no more."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from carillon.matroska import AUDIO, Block, Muxer, Track
from carillon.media import KinesisVideoClient, MediaSettings, NotAuthorized, send_media
from carillon.media.resuming import Unconfirmed

TRACK = Track(1, 1, AUDIO, "call", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16)
MUXER = Muxer(TRACK)
HEAD = MUXER.header()
CLUSTERS = [MUXER.cluster(at_ms, [Block(1, at_ms, bytes([number]) * 160)]) for number, at_ms in enumerate((0, 20, 40))]
DOCUMENT = HEAD + b"".join(CLUSTERS)


def kept(cut: int) -> Unconfirmed:
    unconfirmed = Unconfirmed(1_000_000)
    for at in range(0, len(DOCUMENT), cut):
        unconfirmed.add(DOCUMENT[at : at + cut])
    return unconfirmed


@pytest.mark.parametrize("cut", [1, 7, 160, len(DOCUMENT)])
def test_all_is_kept_until_it_is_confirmed_however_it_was_made(cut: int) -> None:
    unconfirmed = kept(cut)
    assert (unconfirmed.head, unconfirmed.data) == (HEAD, b"".join(CLUSTERS))
    unconfirmed.confirm(20)
    assert (unconfirmed.head, unconfirmed.data) == (HEAD, CLUSTERS[2])
    unconfirmed.confirm(40)
    assert (unconfirmed.head, unconfirmed.data) == (HEAD, b"")


def test_a_time_that_no_fragment_has_confirms_nothing() -> None:
    unconfirmed = kept(len(DOCUMENT))
    unconfirmed.confirm(30)
    assert unconfirmed.data == b"".join(CLUSTERS)
    unconfirmed.confirm(0)
    unconfirmed.confirm(0)  # a second acknowledgement of the same fragment
    assert unconfirmed.data == b"".join(CLUSTERS[1:])


def test_half_a_fragment_is_sent_again_from_its_beginning() -> None:
    unconfirmed = Unconfirmed(1_000_000)
    unconfirmed.add(HEAD + CLUSTERS[0] + CLUSTERS[1][:100])
    unconfirmed.confirm(0)
    assert unconfirmed.data == CLUSTERS[1][:100]
    unconfirmed.add(CLUSTERS[1][100:])
    assert unconfirmed.data == CLUSTERS[1]


def test_more_waits_while_too_much_is_not_confirmed() -> None:
    unconfirmed = Unconfirmed(len(CLUSTERS[0]) + len(CLUSTERS[1]))
    unconfirmed.add(HEAD + CLUSTERS[0])
    assert not unconfirmed.is_full
    unconfirmed.add(CLUSTERS[1])
    assert unconfirmed.is_full
    unconfirmed.confirm(0)
    assert not unconfirmed.is_full


@pytest.mark.anyio
@pytest.mark.parametrize("denials", [1, 2])
async def test_a_request_that_is_denied_in_mid_call_is_signed_anew_once(
    endpoint: Any, client: KinesisVideoClient, swift: MediaSettings, cut: Any, denials: int
) -> None:
    """A clock that is set between the signature and its check makes it look as if it were of another time."""
    received = json.dumps({"EventType": "RECEIVED", "FragmentNumber": "1", "FragmentTimecode": 0}).encode() + b"\n"
    denied = range(1, 1 + denials)

    async def answer(request: Any) -> None:
        number = len(endpoint.asked("/putMedia")) - 1
        if number in denied:
            await request.read_all()
            await request.refuse("InvalidSignatureException", 403)
            return
        await request.start()
        await request.write(received)
        if not number:
            await request.read()
            raise cut
        await request.read_all()
        await request.end()

    async def document() -> AsyncIterator[bytes]:
        yield HEAD + CLUSTERS[0]
        yield CLUSTERS[1]

    endpoint.handlers["/putMedia"] = answer
    endpoint.handlers["/describeStream"] = lambda request: request.refuse("NotAuthorizedException", 401)
    if denials > 1:
        with pytest.raises(NotAuthorized):
            await send_media(client, "call", document(), lambda _: None, settings=swift)
    else:
        await send_media(client, "call", document(), lambda _: None, settings=swift)
    assert len(endpoint.asked("/putMedia")) == 3
