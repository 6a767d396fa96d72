"""Recordings as the field writes them: the same samples from a file and from a pipe, or the same refusal."""

import io
import os
import stat
import struct
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from carillon.clock import ManualClock
from carillon.matroska import Block, BlockRead, ClusterTimecode, Demuxer, Muxer, TracksRead
from carillon.media import UnreadableRecording, as_live, opened, read_recording
from carillon.media.codecs import codec_of
from carillon.media.pcm import to_pcm
from carillon.media.pipe import read_pipe
from carillon.media.splicer import Layout, SampleFormat

pytestmark = pytest.mark.anyio

TIMES = np.arange(12_000) / 8_000
LEFT = np.round(12_000 * np.sin(2 * np.pi * 300 * TIMES)).astype(np.int16)
RIGHT = np.round(9_000 * np.sin(2 * np.pi * 410 * TIMES)).astype(np.int16)
STEREO = np.stack([LEFT, RIGHT], axis=1)
MONO = STEREO[:, :1]

PCM, FLOAT, A_LAW, MU_LAW, ADPCM, EXTENSIBLE = 1, 3, 6, 7, 0x11, 0xFFFE
GUID = bytes.fromhex("000000001000800000aa00389b71")


def raw(samples: npt.NDArray[Any], subtype: str, endian: str = "LITTLE") -> bytes:
    written = io.BytesIO()
    samples = samples / 32_768 if subtype in {"FLOAT", "DOUBLE"} else samples
    soundfile.write(written, samples, 8_000, subtype, endian, "RAW")
    return written.getvalue()


def fmt(tag: int, bits: int, channels: int = 1, align: int | None = None, valid: int = 0) -> bytes:
    align = channels * -(-bits // 8) if align is None else align
    said = struct.pack("<HHIIHH", EXTENSIBLE if valid else tag, channels, 8_000, 8_000 * align, align, bits)
    return said + struct.pack("<HHIH", 22, valid, 4, tag) + GUID if valid else said


def chunk(name: bytes, body: bytes, size: int | None = None, pad: bytes = b"\0") -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + pad * (len(body) % 2)


def wav(*chunks: bytes, magic: bytes = b"RIFF", size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if size is None else size) + body


def ds64(data_bytes: int) -> bytes:
    return chunk(b"ds64", struct.pack("<QQQI", data_bytes + 80, data_bytes, data_bytes // 2, 0))


def rifx(subtype: str, tag: int, bits: int) -> bytes:
    said = struct.pack(">HHIIHH", tag, 1, 8_000, bits * 1_000, bits // 8, bits)
    data = raw(MONO, subtype, "BIG")
    body = b"WAVEfmt " + struct.pack(">I", 16) + said + b"data" + struct.pack(">I", len(data)) + data
    return b"RIFX" + struct.pack(">I", len(body)) + body


def au(encoding: int, data: bytes, size: int = 0xFFFFFFFF, note: bytes = b"", order: str = ">") -> bytes:
    magic = b".snd" if order == ">" else b"dns."
    return magic + struct.pack(f"{order}5I", 24 + len(note), size, encoding, 8_000, 1) + note + data


def caf(name: bytes, flags: int, bits: int, data: bytes, size: int = -1) -> bytes:
    said = struct.pack(">d4sIIIII", 8_000, name, flags, bits // 8, 1, 1, bits)
    head = b"caff\0\1\0\0desc" + struct.pack(">q", 32) + said + b"free" + struct.pack(">q", 7) + bytes(7)
    return head + b"data" + struct.pack(">qI", size, 0) + data


def written(format_: str, subtype: str | None = None, samples: Any = MONO, rate_hz: int = 8_000, **given: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, subtype, format=format_, **given)
    return file.getvalue()


S16, U8, MU, AL = raw(MONO, "PCM_16"), raw(MONO, "PCM_U8"), raw(MONO, "ULAW"), raw(MONO, "ALAW")
PLAIN = fmt(PCM, 16)
DATA = chunk(b"data", S16)
LIST = chunk(b"LIST", b"INFOISFT\x05\0\0\0abcd\0\0")
NO_SIZE = chunk(b"data", S16, 0)

EXACT = {
    "plain": wav(chunk(b"fmt ", PLAIN), DATA),
    "the recorder died, sizes are 0": wav(chunk(b"fmt ", PLAIN), NO_SIZE, size=0),
    "the recorder died, the size is that of the header": wav(chunk(b"fmt ", PLAIN), NO_SIZE, size=36),
    "sizes of all ones": wav(chunk(b"fmt ", PLAIN), chunk(b"data", S16, 0xFFFFFFFF), size=0xFFFFFFFF),
    "sizes that leave room for the header": wav(chunk(b"fmt ", PLAIN), chunk(b"data", S16, 0xFFFFFFDB), size=2**32 - 1),
    "sizes as sox writes them": wav(chunk(b"fmt ", PLAIN), chunk(b"data", S16, 0x7FFFF000), size=0x7FFFF024),
    "a size beyond the end": wav(chunk(b"fmt ", PLAIN), chunk(b"data", S16, len(S16) + 5_000)),
    "sizes of 0 after a fact": wav(chunk(b"fmt ", PLAIN), chunk(b"fact", b"\0\0\0\0"), NO_SIZE, size=0),
    "chunks before": wav(
        chunk(b"JUNK", bytes(28)), chunk(b"bext", bytes(100_001)), chunk(b"fmt ", PLAIN), LIST,
        chunk(b"PEAK", bytes(16)), chunk(b"iXML", b"<a/>" * 40_000), DATA
    ),
    "chunks behind": wav(chunk(b"fmt ", PLAIN), DATA, LIST, chunk(b"id3 ", bytes(33))),
    "a chunk of odd size that is not padded": wav(chunk(b"LIST", b"INFOx", pad=b""), chunk(b"fmt ", PLAIN), DATA),
    "padding that is not zero": wav(chunk(b"LIST", b"INFOx", pad=b"\x7f"), chunk(b"fmt ", PLAIN), DATA),
    "an unknown chunk": wav(chunk(b"fmt ", PLAIN), chunk(b"zzzz", bytes(7)), DATA),
    "samples before their format": wav(DATA, chunk(b"fmt ", PLAIN), LIST),
    "a format of 18 bytes": wav(chunk(b"fmt ", PLAIN + b"\0\0"), DATA),
    "a format of 14 bytes": wav(chunk(b"fmt ", PLAIN[:14]), DATA),
    "no bits and no alignment": wav(chunk(b"fmt ", fmt(PCM, 0, align=0)), DATA),
    "extensible": wav(chunk(b"fmt ", fmt(PCM, 16, valid=16)), DATA),
    "extensible without extension": wav(chunk(b"fmt ", fmt(EXTENSIBLE, 16)), DATA),
    "RF64": wav(ds64(len(S16)), chunk(b"fmt ", PLAIN), chunk(b"data", S16, 2**32 - 1), LIST, magic=b"RF64"),
    "BW64": wav(ds64(len(S16)), chunk(b"fmt ", PLAIN), chunk(b"data", S16, 2**32 - 1), LIST, magic=b"BW64"),
    "RF64 with a size of 0": wav(ds64(len(S16)), chunk(b"fmt ", PLAIN), NO_SIZE, LIST, magic=b"RF64", size=0),
    "RF64 whose recorder died": wav(ds64(0), chunk(b"fmt ", PLAIN), chunk(b"data", S16, 2**32 - 1), magic=b"RF64"),
    "RF64 that never grew": wav(chunk(b"JUNK", bytes(28)), chunk(b"fmt ", PLAIN), DATA, LIST, magic=b"RF64"),
    "24 bits": wav(chunk(b"fmt ", fmt(PCM, 24)), chunk(b"data", raw(MONO, "PCM_24")), LIST),
    "20 bits in 24": wav(chunk(b"fmt ", fmt(PCM, 20, align=3)), chunk(b"data", raw(MONO, "PCM_24"))),
    "24 bits in 32": wav(chunk(b"fmt ", fmt(PCM, 24, align=4)), chunk(b"data", raw(MONO, "PCM_32"))),
    "24 valid bits in 32": wav(chunk(b"fmt ", fmt(PCM, 32, valid=24)), chunk(b"data", raw(MONO, "PCM_32"))),
    "32 bits": wav(chunk(b"fmt ", fmt(PCM, 32)), chunk(b"data", raw(MONO, "PCM_32"))),
    "float": wav(chunk(b"fmt ", fmt(FLOAT, 32)), chunk(b"data", raw(MONO, "FLOAT"))),
    "float of 64 bits, extensible": wav(chunk(b"fmt ", fmt(FLOAT, 64, valid=64)), chunk(b"data", raw(MONO, "DOUBLE"))),
    "float whose recorder died": wav(chunk(b"fmt ", fmt(FLOAT, 32)), chunk(b"data", raw(MONO, "FLOAT"), 0), size=0),
    "RIFX": rifx("PCM_16", PCM, 16),
    "RIFX, 24 bits": rifx("PCM_24", PCM, 24),
    "RIFX, float": rifx("FLOAT", FLOAT, 32),
    "au of unknown size": au(3, raw(MONO, "PCM_16", "BIG")),
    "au with a note": au(3, raw(MONO, "PCM_16", "BIG"), len(S16), b"a note  "),
    "au whose recorder died": au(3, raw(MONO, "PCM_16", "BIG"), 0),
    "au, 24 bits": au(4, raw(MONO, "PCM_24", "BIG")),
    "au, float": au(6, raw(MONO, "FLOAT", "BIG")),
    "au, the other way round": au(3, S16, order="<"),
    "flac": written("FLAC"),
    "flac, 24 bits": written("FLAC", "PCM_24"),
    "aiff": written("AIFF", "PCM_16"),
    "aiff of swapped bytes": written("AIFF", "PCM_16", endian="LITTLE"),
    "caf": written("CAF", "PCM_16"),
    "caf of unknown size": caf(b"lpcm", 0, 16, raw(MONO, "PCM_16", "BIG")),
    "caf, little-endian, and a chunk behind": caf(b"lpcm", 2, 16, S16, len(S16) + 4) + b"info" + bytes(40),
    "caf, float": caf(b"lpcm", 1, 32, raw(MONO, "FLOAT", "BIG")),
    "caf, 24 bits": caf(b"lpcm", 2, 24, raw(MONO, "PCM_24")),
    "caf, lossless": written("CAF", "ALAC_16"),
    "wave 64": written("W64", "PCM_16"),
    "sphere": written("NIST", "PCM_16"),
    "voc": written("VOC", "PCM_16"),
}  # fmt: skip
STEPS = {  # to within how much, of 32768
    "8 bits": (wav(chunk(b"fmt ", fmt(PCM, 8)), chunk(b"data", U8), LIST), 256),
    "8 bits, extensible": (wav(chunk(b"fmt ", fmt(PCM, 8, valid=8)), chunk(b"data", U8)), 256),
    "mu-law": (wav(chunk(b"fmt ", fmt(MU_LAW, 8)), chunk(b"fact", bytes(4)), chunk(b"data", MU), LIST), 600),
    "mu-law that says 16 bits": (wav(chunk(b"fmt ", fmt(MU_LAW, 16, align=1)), chunk(b"data", MU)), 600),
    "mu-law that says 16 bits and 2 bytes": (wav(chunk(b"fmt ", fmt(MU_LAW, 16)), chunk(b"data", MU)), 600),
    "A-law that says 0 bits": (wav(chunk(b"fmt ", fmt(A_LAW, 0)), chunk(b"data", AL)), 600),
    "A-law, extensible": (wav(chunk(b"fmt ", fmt(A_LAW, 8, valid=8)), chunk(b"data", AL)), 600),
    "mu-law whose recorder died": (wav(chunk(b"fmt ", fmt(MU_LAW, 8)), chunk(b"data", MU, 0), size=0), 600),
    "au, mu-law": (au(1, MU), 600),
    "au, A-law": (au(27, AL, len(AL)), 600),
    "caf, mu-law": (caf(b"ulaw", 0, 8, MU), 600),
    "caf, 8 bits": (caf(b"lpcm", 0, 8, raw(MONO, "PCM_S8")), 256),
    "au, 8 bits": (au(2, raw(MONO, "PCM_S8")), 256),
    "aiff, mu-law": (written("AIFF", "ULAW"), 600),
}  # fmt: skip


def reading(data: bytes, size: int) -> Callable[[], Awaitable[bytes]]:
    source = io.BytesIO(data)

    async def read() -> bytes:
        return source.read(size if size > 1 or source.tell() < 200 else 8_191)  # a byte at a time where headers are

    return read


async def heard(pieces: AsyncIterator[bytes]) -> tuple[int, npt.NDArray[np.int16]]:
    """The rate and the samples, (n, channels), of a document."""
    demuxer, blocks, tracks = Demuxer(), b"", []
    async for piece in pieces:
        for event in demuxer.feed(piece):
            if isinstance(event, TracksRead):
                tracks.append(event.tracks[0])
            elif isinstance(event, BlockRead):
                blocks += event.data
    codec = codec_of(tracks[0])
    samples = np.rint(to_pcm(codec.encoding, blocks) * 32_768).astype(np.int16)
    return codec.rate_hz or 0, samples.reshape(-1, codec.channels or 1)


async def by_pipe(data: bytes, size: int = 4_096) -> tuple[int, npt.NDArray[np.int16]]:
    piped = await read_pipe(reading(data, size), None, clock=ManualClock())
    return await heard(piped.body)


async def by_file(path: Path, data: bytes) -> tuple[int, npt.NDArray[np.int16]]:
    await anyio.Path(path).write_bytes(data)
    return await heard(as_live(read_recording(path), 0, clock=ManualClock()))


async def both(tmp_path: Path, data: bytes) -> tuple[int, npt.NDArray[np.int16]]:
    """What a file and a pipe say, which must be the same, however the pipe is cut."""
    rate_hz, samples = await by_file(tmp_path / "recording", data)
    for size in (4_096, 1, 1 << 20):
        again_hz, again = await by_pipe(data, size)
        assert again_hz == rate_hz
        np.testing.assert_array_equal(again, samples)
    return rate_hz, samples


@pytest.mark.parametrize("case", EXACT)
async def test_every_sample_is_heard_whatever_the_header(tmp_path: Path, case: str) -> None:
    rate_hz, samples = await both(tmp_path, EXACT[case])
    assert rate_hz == 8_000
    np.testing.assert_array_equal(samples, MONO)


@pytest.mark.parametrize("case", STEPS)
async def test_coarse_samples_are_heard_to_within_a_step(tmp_path: Path, case: str) -> None:
    data, step = STEPS[case]
    _, samples = await both(tmp_path, data)
    assert samples.shape == MONO.shape
    assert np.abs(samples.astype(int) - MONO).max() <= step


@pytest.mark.parametrize(
    ("format_", "subtype"),
    [("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None), ("WAV", "GSM610")],
)
async def test_lossy_formats_sound_alike(tmp_path: Path, format_: str, subtype: str | None) -> None:
    _, samples = await both(tmp_path, written(format_, subtype))
    assert 0 <= len(samples) - len(MONO) < 1_000  # they are padded to whole packets
    assert np.corrcoef(samples[: len(MONO), 0], MONO[:, 0])[0, 1] > 0.9


async def test_compressed_wavs_are_heard_under_any_header_too(tmp_path: Path) -> None:
    whole = written("WAV", "IMA_ADPCM")
    _, expected = await by_file(tmp_path / "whole", whole)
    said_at, data_at = whole.index(b"fmt ") + 8, whole.index(b"data") + 8
    said, data = whole[said_at : said_at + 20], whole[data_at:]
    for name, changed in {
        "died": wav(chunk(b"fmt ", said), chunk(b"data", data, 0), size=0),
        "RF64": wav(ds64(len(data)), chunk(b"fmt ", said), chunk(b"data", data, 2**32 - 1), LIST, magic=b"RF64"),
        "bext": wav(chunk(b"bext", bytes(100_000)), chunk(b"fmt ", said), chunk(b"data", data), LIST),
        "late": wav(chunk(b"data", data), chunk(b"fmt ", said)),
    }.items():
        _, samples = await both(tmp_path, changed)
        np.testing.assert_array_equal(samples[: len(expected)], expected[: len(samples)], err_msg=name)
        assert len(samples) == pytest.approx(len(expected), abs=1_000)


async def test_an_mp3_behind_its_tags_is_heard(tmp_path: Path) -> None:
    mp3 = written("MP3")
    tagged = b"ID3\x04\0\0" + bytes([0, 0, 8, 0]) + bytes(1_024) + mp3
    np.testing.assert_array_equal((await both(tmp_path, tagged))[1], (await both(tmp_path, mp3))[1])


@pytest.mark.parametrize("format_", ["WAV", "FLAC", "AIFF", "AU", "CAF", "W64"])
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 48_000, 96_000, 192_000])
async def test_two_channels_at_any_rate(tmp_path: Path, format_: str, rate_hz: int) -> None:
    said_hz, samples = await both(tmp_path, written(format_, "PCM_16", STEREO, rate_hz))
    assert said_hz == rate_hz
    np.testing.assert_array_equal(samples, STEREO)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "ULAW", "IMA_ADPCM"])
async def test_two_channels_of_any_kind(tmp_path: Path, subtype: str) -> None:
    _, samples = await both(tmp_path, written("WAV", subtype, STEREO))
    for channel in (0, 1):
        assert np.corrcoef(samples[: len(STEREO), channel], STEREO[:, channel])[0, 1] > 0.99


async def test_what_is_cut_off_is_heard_as_far_as_it_goes(tmp_path: Path) -> None:
    for format_, subtype in (("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", None), ("AU", "PCM_16"), ("CAF", "PCM_24")):
        whole = written(format_, subtype)
        _, samples = await both(tmp_path, whole[: 2 * len(whole) // 3 + 1])
        assert len(samples) > 3_000
        np.testing.assert_array_equal(samples, MONO[: len(samples)])


def matroska(codec: str, **given: Any) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=given.get("rate_hz", 8_000), layout="stereo")
        assert isinstance(stream, av.AudioStream)
        for at in range(0, len(STEREO), 960):
            planes = STEREO[at : at + 960]
            kind = "s16" if codec.startswith("pcm") or codec == "libopus" else "fltp"
            values: npt.NDArray[Any] = planes.reshape(1, -1) if kind == "s16" else planes.T.astype(np.float32) / 32_768
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), format=kind, layout="stereo")
            frame.rate, frame.pts = given.get("rate_hz", 8_000), at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


async def test_matroska_is_read_as_samples_and_so_has_a_length(tmp_path: Path) -> None:
    for codec, rate_hz in (("pcm_s16le", 8_000), ("libopus", 48_000), ("aac", 8_000)):
        path = tmp_path / "call.mkv"
        path.write_bytes(matroska(codec, rate_hz=rate_hz))
        recording = read_recording(path)
        assert recording.seconds == pytest.approx(len(STEREO) / rate_hz, abs=0.2)
        assert (recording.rate_hz, recording.channels) == (rate_hz, 2)
        _, samples = await heard(as_live(recording, 0, clock=ManualClock()))
        if codec == "pcm_s16le":
            np.testing.assert_array_equal(samples, STEREO)
        assert len(samples) / rate_hz == pytest.approx(recording.seconds)


async def test_a_webm_of_one_long_cluster_is_sent_in_fragments_that_kinesis_takes(tmp_path: Path) -> None:
    file = io.BytesIO()
    with av.open(
        file, "w", format="webm", options={"cluster_time_limit": "60000", "cluster_size_limit": "9000000"}
    ) as out:
        stream = out.add_stream("libopus", rate=48_000, layout="mono")
        for at in range(0, 30 * 48_000, 960):
            noise = np.random.default_rng(at).integers(-9_000, 9_000, (1, 960), np.int16)
            frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
            frame.rate, frame.pts = 48_000, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    webm = file.getvalue()
    assert len([event for event in Demuxer().feed(webm) if isinstance(event, ClusterTimecode)]) == 1
    path = tmp_path / "call.webm"
    path.write_bytes(webm)
    recording = read_recording(path)
    assert recording.seconds == pytest.approx(30, abs=0.1)
    piped = await read_pipe(reading(webm, 4_096), None, clock=ManualClock())
    for pieces in (piped.body, as_live(recording, 0, clock=ManualClock())):
        body = b"".join([piece async for piece in pieces])
        times = [event.timecode_ms for event in Demuxer().feed(body) if isinstance(event, ClusterTimecode)]
        assert len(times) == pytest.approx(30, abs=1)
        assert max(np.diff(times)) <= 1_020


def test_pauses_in_matroska_are_silent_and_two_tracks_are_two_channels(tmp_path: Path) -> None:
    tracks = [Layout(SampleFormat.S16LE, 8_000, 1).track()]
    tracks.append(type(tracks[0])(2, 2, 2, "", "A_PCM/INT/LIT", b"", 8_000.0, 1, 16))
    muxer, second = Muxer(*tracks), b"\x01\x40" * 8_000
    clusters = [muxer.cluster(1_000 * at, [Block(track, 1_000 * at, second)]) for at, track in ((0, 1), (1, 2), (4, 1))]
    path = tmp_path / "call.mkv"
    path.write_bytes(muxer.header() + b"".join(clusters))
    with opened(path) as sound:
        samples = np.concatenate(list(sound.blocks())).reshape(5, 8_000, 2)
        assert sound.frames() == 40_000
    assert [[bool(channel.all()) for channel in second.T] for second in samples] == [
        [True, False],
        [False, True],
        [False, False],
        [False, False],
        [True, False],
    ]


async def test_an_mp4_is_heard_where_pyav_is(tmp_path: Path) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(MONO.T.astype(np.float32) / 32_768, format="fltp", layout="mono")
        frame.rate = 8_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    rate_hz, samples = await both(tmp_path, file.getvalue())
    assert rate_hz == 8_000
    assert len(samples) == pytest.approx(len(MONO), abs=2_100)


async def test_without_pyav_an_mp4_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    data = struct.pack(">I", 24) + b"ftypM4A \0\0\2\0" + bytes(100)
    for read in (by_pipe, partial(by_file, tmp_path / "call.m4a")):
        with pytest.raises(UnreadableRecording, match=r"carillon-voice\[codecs\]"):
            await read(data)


REFUSED = {
    "nothing": (b"", "empty|Nothing came"),
    "one byte": (b"R", "not a wav|no header"),
    "text": (b"Dear caller, this is no sound at all.\n" * 100, "not a wav|no header"),
    "pdf": (b"%PDF-1.7\n" + bytes(range(256)) * 10, "not a wav|no header"),
    "zeros": (bytes(5_000), "not a wav|no header"),
    "ones": (b"\xff" * 5_000, "not a wav|no header"),
    "a header and no samples": (wav(chunk(b"fmt ", PLAIN), chunk(b"data", b"")), "holds no sound"),
    "a header, no samples, and a chunk": (wav(chunk(b"fmt ", PLAIN), chunk(b"data", b""), LIST), "holds no sound"),
    "an open header and no samples": (wav(chunk(b"fmt ", PLAIN), chunk(b"data", b"", 2**32 - 1)), "holds no sound"),
    "half a sample": (wav(chunk(b"fmt ", PLAIN), chunk(b"data", b"\1", 2, b"")), "holds no sound"),
    "an au without samples": (au(3, b""), "holds no sound"),
    "an aiff without samples": (written("AIFF", "PCM_16", MONO[:0]), "holds no sound"),
    "a header that ends": (wav(chunk(b"fmt ", PLAIN)), "ends before its samples"),
    "no format": (wav(DATA), "does not say what its samples are"),
    "no format, and no end": (wav(chunk(b"data", S16, 0xFFFFFFFF)), "does not say what its samples are"),
    "no rate": (wav(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16)), DATA), "at 0 Hz"),
    "no channels": (wav(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 0, 8_000, 0, 2, 16)), DATA), "0 channels"),
    "an unknown codec": (wav(chunk(b"fmt ", fmt(0x1234, 16)), DATA), "cannot be read"),
    "a broken flac": (b"fLaC" + bytes(500), "cannot be read"),
    "a broken caf": (b"caff\0\1\0\0desc" + bytes(100), "cannot be read|ends before"),
    "a broken mp4": (struct.pack(">I", 24) + b"ftypM4A " + bytes(500), "cannot be read"),
    "broken Matroska": (b"\x1a\x45\xdf\xa3" + bytes(500), "damaged"),
    "a broken ogg": (b"OggS" + bytes(500), "cannot be read"),
    "Matroska of nothing": (Muxer(Layout(SampleFormat.S16LE, 8_000, 1).track()).header(), "holds no sound"),
    "six channels": (written("WAV", "PCM_16", np.repeat(MONO, 6, axis=1)), "6 channels"),
    "six channels of flac": (written("FLAC", "PCM_16", np.repeat(MONO, 6, axis=1)), "6 channels"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_recording_is_refused_by_file_and_by_pipe(tmp_path: Path, case: str) -> None:
    data, said = REFUSED[case]
    for read in (partial(by_file, tmp_path / "recording"), by_pipe, partial(by_pipe, size=1)):
        with pytest.raises(UnreadableRecording, match=said) as raised:
            await read(data)
        assert "\n" not in str(raised.value)


async def test_samples_that_look_like_an_mpeg_frame_are_raw_when_somebody_says_so() -> None:
    data = b"\xff\xfb\x90\x64" * 1_000
    piped = await read_pipe(reading(data, 512), Layout(SampleFormat.MU_LAW, 8_000, 1), clock=ManualClock())
    assert len((await heard(piped.body))[1]) == 4_000


async def test_a_wav_of_any_plain_kind_is_sent_while_it_comes() -> None:
    for bits, tag in ((8, PCM), (24, PCM), (32, FLOAT)):
        endless = wav(chunk(b"fmt ", fmt(tag, bits)), chunk(b"data", b"", 0xFFFFFFFF)) + bytes(bits * 1_000)
        taken = 0

        async def read(data: bytes = endless) -> bytes:
            nonlocal taken
            taken += 1
            assert taken < 10, "more is read than a fragment needs"
            return data if taken == 1 else bytes(1_000)

        piped = await read_pipe(read, None, clock=ManualClock())
        assert b"A_PCM/INT/LIT" in await anext(piped.body)
        assert len(await anext(piped.body)) > 16_000
        await piped.body.aclose()


def test_a_named_pipe_is_read_to_its_end_through_a_file_that_nobody_can_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    copies: list[os.stat_result] = []
    made = tempfile.TemporaryFile

    def watched(*arguments: Any, **given: Any) -> Any:
        file = made(*arguments, **given)
        copies.append(os.fstat(file.fileno()))
        return file

    monkeypatch.setattr(tempfile, "TemporaryFile", watched)
    writer = threading.Thread(target=path.write_bytes, args=(EXACT["plain"],))
    writer.start()
    with opened(path) as sound:
        samples = np.concatenate(list(sound.blocks()))
    writer.join()
    np.testing.assert_array_equal(np.rint(samples * 32_768), MONO)
    assert [(copy.st_nlink, stat.S_IMODE(copy.st_mode)) for copy in copies] == [(0, 0o600)]


@pytest.fixture
def unreadable(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "secret.wav"
    path.write_bytes(EXACT["plain"])
    path.chmod(0)
    yield path
    path.chmod(0o600)


def test_what_cannot_be_opened_is_one_line(tmp_path: Path, unreadable: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", *([unreadable] if os.geteuid() else [])):
        with pytest.raises(UnreadableRecording, match="cannot be read") as raised:
            read_recording(path)
        assert str(path) in str(raised.value)
