"""What the KVS producer SDK sends and what GetMedia hands out."""

from struct import pack
from typing import Final

from carillon.matroska import AUDIO, UNKNOWN_SIZE_SEGMENT, Block, Muxer, Track, tags_element
from carillon.matroska import elements as ids
from carillon.matroska.elements import (
    UNKNOWN_SIZE_CLUSTER,
    write_element,
    write_float,
    write_id,
    write_uint,
    write_vint,
)

MU_LAW: Final = bytes.fromhex("0700 0100 401f0000 e8030000 0100 0000 0000")
"""WAVEFORMATEX as the SDK fills it in: average bytes channels * rate / 8, bits left 0."""
PHONE: Final = Track(1, 1, AUDIO, "AUDIO_FROM_CUSTOMER", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16)
AGENT: Final = Track(2, 2, AUDIO, "AUDIO_TO_CUSTOMER", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16)
NUMBER: Final = "91343852333181432392682062607743920146159169392"


def wide(element_id: int, body: bytes) -> bytes:
    """Return an element whose size takes 8 bytes, however small it is."""
    return write_id(element_id) + write_vint(len(body), 8) + body


def producer_sdk(clusters: int = 2, blocks: int = 5, block_bytes: int = 160) -> bytes:
    """Return a live stream of mu-law: sizes in 8 bytes, Clusters of unknown size, tags between them."""
    audio = write_float(ids.SAMPLING_FREQUENCY, 8_000.0) + write_uint(ids.CHANNELS, 1)
    entry = [
        write_uint(ids.TRACK_NUMBER, 1),
        write_uint(ids.TRACK_UID, 0xCAFE),
        write_uint(ids.TRACK_TYPE, AUDIO),
        write_element(ids.CODEC_ID, b"A_MS/ACM"),
        write_element(ids.TRACK_NAME, b"kinesis_audio"),
        wide(ids.CODEC_PRIVATE, MU_LAW),
        wide(ids.AUDIO_SETTINGS, audio),
    ]
    parts = [
        write_element(ids.EBML, write_element(ids.DOC_TYPE, b"matroska")),
        UNKNOWN_SIZE_SEGMENT,
        wide(ids.INFO, write_uint(ids.TIMECODE_SCALE, ids.DEFAULT_TIMECODE_SCALE_NS)),
        wide(ids.TRACKS, wide(ids.TRACK_ENTRY, b"".join(entry))),
    ]
    for number in range(clusters):
        parts += [UNKNOWN_SIZE_CLUSTER, write_element(ids.TIMECODE, (1_000 * number).to_bytes(8, "big"))]
        for i in range(blocks):
            parts.append(wide(ids.SIMPLE_BLOCK, b"\x81" + pack(">hB", 20 * i, 0x80) + bytes([i]) * block_bytes))
        parts.append(tags_element([("CallId", "7d1c"), ("TransactionId", "ä")]))
    return b"".join(parts)


def get_media(fragments: int = 3, blocks: int = 4, block_bytes: int = 160, known_size: bool = True) -> bytes:
    """Return a document for each fragment of a call on two tracks, with the producer's tags and Kinesis's."""
    muxer = Muxer(PHONE, AGENT, metadata=[("CallId", "7d1c")])
    parts: list[bytes] = []
    for number in range(fragments):
        start_ms = 1_000 * number
        sound = [Block(1 + i % 2, start_ms + 20 * i, bytes([i]) * block_bytes) for i in range(blocks)]
        parts += [
            muxer.header(),
            tags_element(
                [
                    ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", NUMBER),
                    ("AWS_KINESISVIDEO_SERVER_TIMESTAMP", "1511852109.126"),
                    ("AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", f"{number}.000"),
                ]
            ),
            muxer.cluster(start_ms, sound, known_size),
            tags_element(
                [("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", "0"), ("AWS_KINESISVIDEO_CONTINUATION_TOKEN", NUMBER)]
            ),
        ]
    return b"".join(parts)


def get_media_error() -> bytes:
    """Return what GetMedia says in a stream's stead: tags and no Cluster."""
    error = [("AWS_KINESISVIDEO_ERROR_ID", "4000"), ("AWS_KINESISVIDEO_ERROR_CODE", "4000")]
    return Muxer(PHONE).header() + tags_element([("AWS_KINESISVIDEO_FRAGMENT_NUMBER", NUMBER), *error])
