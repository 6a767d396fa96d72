"""A live pipe as a document: a recording of any kind, raw samples, or Matroska that somebody else has made.

What comes is known by its first bytes. Samples become fragments as they come, at the time at which they come; where
nothing does, and more comes later, it was silent. Matroska keeps its blocks and times, and is cut where its Clusters
are longer than our fragments. What only a decoder that seeks can read (`sound.py`) is taken to its end first.
Nothing is read before the last piece was taken, so a pipe is held back as far as the endpoint holds us back.
"""

import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from anyio import to_thread

from carillon.audio import to_pcm16
from carillon.clock import Clock, SystemClock, to_millis
from carillon.matroska import MatroskaError
from carillon.media.codecs import UnsupportedMedia
from carillon.media.containers import Container, container_of
from carillon.media.encodings import Encoding
from carillon.media.files import FRAGMENT_SECONDS, check_channels, check_fragment_seconds
from carillon.media.headers import SNIFFED_BYTES, BadHeader, Header, Reading, reading_of
from carillon.media.pcm import bytes_per_sample, to_pcm
from carillon.media.recut import Recut
from carillon.media.sound import (
    MOST_COPIED_BYTES,
    OpenRecording,
    UnreadableRecording,
    check,
    no_sound,
    recording_in,
    too_large,
    write_all,
)
from carillon.media.splicer import Layout, SampleFormat, Splicer

_SILENCE_SECONDS: Final = 2.0
_NAME: Final = "What comes through the pipe"
_AS_THEY_ARE: Final = {
    Encoding.S16LE: SampleFormat.S16LE,
    Encoding.A_LAW: SampleFormat.A_LAW,
    Encoding.MU_LAW: SampleFormat.MU_LAW,
}

ReadBytes = Callable[[], Awaitable[bytes]]
"""Returns the next bytes as soon as there are some, empty at the end."""


@dataclass(frozen=True, slots=True)
class Piped:
    """What comes through a pipe, as a document."""

    body: AsyncGenerator[bytes] = field(repr=False)
    started_at: datetime | None
    """What its timecodes count from; None if they are epoch times."""


async def read_pipe(
    read: ReadBytes,
    raw: Layout | None,
    *,
    on_sent: Callable[[float], None] = lambda _: None,
    clock: Clock | None = None,
    fragment_seconds: float = FRAGMENT_SECONDS,
) -> Piped:
    """Look at what comes; return it as a document.

    Args:
        read: from the pipe.
        raw: what samples without a header are; None if there must be one.
        on_sent: called with the seconds of audio that were yielded so far.
        clock: gives the time of the samples.
        fragment_seconds: how long each fragment is, 0.02 to 20; the last may be shorter.

    Raises:
        UnreadableRecording: nothing came; samples without a header, and `raw` is None; or a recording that cannot be
            read, holds no sound, or for which `raw` was given. Also while the body is taken.
        BadFragmentLength: out of range.
    """
    check_fragment_seconds(fragment_seconds)
    clock = clock or SystemClock()
    source = _Source(read)
    head = await source.peek(SNIFFED_BYTES)
    if not head:
        raise UnreadableRecording("Nothing came through the pipe. Does the program that should write to it run?")
    container = container_of(head, is_described=raw is not None)
    if container is not None and raw is not None:
        raise UnreadableRecording(f"{container.value} comes through the pipe, and says what it is: leave out --rate.")
    if container is Container.MATROSKA:
        return Piped(_recut(source.rest(), Recut(fragment_seconds), on_sent), clock.now())
    if container is None and raw is None:
        raise UnreadableRecording(
            f"{_NAME} has no header that is known. Have a wav written to it (ffmpeg: -f wav), or say what it is: "
            "--rate, --channels, --encoding."
        )
    pacing = _Pacing(clock, fragment_seconds, on_sent)
    header = await _header(source, raw, reading_of(head, is_live=True))
    if header is None or header.encoding is None:
        return Piped(_copied(source, header, pacing), None)
    return Piped(await _plain(source, header, header.encoding, pacing), None)


async def _header(source: "_Source", raw: Layout | None, reading: Reading | None) -> Header | None:
    """Take all that stands before the samples and return what they are; None if only a decoder can tell.

    Raises:
        UnreadableRecording: the header makes no sense.
    """
    if raw is not None:
        return Header(Encoding(raw.format.value), raw.rate_hz, raw.channels, 0, None)
    if reading is None:
        return None
    try:
        need = next(reading)
        while True:
            await source.skip_to(need.at)
            need = reading.send((await source.peek(need.size))[: need.size])
    except StopIteration as over:
        header: Header = over.value
    except BadHeader as error:
        raise UnreadableRecording(f"{_NAME} {error}.") from error
    await source.skip_to(header.at)
    return header


async def _plain(source: "_Source", header: Header, encoding: Encoding, pacing: "_Pacing") -> AsyncGenerator[bytes]:
    """Return the document of samples that need no decoder: 16 bits and G.711 as they are, others as 16 bits.

    Raises:
        UnreadableRecording: there are none, or such as a call does not have.
    """
    check(header.rate_hz, header.channels, _NAME)
    check_channels(header.channels, _NAME)
    frame_bytes = bytes_per_sample(encoding) * header.channels
    if header.size == 0 or len(await source.peek(frame_bytes)) < frame_bytes:
        raise no_sound(_NAME)
    format_ = _AS_THEY_ARE.get(encoding)
    pieces = source.rest(header.size)
    samples = pieces if format_ is not None else _as_pcm16(pieces, encoding, frame_bytes)
    return pacing.fragments(samples, Layout(format_ or SampleFormat.S16LE, header.rate_hz, header.channels))


class _Source:
    """Bytes that can be looked at before they are taken."""

    def __init__(self, read: ReadBytes) -> None:
        self._read = read
        self._held = b""
        self._at = 0  # where `_held` begins

    async def peek(self, size: int) -> bytes:
        """Return at least so many bytes, or all there are."""
        while len(self._held) < size and (data := await self._read()):
            self._held += data
        return self._held

    async def skip_to(self, at: int) -> None:
        """Drop what stands before an offset, however far it is."""
        while self._at + len(self._held) < at:
            self._at += len(self._held)
            self._held = await self._read()
            if not self._held:
                return
        self._held = self._held[at - self._at :]
        self._at = at

    async def rest(self, size: int | None = None) -> AsyncGenerator[bytes]:
        """Yield what follows, as it comes: so many bytes, or all; what comes after them is not read."""
        left = size
        data, self._held = self._held, b""
        data = data or await self._read()
        while data and (left is None or left > 0):
            taken = data if left is None else data[:left]
            yield taken
            left = None if left is None else left - len(taken)
            data = await self._read() if left is None or left > 0 else b""


@dataclass(frozen=True, slots=True)
class _Pacing:
    """What is the same for all samples."""

    clock: Clock
    fragment_seconds: float
    on_sent: Callable[[float], None]

    async def fragments(self, pieces: AsyncIterator[bytes], layout: Layout) -> AsyncGenerator[bytes]:
        splicer = Splicer(layout, to_millis(self.clock.now()), fragment_seconds=self.fragment_seconds)
        began = self.clock.monotonic()
        yield splicer.header()
        async for piece in pieces:
            due_seconds = self.clock.monotonic() - began - _SILENCE_SECONDS
            silent = splicer.fill_until(due_seconds) if due_seconds > splicer.seconds else []
            for fragment in (*silent, *splicer.push(0, piece)):
                yield fragment
            self.on_sent(splicer.seconds)
        for fragment in splicer.end():
            yield fragment


async def _as_pcm16(pieces: AsyncIterator[bytes], encoding: Encoding, frame_bytes: int) -> AsyncGenerator[bytes]:
    """Yield samples of any plain encoding as 16-bit ones."""
    rest = b""
    async for piece in pieces:
        data = rest + piece
        whole = len(data) - len(data) % frame_bytes
        rest = data[whole:]
        if whole:
            yield to_pcm16(to_pcm(encoding, data[:whole])).astype("<i2").tobytes()


async def _recut(pieces: AsyncIterator[bytes], recut: Recut, on_sent: Callable[[float], None]) -> AsyncGenerator[bytes]:
    try:
        async for piece in pieces:
            if made := recut.push(piece):
                yield made
                on_sent(recut.seconds)
        if made := recut.end():
            yield made
    except UnsupportedMedia as error:
        raise UnreadableRecording(f"{_NAME} cannot be read: {error}") from error
    except MatroskaError as error:
        raise UnreadableRecording(f"{_NAME} is damaged: {error}.") from error
    on_sent(recut.seconds)
    if recut.is_empty:
        raise no_sound(_NAME)


async def _copied(source: _Source, header: Header | None, pacing: _Pacing) -> AsyncGenerator[bytes]:
    """Take all there is, and then yield the recording that it is."""
    with tempfile.TemporaryFile(buffering=0) as copy:
        again = b"" if header is None else header.again
        await to_thread.run_sync(write_all, copy, again)
        size = 0
        async for piece in source.rest(None if header is None else header.size):
            size += len(piece)
            if size > MOST_COPIED_BYTES:
                raise too_large()
            await to_thread.run_sync(write_all, copy, piece)
        copy.seek(0)
        with recording_in(copy, _NAME) as sound:
            check_channels(sound.channels, _NAME)
            layout = Layout(SampleFormat.S16LE, sound.rate_hz, sound.channels)
            async for fragment in pacing.fragments(_decoded(sound), layout):
                yield fragment


async def _decoded(sound: OpenRecording) -> AsyncGenerator[bytes]:
    blocks = sound.blocks()
    while (samples := await to_thread.run_sync(next, blocks, None)) is not None:
        yield to_pcm16(samples).astype("<i2").tobytes()
