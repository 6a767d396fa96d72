"""A live pipe as a document: a wav without end, raw samples, or Matroska that somebody else has made.

What comes is told by its first bytes. Samples become fragments as they come, at the time at which they come; where
nothing does, and more comes later, it was silent. Matroska passes through as it is. Nothing is read before the last
piece was taken, so a pipe is held back as far as the endpoint holds us back.
"""

import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from carillon.clock import Clock, SystemClock, to_millis
from carillon.errors import InvalidRequest
from carillon.media.files import FRAGMENT_SECONDS
from carillon.media.splicer import Layout, SampleFormat, Splicer

_EBML: Final = b"\x1a\x45\xdf\xa3"
_RIFF: Final = (b"RIFF", b"RF64")
_WAVE: Final = b"WAVE"
_SNIFFED_BYTES: Final = 12
_MAX_HEADER_BYTES: Final = 65_536
_CHUNK_HEADER: Final = struct.Struct("<4sI")
_WAVE_FORMAT: Final = struct.Struct("<HHIIHH")
_EXTENSIBLE: Final = 0xFFFE
_SUBFORMAT_AT: Final = 24
_UNTIL_THE_END: Final = frozenset({0, 0xFFFFFFFF})
"""What programs write as the size of what is still to come."""
_MAX_RATE_HZ: Final = 384_000
_SILENCE_SECONDS: Final = 2.0
_FORMATS: Final = {(1, 16): SampleFormat.S16LE, (6, 8): SampleFormat.A_LAW, (7, 8): SampleFormat.MU_LAW}

Read = Callable[[], Awaitable[bytes]]
"""Returns the next bytes as soon as there are some, empty at the end."""


class UnreadablePipe(InvalidRequest):
    """What comes through a pipe is nothing that can be streamed."""


@dataclass(frozen=True, slots=True)
class Piped:
    """What comes through a pipe, as a document."""

    body: AsyncGenerator[bytes] = field(repr=False)
    started_at: datetime | None
    """What its timecodes count from; None if they are epoch times."""


async def read_pipe(
    read: Read,
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
        on_sent: told the seconds of audio that were yielded so far; not of Matroska.
        clock: gives the time of the samples.
        fragment_seconds: how long each fragment is, 0.02 to 20; the last may be shorter.

    Raises:
        UnreadablePipe: nothing came; samples without a header, and `raw` is None; or a wav that is not to be read, or
            for which `raw` was given.
        BadFragmentLength: out of range.
    """
    clock = clock or SystemClock()
    source = _Source(read)
    head = await source.peek(_SNIFFED_BYTES)
    if not head:
        raise UnreadablePipe("Nothing came through the pipe. Does the program that should write to it run?")
    if head.startswith(_EBML):
        _check_not_described(raw, "Matroska")
        return Piped(source.rest(), clock.now())
    if head.startswith(_RIFF) and head[8:12] == _WAVE:
        _check_not_described(raw, "a wav")
        layout, size = await _read_wave_header(source)
    elif raw is None:
        raise UnreadablePipe(
            "What comes through the pipe has no header. Have a wav written to it (ffmpeg: -f wav), or say what it is: "
            "--rate, --channels, --encoding."
        )
    else:
        layout, size = raw, None
    splicer = Splicer(_checked(layout), to_millis(clock.now()), fragment_seconds=fragment_seconds)
    return Piped(_fragments(source.rest(size), splicer, on_sent, clock), None)


class _Source:
    """Bytes that can be looked at before they are taken."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._held = b""

    async def peek(self, size: int) -> bytes:
        """Return at least so many bytes, or all there are."""
        while len(self._held) < size and (data := await self._read()):
            self._held += data
        return self._held

    def skip(self, size: int) -> None:
        self._held = self._held[size:]

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


async def _fragments(
    pieces: AsyncGenerator[bytes], splicer: Splicer, on_sent: Callable[[float], None], clock: Clock
) -> AsyncGenerator[bytes]:
    began = clock.monotonic()
    yield splicer.header()
    async for piece in pieces:
        due_seconds = clock.monotonic() - began - _SILENCE_SECONDS
        silent = splicer.fill_until(due_seconds) if due_seconds > splicer.seconds else []
        for fragment in (*silent, *splicer.push(0, piece)):
            yield fragment
        on_sent(splicer.seconds)
    for fragment in splicer.end():
        yield fragment


async def _read_wave_header(source: _Source) -> tuple[Layout, int | None]:
    """Take all that stands before the samples; return what they are, and their size, None if that is open."""
    layout: Layout | None = None
    source.skip(_SNIFFED_BYTES)
    while True:
        head = await source.peek(_CHUNK_HEADER.size)
        if len(head) < _CHUNK_HEADER.size:
            raise UnreadablePipe("The wav ends before its samples.")
        name, size = _CHUNK_HEADER.unpack_from(head)
        if name == b"data":
            source.skip(_CHUNK_HEADER.size)
            if layout is None:
                raise UnreadablePipe("The wav does not say what its samples are.")
            return layout, None if size in _UNTIL_THE_END else size
        if size > _MAX_HEADER_BYTES:
            raise UnreadablePipe("The wav has no samples in its first 64 KiB.")
        end = _CHUNK_HEADER.size + size + size % 2  # chunks are padded to an even size
        chunk = (await source.peek(end))[_CHUNK_HEADER.size : end]
        source.skip(end)
        if name == b"fmt ":
            layout = _wave_layout(chunk)


def _wave_layout(chunk: bytes) -> Layout:
    """Return what a `fmt ` chunk says.

    Source: Microsoft, "WAVEFORMATEXTENSIBLE structure".
    """
    if len(chunk) < _WAVE_FORMAT.size:
        raise UnreadablePipe("The wav does not say what its samples are.")
    tag, channels, rate_hz, _, _, bits = _WAVE_FORMAT.unpack_from(chunk)
    if tag == _EXTENSIBLE:
        tag = int.from_bytes(chunk[_SUBFORMAT_AT : _SUBFORMAT_AT + 2], "little")
    format_ = _FORMATS.get((tag, bits))
    if format_ is None:
        raise UnreadablePipe(f"The wav has {bits}-bit samples of format {tag}; send 16 bits (ffmpeg: -c:a pcm_s16le).")
    return Layout(format_, rate_hz, channels)


def _check_not_described(raw: Layout | None, what: str) -> None:
    if raw is not None:
        raise UnreadablePipe(f"{what.capitalize()} comes through the pipe, and says what it is: leave out --rate.")


def _checked(layout: Layout) -> Layout:
    if layout.channels not in {1, 2}:
        raise UnreadablePipe(f"The pipe has {layout.channels} channels; a call has one or two (ffmpeg: -ac 1).")
    if not 1 <= layout.rate_hz <= _MAX_RATE_HZ:
        raise UnreadablePipe(f"{layout.rate_hz} Hz cannot be streamed; send 8000 to 48000 (ffmpeg: -ar 16000).")
    return layout
