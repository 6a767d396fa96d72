"""What GetMedia answers, for this server's own pipelines: the embedded streams, without the way over HTTP.

An error is what a client would have made of it, so that whoever reads goes on, or gives up, as with any endpoint.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, Final

from carillon.api.errors import INTERNAL, Family, shape_of
from carillon.api.kinesis_video.get_media import read_start
from carillon.errors import CarillonError, Transient
from carillon.media import refusal
from carillon.streams import Streams, Tail
from carillon.telemetry import get_logger

log: Final = get_logger()


class EmbeddedMedia:
    """Opens embedded streams as GetMedia does. See `carillon.media.Connect`.

    Args:
        streams: where streams are kept.
    """

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    @asynccontextmanager
    async def get_media(self, stream_arn: str, selector: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream at a StartSelector; yield what a GetMedia body would hold, whole fragments only.

        Pipelines can use nothing less: to take every block by itself would cost 1 % of a core for each.

        Raises:
            RemoteStreamNotFound, RequestRefused, StreamUnavailable: on opening.
            StreamUnavailable: also while the body is read.
        """
        with _as_a_client_hears(stream_arn):
            stream = await self._streams.catalog.find(arn=stream_arn)
            tail = await self._streams.tail(stream, read_start(selector), is_whole=True)
        async with aclosing(tail), aclosing(_pieces(stream_arn, tail)) as pieces:
            yield pieces


async def _pieces(stream_arn: str, tail: Tail) -> AsyncGenerator[bytes]:
    while True:
        with _as_a_client_hears(stream_arn):
            piece = await anext(tail, None)
        if piece is None:
            return
        yield piece


@contextmanager
def _as_a_client_hears(stream_arn: str) -> Iterator[None]:
    try:
        yield
    except CarillonError as error:
        shape = shape_of(error, Family.KINESIS_VIDEO)
        status = 400 if shape and not isinstance(error, Transient) else 500
        raise refusal(stream_arn, shape or INTERNAL[Family.KINESIS_VIDEO], status, str(error)) from error
    except Exception as error:
        log.exception("streams.not_read", stream_arn=stream_arn)
        raise refusal(stream_arn, INTERNAL[Family.KINESIS_VIDEO], 500) from error
