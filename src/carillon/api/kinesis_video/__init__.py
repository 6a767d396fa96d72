"""Kinesis Video Streams as AWS speaks it: the control plane, PutMedia and GetMedia, archived media.

Knows AWS's names for what `carillon.streams` does, and decides nothing. Start reading at `control.py`; `put_media.py`
is the one place where request and response flow at the same time.
"""

import secrets

from carillon.api.kinesis_video.archived_media import ArchivedMedia
from carillon.api.kinesis_video.control import StreamOperations
from carillon.api.kinesis_video.embedded import EmbeddedMedia
from carillon.api.kinesis_video.get_media import GetMedia
from carillon.api.kinesis_video.put_media import PutMedia, PutMediaSettings
from carillon.api.paging import PageTokens
from carillon.api.protocol import Service
from carillon.streams import Streams

__all__ = ["EmbeddedMedia", "PutMedia", "PutMediaSettings", "services"]


def services(
    streams: Streams,
    own_url: str,
    settings: PutMediaSettings | None = None,
    tokens: PageTokens | None = None,
    public_url: str = "",
) -> list[Service]:
    """Return what an Api needs to answer for Kinesis Video Streams.

    Args:
        streams: where streams are kept.
        own_url: where this server is reached from its own machine.
        settings: the patience of PutMedia.
        tokens: makes tokens of pages; None makes such as are good until the process ends.
        public_url: what GetDataEndpoint answers; empty means the address by which each client came.
    """
    tokens = tokens or PageTokens(secrets.token_bytes(32))
    return [
        Service("kinesisvideo", [StreamOperations(streams, own_url, public_url)]),
        Service("kinesis-video-media", [PutMedia(streams, settings), GetMedia(streams)]),
        Service("kinesis-video-archived-media", [ArchivedMedia(streams, tokens)]),
    ]
