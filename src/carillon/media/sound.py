"""The one way to read a recording: whatever its format, its samples; whatever is wrong with it, one line.

What a recording is, its first bytes tell, never its name. WAV and AU with plain samples are read here, since recorders
that died, pipes and old writers leave headers that libsndfile does not take; the others are read by libsndfile, which
must seek, as far as it knows them; Matroska by our own demuxer; MP4 and bare AAC or AMR by libavcodec, if PyAV is
installed. What cannot seek is copied to an unlinked file first, readable by nobody else.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Final, Protocol

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from carillon.audio import Pcm
from carillon.errors import InvalidRequest
from carillon.matroska import MatroskaError
from carillon.media.codecs import UnsupportedMedia
from carillon.media.containers import Container, container_of
from carillon.media.encodings import Encoding
from carillon.media.headers import SNIFFED_BYTES, BadHeader, Header, Reading, reading_of
from carillon.media.libav_sound import UndecodableFile, decoded_file
from carillon.media.matroska_sound import MatroskaSound
from carillon.media.pcm import bytes_per_sample, to_pcm

_READ_FRAMES: Final = 16_384
_DECODED_FRAMES: Final = 1_024  # where a recording is cut off, libsndfile gives nothing of what it was asked for
MAX_RATE_HZ: Final = 384_000
_COPIED_BYTES: Final = 1 << 20
MOST_COPIED_BYTES: Final = 8 << 30

Planar = npt.NDArray[np.float32]
"""(n, channels) float32 in [-1, 1]."""


class UnreadableRecording(InvalidRequest):
    """A file, or what comes through a pipe, is not a recording that can be read, or holds no sound."""


class OpenRecording(Protocol):
    """A recording that is open."""

    @property
    def rate_hz(self) -> int:
        """Return its samples a second, of one channel."""
        ...

    @property
    def channels(self) -> int:
        """Return how many there are side by side."""
        ...

    def frames(self) -> int:
        """Return how many samples each channel has; it may have to decode everything to know."""
        ...

    def blocks(self) -> Iterator[Planar]:
        """Yield all of it from the beginning, in arrays of no particular length; what is cut off just ends sooner."""
        ...


@contextmanager
def opened(path: Path) -> Iterator[OpenRecording]:
    """Open a recording; a pipe is read to its end first.

    Raises:
        UnreadableRecording: it cannot be read, is no recording, or holds no sound. Also in the body.
    """
    try:
        with path.open("rb", buffering=0) as file, recording_in(file, str(path)) as sound:
            yield sound
    except OSError as error:
        raise UnreadableRecording(f"{path} cannot be read: {error.strerror or error}.") from error


@contextmanager
def recording_in(file: IO[bytes], name: str) -> Iterator[OpenRecording]:
    """Read a recording out of an open file, unbuffered; one that cannot seek is read to its end first.

    Raises:
        UnreadableRecording: it is no recording, or holds no sound. Also in the body.
    """
    if not file.seekable():
        with copied(iter(lambda: file.read(_COPIED_BYTES), b"")) as copy, recording_in(copy, name) as sound:
            yield sound
        return
    try:
        with _sound(file, name) as sound:
            check(sound.rate_hz, sound.channels, name)
            if next(sound.blocks(), None) is None:
                raise no_sound(name)
            yield sound
    except BadHeader as error:
        raise UnreadableRecording(f"{name} {error}.") from error
    except MatroskaError as error:
        raise UnreadableRecording(f"{name} is damaged: {error}.") from error
    except (UnsupportedMedia, UndecodableFile) as error:
        raise UnreadableRecording(f"{name} cannot be read: {error}") from error


def check(rate_hz: int, channels: int, name: str) -> None:
    """Return if samples of such a rate, side by side so, can be anything.

    Raises:
        UnreadableRecording: they cannot.
    """
    if not 1 <= rate_hz <= MAX_RATE_HZ or channels < 1:
        raise UnreadableRecording(f"{name} says that it has {channels} channels at {rate_hz} Hz.")


def no_sound(name: str) -> UnreadableRecording:
    """Return what is to be raised about a recording without samples."""
    return UnreadableRecording(f"{name} holds no sound.")


@contextmanager
def copied(pieces: Iterable[bytes]) -> Iterator[IO[bytes]]:
    """Yield an unlinked file that holds what is given, from its beginning.

    Raises:
        UnreadableRecording: it is too large.
    """
    with tempfile.TemporaryFile(buffering=0) as copy:
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > MOST_COPIED_BYTES:
                raise too_large()
            write_all(copy, piece)
        copy.seek(0)
        yield copy


def too_large() -> UnreadableRecording:
    """Return what is to be raised about a pipe that brings more than a recording has."""
    return UnreadableRecording("More than 8 GiB came through the pipe. Send such a recording as a file, or as a wav.")


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write everything to an unbuffered file, which may take only a part at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


@contextmanager
def _sound(file: IO[bytes], name: str) -> Iterator[OpenRecording]:
    head = file.read(SNIFFED_BYTES)
    reading = reading_of(head)
    container = container_of(head)
    if reading is not None:
        with _plain(file, _read_header(file, reading), name) as sound:
            yield sound
    elif container is Container.MATROSKA:
        yield MatroskaSound(file)
    elif container is Container.LIBAV:
        file.seek(0)
        with decoded_file(file) as decoded:
            yield decoded
    elif container is Container.LIBSNDFILE:
        yield _by_libsndfile(file, name)
    elif not head:
        raise UnreadableRecording(f"{name} is empty.")
    else:
        raise UnreadableRecording(
            f"{name} is not a wav, flac, mp3, ogg, au, aiff, Matroska or other recording that can be read. Send "
            "samples without a header through a pipe: carillon push - --rate 8000."
        )


def _read_header(file: IO[bytes], reading: Reading) -> Header:
    try:
        need = next(reading)
        while True:
            file.seek(need.at)
            need = reading.send(file.read(need.size))
    except StopIteration as over:
        header: Header = over.value
        return header


@contextmanager
def _plain(file: IO[bytes], header: Header, name: str) -> Iterator[OpenRecording]:
    """Yield the samples behind a header: read here if they are plain, else by libsndfile."""
    if header.encoding is not None:
        yield _PlainSound(file, header, header.encoding)
    else:
        with copied(chain([header.again], _region(file, header))) as copy:
            yield _by_libsndfile(copy, name)


def _region(file: IO[bytes], header: Header) -> Iterator[bytes]:
    file.seek(header.at)
    left = header.size
    while left is None or left > 0:
        data = file.read(_COPIED_BYTES if left is None else min(left, _COPIED_BYTES))
        if not data:
            return
        yield data
        left = None if left is None else left - len(data)


@dataclass(frozen=True, slots=True)
class _PlainSound:
    """Samples that need no decoder."""

    file: IO[bytes]
    header: Header
    encoding: Encoding

    @property
    def rate_hz(self) -> int:
        return self.header.rate_hz

    @property
    def channels(self) -> int:
        return self.header.channels

    def frames(self) -> int:
        return self._size() // self._frame_bytes()

    def blocks(self) -> Iterator[Planar]:
        left = self.frames()
        self.file.seek(self.header.at)
        while left:
            data = self.file.read(min(left, _READ_FRAMES) * self._frame_bytes())
            frames = len(data) // self._frame_bytes()
            if not frames:  # it was cut off meanwhile
                return
            left -= frames
            yield to_pcm(self.encoding, data[: frames * self._frame_bytes()]).reshape(-1, self.channels)

    def _size(self) -> int:
        there = max(0, self.file.seek(0, os.SEEK_END) - self.header.at)
        return there if self.header.size is None else min(there, self.header.size)

    def _frame_bytes(self) -> int:
        return bytes_per_sample(self.encoding) * self.channels


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """Reads on and on: else soundfile seeks after every read, which an MP3 decoder answers with a wrong start."""

    def seekable(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class _LibsndfileSound:
    """What libsndfile decodes."""

    file: IO[bytes]
    rate_hz: int
    channels: int
    count: int

    def frames(self) -> int:
        return self.count

    def blocks(self) -> Iterator[Planar]:
        with _decoder(self.file) as decoder:  # a new one each time, since there are formats in which it cannot go back
            while True:
                try:
                    samples: Planar = decoder.read(_DECODED_FRAMES, dtype="float32", always_2d=True)
                except soundfile.LibsndfileError:  # it was cut off
                    return
                if not len(samples):
                    return
                yield samples


def _by_libsndfile(file: IO[bytes], name: str) -> OpenRecording:
    try:
        with _decoder(file) as decoder:
            return _LibsndfileSound(file, decoder.samplerate, decoder.channels, decoder.frames)
    except soundfile.LibsndfileError as error:  # its words would mislead: it takes some damage for a missing file
        raise UnreadableRecording(f"{name} cannot be read: it is damaged, or of a rare kind.") from error


def _decoder(file: IO[bytes]) -> _Forward:
    file.seek(0)
    return _Forward(file.fileno(), closefd=False)


def resampled(sound: OpenRecording, rate_hz: int) -> Iterator[Planar]:
    """Yield all of a recording, from the beginning, at a rate that may be another than its own."""
    if sound.rate_hz == rate_hz:
        yield from sound.blocks()
        return
    resampler = soxr.ResampleStream(sound.rate_hz, rate_hz, sound.channels, dtype="float32")
    for samples in sound.blocks():
        yield resampler.resample_chunk(np.ascontiguousarray(samples)).reshape(-1, sound.channels)
    rest = resampler.resample_chunk(np.zeros((0, sound.channels), np.float32), last=True)
    yield rest.reshape(-1, sound.channels)


def channel_of(samples: Planar, channel: int) -> Pcm:
    """Return one channel, (n,), of (n, channels) samples."""
    return np.ascontiguousarray(samples[:, channel])
