"""Telephone speech through the codecs of mobile networks and voice over IP, there and back: to measure what they cost.

GSM-FR is libsndfile's, AMR-NB and Opus are libav's: through PyAV, which is an optional extra.
"""

import io
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import soundfile
import soxr

from carillon.audio import Pcm, from_pcm16, to_pcm16
from carillon.media.libav_sound import pyav

LossyCodec: TypeAlias = Literal["GSM-FR", "AMR-NB", "Opus"]
RATE_HZ: Final = 8_000
_PACKET_SAMPLES: Final = 160
_LIBAV: Final[dict[LossyCodec, tuple[str, str, int]]] = {
    "AMR-NB": ("amr", "libopencore_amrnb", 7_400),
    "Opus": ("ogg", "libopus", 8_000),
}
"""Container, encoder and bits a second: a middle mode of AMR, and of Opus about what a call gets when it is crowded."""


def through_codec(samples: Pcm, codec: LossyCodec) -> Pcm:
    """Return (n,) samples in [-1, 1] at 8 kHz as they come out of a codec; what that delays is dropped at the end.

    Raises:
        UndecodableFile: PyAV is not installed.
    """
    restored = _through_gsm(samples) if codec == "GSM-FR" else _through_libav(samples, *_LIBAV[codec])
    return np.pad(restored[: len(samples)], (0, max(0, len(samples) - len(restored))))


def _through_gsm(samples: Pcm) -> Pcm:
    with io.BytesIO() as file:
        soundfile.write(file, samples, RATE_HZ, format="WAV", subtype="GSM610")
        file.seek(0)
        restored: Pcm = soundfile.read(file, dtype="float32")[0]
    return restored


def _through_libav(samples: Pcm, container: str, encoder: str, bits: int) -> Pcm:
    av = pyav()
    with io.BytesIO() as file:
        with av.open(file, "w", format=container) as writer:
            stream = writer.add_stream(encoder, rate=RATE_HZ, layout="mono")
            stream.bit_rate = bits
            for frame in _frames(av, samples):
                writer.mux(stream.encode(frame))
            writer.mux(stream.encode(None))
        file.seek(0)
        with av.open(file) as reader:
            frames = list(reader.decode(audio=0))
    restored = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    decoded = restored if restored.dtype == np.float32 else from_pcm16(restored)
    resampled: Pcm = soxr.resample(decoded, frames[0].sample_rate, RATE_HZ)
    return resampled


def _frames(av: Any, samples: Pcm) -> Iterator[Any]:  # noqa: ANN401 - PyAV is imported where it is needed
    whole = np.pad(to_pcm16(samples), (0, -len(samples) % _PACKET_SAMPLES))
    for number, packet in enumerate(whole.reshape(-1, 1, _PACKET_SAMPLES)):
        frame = av.AudioFrame.from_ndarray(packet, format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, number * _PACKET_SAMPLES
        yield frame
