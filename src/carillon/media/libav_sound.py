"""Recordings that only libavcodec reads, MP4 above all: through PyAV, which is an optional extra."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from carillon.errors import InvalidRequest

_FORMATS: Final = {b"ftyp": "mp4", b"#!AM": "amr"}


class UndecodableFile(InvalidRequest):
    """PyAV is not installed, or cannot read it; the message stands after "cannot be read: "."""


@dataclass(frozen=True, slots=True)
class LibavSound:
    """The first audio track of a file."""

    file: IO[bytes]
    rate_hz: int
    channels: int

    def frames(self) -> int:
        """Return how many samples each channel has, by decoding everything."""
        return sum(len(block) for block in self.blocks())

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield (n, channels) samples from the beginning; what is cut off just ends sooner."""
        av = pyav()
        with _opened(av, self.file) as container:
            resampler = av.AudioResampler(format="flt", rate=self.rate_hz)
            try:
                for frame in container.decode(audio=0):
                    for part in resampler.resample(frame):
                        yield part.to_ndarray().reshape(-1, self.channels)
            except av.FFmpegError:
                return


@contextmanager
def decoded_file(file: IO[bytes]) -> Iterator[LibavSound]:
    """Open an MP4, AAC or AMR file that can seek.

    Raises:
        UndecodableFile: PyAV is not installed, or finds no audio in it.
    """
    with _opened(pyav(), file) as container:
        if not container.streams.audio:
            raise UndecodableFile("it has no audio track.")
        said = container.streams.audio[0].codec_context
        rate_hz, channels = said.sample_rate, said.layout.nb_channels
    yield LibavSound(file, rate_hz, channels)


@contextmanager
def _opened(av: Any, file: IO[bytes]) -> Iterator[Any]:  # noqa: ANN401 - PyAV is optional
    file.seek(0)
    head = file.read(8)
    file.seek(0)
    format_ = _FORMATS.get(head[4:]) or _FORMATS.get(head[:4]) or "aac"
    try:
        container = av.open(file, format=format_)
    except av.FFmpegError as error:
        raise UndecodableFile(f"{error.strerror}.") from error
    with container:
        yield container


def pyav() -> Any:  # noqa: ANN401 - PyAV is optional
    """Return the module.

    Raises:
        UndecodableFile: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UndecodableFile("MP4, AAC and AMR need PyAV: pip install 'carillon-voice[codecs]'.") from error
    return av
