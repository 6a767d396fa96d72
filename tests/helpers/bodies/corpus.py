"""Writes the corpus anew: small bodies of every kind that a demuxer meets.

python -m bodies.corpus, in tests/helpers
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bodies import ffmpeg, hostile, kinesis
from bodies.ffmpeg import Frame
from bodies.lacing import KINDS, laced_block

CORPUS: Final = Path(__file__).parents[2] / "matroska/corpus"
BLOCKS: Final = 5
HOSTILE_BYTES: Final = 1_200


def main() -> None:
    """Write every body into its file."""
    for name, data in bodies():
        (CORPUS / f"{name}.mkv").write_bytes(data)


def bodies() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each."""
    yield from from_ffmpeg()
    yield "kinesis-producer-sdk", kinesis.producer_sdk()
    yield "kinesis-get-media", kinesis.get_media()
    yield "kinesis-get-media-unknown-sizes", kinesis.get_media(known_size=False)
    yield "kinesis-get-media-error", kinesis.get_media_error()
    for kind, lacing in KINDS.items():
        sizes = [60, 60, 60] if kind == "fixed" else [60, 0, 300, 20]
        frames = [bytes([i]) * size for i, size in enumerate(sizes)]
        yield f"laced-{kind.lower()}", hostile.CLUSTER + laced_block(frames, lacing) * 3
    for name, make in hostile.BODIES.items():
        yield f"hostile-{name}", make(HOSTILE_BYTES)


def from_ffmpeg() -> Iterator[tuple[str, bytes]]:
    """Yield every codec in some layout: to a pipe, live, to a file, with checksums, with unknown sizes."""
    options = {"cluster_time_limit": "60", "write_crc32": "0"}
    for number, (codec, sample_bytes) in enumerate(ffmpeg.PCM.items()):
        tracks, channels = 1 + number % 2, 1 + number // 2 % 2
        data = [bytes([i]) * (40 * sample_bytes * channels) for i in range(BLOCKS)]
        yield f"ffmpeg-{codec}", ffmpeg.write(codec, 8_000, channels, _spread(data, tracks), options)
    checked = {"cluster_time_limit": "60", "live": "1", "write_crc32": "1"}
    for codec in ffmpeg.ENCODED:
        data = list(ffmpeg.encoded(codec, 16_000, 1)[:BLOCKS])
        yield f"ffmpeg-{codec}", ffmpeg.write(codec, 16_000, 1, _spread(data, 1), checked)
    sound = _spread([bytes([i]) * 320 for i in range(BLOCKS)], 1)
    to_file = ffmpeg.write("pcm_s16le", 8_000, 1, sound, options, to_file=True)
    yield "ffmpeg-file", to_file
    yield "ffmpeg-unknown-sizes", ffmpeg.with_unknown_sizes(to_file)


def _spread(data: list[bytes], tracks: int) -> list[Frame]:
    return [Frame(track, 20 * i, it) for i, it in enumerate(data) for track in range(1, tracks + 1)]


if __name__ == "__main__":
    main()
