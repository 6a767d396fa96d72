"""Kinesis Video Streams as AWS speaks it: the control plane, PutMedia and GetMedia, archived media.

Knows AWS's names for what `carillon.streams` does, and decides nothing. Start reading at `control.py`; `put_media.py`
is the one place where request and response flow at the same time.
"""

import secrets

from carillon.api.kinesis_video.archived_media import ArchivedMedia
from carillon.api.kinesis_video.control import StreamOperations
from carillon.api.kinesis_video.get_media import GetMedia
from carillon.api.kinesis_video.put_media import PutMedia, Settings
from carillon.api.paging import PageTokens
from carillon.api.protocol import Service
from carillon.streams import Streams

__all__ = ["ArchivedMedia", "GetMedia", "PutMedia", "Settings", "StreamOperations", "services"]


def services(
    streams: Streams,
    base_url: str,
    settings: Settings | None = None,
    tokens: PageTokens | None = None,
    own_key_id: str | None = None,
) -> list[Service]:
    """Return what an Api needs to answer for Kinesis Video Streams.

    Args:
        streams: where streams are kept.
        base_url: what GetDataEndpoint answers: where this server is reached.
        settings: the patience of PutMedia.
        tokens: makes tokens of pages; None makes such as are good until the process ends.
        own_key_id: what this server's own pipelines sign with when they read.
    """
    tokens = tokens or PageTokens(secrets.token_bytes(32))
    return [
        Service("kinesisvideo", [StreamOperations(streams, base_url)]),
        Service("kinesis-video-media", [PutMedia(streams, settings), GetMedia(streams, own_key_id)]),
        Service("kinesis-video-archived-media", [ArchivedMedia(streams, tokens)]),
    ]
