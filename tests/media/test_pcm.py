"""libsndfile is the other side: what it decodes, we decode to the same values."""

import io
import warnings

import numpy as np
import pytest
import soundfile

from carillon.media.encodings import Encoding
from carillon.media.pcm import bytes_per_sample, to_pcm

PLAIN = [encoding for encoding in Encoding if not encoding.is_compressed]
SUBTYPES = {
    Encoding.S8: ("PCM_S8", "LITTLE"),
    Encoding.U8: ("PCM_U8", "LITTLE"),
    Encoding.S16LE: ("PCM_16", "LITTLE"),
    Encoding.S16BE: ("PCM_16", "BIG"),
    Encoding.S24LE: ("PCM_24", "LITTLE"),
    Encoding.S24BE: ("PCM_24", "BIG"),
    Encoding.S32LE: ("PCM_32", "LITTLE"),
    Encoding.S32BE: ("PCM_32", "BIG"),
    Encoding.F32LE: ("FLOAT", "LITTLE"),
    Encoding.F32BE: ("FLOAT", "BIG"),
    Encoding.F64BE: ("DOUBLE", "BIG"),
    Encoding.F64LE: ("DOUBLE", "LITTLE"),
    Encoding.A_LAW: ("ALAW", "LITTLE"),
    Encoding.MU_LAW: ("ULAW", "LITTLE"),
}
ALL_CODES = bytes(range(256))


def some_data(encoding: Encoding) -> bytes:
    """Every code there is, or samples over the whole range, the ends included."""
    if bytes_per_sample(encoding) == 1:
        return ALL_CODES
    samples = np.concatenate([[-1.0, 0.0, 1.0 - 2.0**-23], np.random.default_rng(3).uniform(-1, 1, 997)])
    subtype, endian = SUBTYPES[encoding]
    file = io.BytesIO()
    soundfile.write(file, samples, 8_000, subtype, endian, format="RAW")
    return file.getvalue()


@pytest.mark.parametrize("encoding", PLAIN)
def test_samples_are_those_of_libsndfile(encoding: Encoding) -> None:
    data = some_data(encoding)
    subtype, endian = SUBTYPES[encoding]
    expected, _ = soundfile.read(
        io.BytesIO(data), dtype="float32", samplerate=8_000, channels=1, subtype=subtype, endian=endian, format="RAW"
    )
    decoded = to_pcm(encoding, data)
    assert decoded.dtype == np.float32
    assert len(decoded) * bytes_per_sample(encoding) == len(data)
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("encoding", PLAIN)
def test_of_nothing_there_are_no_samples(encoding: Encoding) -> None:
    assert to_pcm(encoding, b"").shape == (0,)


@pytest.mark.parametrize("encoding", PLAIN)
def test_whatever_comes_samples_are_finite_and_in_range(encoding: Encoding) -> None:
    data = np.random.default_rng(5).bytes(80_000 // bytes_per_sample(encoding) * bytes_per_sample(encoding))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = to_pcm(encoding, data)
    assert np.all(np.abs(decoded) <= 1)


def test_floating_point_out_of_range_is_clipped_and_what_is_no_number_is_silence() -> None:
    for encoding, kind in ((Encoding.F32LE, "<f4"), (Encoding.F64LE, "<f8")):
        data = np.array([2.0, -3.0, np.inf, -np.inf, np.nan, 0.25], kind).tobytes()
        assert to_pcm(encoding, data).tolist() == [1.0, -1.0, 1.0, -1.0, 0.0, 0.25]


def test_the_corners_of_g_711_are_those_of_the_standard() -> None:
    assert (to_pcm(Encoding.MU_LAW, b"\xff\x7f\x80\x00") * 32_768).tolist() == [0, 0, 32_124, -32_124]
    assert (to_pcm(Encoding.A_LAW, b"\xd5\x55\xaa\x2a") * 32_768).tolist() == [8, -8, 32_256, -32_256]
