"""How fast a live body is demuxed: ours beside PyAV, ebmlite, and a push parser of thirty lines that checks nothing.

The body is what GetMedia sends for five minutes of call: one document a second, with Kinesis's tags before and after a
Cluster of fifty blocks of 20 ms. Every reader gets the same bytes and must give every block's track, timecode and data
(which is asserted), and all the tags; but PyAV keeps only the first document's. CPU time; the readers take turns.

ebmlite is given the whole body, since it reads files; the others take it in pieces, as a network does.

A block costs much the same whatever its size, so megabytes a second depend on that. The bar of 300 is for fragments of
33 kB (8 kHz stereo), of which the push parser does about 330 on an idle core: its figure says how idle yours is.

    python bench/demux.py [--rounds 9] [--feed-bytes 65536]
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from statistics import median
from struct import unpack_from
from time import process_time
from typing import Any, Final, TypeAlias

import av
import ebmlite

from carillon.matroska import AUDIO, Block, BlockRead, Demuxer, Muxer, Track, tags_element

FRAGMENTS: Final = 300
BLOCKS: Final = 50
BLOCK_MS: Final = 20
LAYOUTS: Final = ((8_000, 1, 0.0), (8_000, 2, 300.0), (48_000, 2, 300.0))
"""Rate in Hz, channels, and the least MB/s for us."""
NUMBER: Final = "91343852333181432392682062607743920146159169392"

Frame: TypeAlias = tuple[int, int, bytes]
"""Track, timecode in ms, data."""
Reader: TypeAlias = Callable[[bytes, int], Iterator[object]]
"""Takes a body and the size of a piece; yields `BlockRead`s or Frames, and whatever else there is."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a consumer of one stream receives."""

    name: str
    data: bytes
    frames: list[Frame]


def main() -> int:
    """Print the figures beside their bars; fail if one misses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--feed-bytes", type=int, default=65_536)
    options = parser.parse_args()
    missed = 0
    for rate_hz, channels, own_bar in LAYOUTS:
        body = get_media(rate_hz, channels)
        rounds = race(body, options.feed_bytes, options.rounds)
        speeds = {name: median(of) for name, of in rounds.items()}
        print(f"{body.name}, {len(body.data) // FRAGMENTS} bytes a fragment, fed {options.feed_bytes} at a time")
        bars = {"absolute": own_bar, "PyAV": speeds["PyAV"], "ebmlite": speeds["ebmlite"]}
        for name, speed in speeds.items():
            cost_us = len(body.data) / FRAGMENTS / speed
            print(f"  {name:12} {speed:5.0f} MB/s  best {max(rounds[name]):5.0f}  {cost_us:4.0f} us of CPU a fragment")
        missed += sum(speeds["carillon"] < bar for bar in bars.values())
        print("  bars for carillon: " + ", ".join(f"{name} {bar:.0f} MB/s" for name, bar in bars.items()))
    return int(missed > 0)


def race(body: Body, feed_bytes: int, rounds: int) -> dict[str, list[float]]:
    """Return the megabytes a second of each reader, by name, one figure a round."""
    speeds: dict[str, list[float]] = {name: [] for name in READERS}
    for name, read in READERS.items():
        assert [frame for it in read(body.data, feed_bytes) if (frame := as_frame(it))] == body.frames, name
    for _ in range(rounds):
        for name, read in READERS.items():
            began = process_time()
            for _ in read(body.data, feed_bytes):
                pass
            speeds[name].append(len(body.data) / (process_time() - began) / 1e6)
    return speeds


def get_media(rate_hz: int, channels: int) -> Body:
    """Return five minutes of 16-bit PCM as GetMedia sends them."""
    muxer = Muxer(Track(1, 1, AUDIO, "AUDIO_FROM_CUSTOMER", "A_PCM/INT/LIT", b"", float(rate_hz), channels, 16))
    block_bytes = rate_hz * BLOCK_MS // 1000 * channels * 2
    parts: list[bytes] = []
    frames: list[Frame] = []
    for second in range(FRAGMENTS):
        times = [1000 * second + BLOCK_MS * i for i in range(BLOCKS)]
        blocks = [Block(1, ms, bytes([ms // BLOCK_MS % 256]) * block_bytes) for ms in times]
        frames += [(block.track, block.timecode_ms, block.data) for block in blocks]
        before = [("FRAGMENT_NUMBER", NUMBER), ("SERVER_TIMESTAMP", "1511852109.126"), ("PRODUCER_TIMESTAMP", "0.000")]
        after = [("MILLIS_BEHIND_NOW", "12"), ("CONTINUATION_TOKEN", NUMBER)]
        parts += [muxer.header(), aws_tags(before), muxer.cluster(1000 * second, blocks), aws_tags(after)]
    return Body(f"{rate_hz / 1000:.0f} kHz, {channels} channel(s)", b"".join(parts), frames)


def aws_tags(pairs: list[tuple[str, str]]) -> bytes:
    """Return a Tags element as Kinesis adds it."""
    return tags_element([("AWS_KINESISVIDEO_" + name, text) for name, text in pairs])


def pieces(data: bytes, feed_bytes: int) -> Iterator[bytes]:
    """Cut a body as a network might."""
    for at in range(0, len(data), feed_bytes):
        yield data[at : at + feed_bytes]


def as_frame(it: object) -> Frame | None:
    """Return what every reader's blocks have in common."""
    if isinstance(it, BlockRead):
        return it.track, it.timecode_ms, it.data
    return it if isinstance(it, tuple) else None


def by_carillon(data: bytes, feed_bytes: int) -> Iterator[object]:
    """Read with `Demuxer`."""
    demuxer = Demuxer()
    for piece in pieces(data, feed_bytes):
        yield from demuxer.feed(piece)
    yield from demuxer.end()


def by_pyav(data: bytes, feed_bytes: int) -> Iterator[Frame]:
    """Read with libavformat, from something that cannot seek."""
    container: Any
    with av.open(Pipe(data, feed_bytes), format="matroska") as container:
        for packet in container.demux():
            if packet.size:
                yield packet.stream_index + 1, packet.pts, bytes(packet)


class Pipe:
    """All that PyAV needs of a stream."""

    def __init__(self, data: bytes, feed_bytes: int) -> None:
        self._file = BytesIO(data)
        self._feed_bytes = feed_bytes

    def read(self, size: int) -> bytes:
        """Return at most one piece."""
        return self._file.read(min(size, self._feed_bytes))


SCHEMA: Final = ebmlite.loadSchema("matroska.xml")


def by_ebmlite(data: bytes, _: int) -> Iterator[Frame]:
    """Read with ebmlite, which reads files."""
    for root in SCHEMA.load(BytesIO(data)):
        for element in root if root.name == "Segment" else ():
            if element.name == "Tags":
                [simple_tag.dump() for tag in element for simple_tag in tag]
            elif element.name == "Cluster":
                timecode = 0
                for child in element:
                    if child.name == "Timecode":
                        timecode = child.value
                    elif child.name == "SimpleBlock":
                        block = bytes(child.value)
                        track, relative = unpack_from(">Bh", block)
                        yield track & 0x7F, timecode + relative, block[4:]


class PushParser:
    """The least that follows a live body: no limits, no errors, no unknown size but of what is entered anyway."""

    def __init__(self) -> None:
        self.rest = b""
        self.timecode = 0
        self.tags: list[bytes] = []

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes; return the blocks that they complete."""
        data = self.rest + data
        at, frames = 0, []
        while at + 12 <= len(data):
            size_at = at + 9 - data[at].bit_length()
            body_at = size_at + 9 - data[size_at].bit_length()
            element_id = data[at:size_at]
            if element_id in ENTERED:
                at = body_at
                continue
            size = int.from_bytes(data[size_at:body_at], "big") & (1 << 7 * (body_at - size_at)) - 1
            end = body_at + size
            if end > len(data):
                break
            if element_id == b"\xa3":
                track, relative = unpack_from(">Bh", data, body_at)
                frames.append((track & 0x7F, self.timecode + relative, data[body_at + 4 : end]))
            elif element_id == b"\xe7":
                self.timecode = int.from_bytes(data[body_at:end], "big")
            elif element_id in TEXTS:
                self.tags.append(data[body_at:end])
            at = end
        self.rest = data[at:]
        return frames


ENTERED: Final = {bytes.fromhex(it) for it in ("18538067", "1f43b675", "1254c367", "7373", "67c8")}  # down to SimpleTag
TEXTS: Final = {bytes.fromhex(it) for it in ("45a3", "4487")}  # TagName, TagString


def by_push_parser(data: bytes, feed_bytes: int) -> Iterator[Frame]:
    """Read with the thirty lines above."""
    parser = PushParser()
    for piece in pieces(data, feed_bytes):
        yield from parser.feed(piece)


READERS: Final[dict[str, Reader]] = {
    "carillon": by_carillon,
    "PyAV": by_pyav,
    "ebmlite": by_ebmlite,
    "push parser": by_push_parser,
}


if __name__ == "__main__":
    sys.exit(main())
