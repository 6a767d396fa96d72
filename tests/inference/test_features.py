import kaldi_native_fbank
import numpy as np
import pytest

from carillon.audio import Pcm
from carillon.inference.catalog import Input
from carillon.inference.fbank import fbank, without_bands_beyond
from carillon.inference.log_mel import log_mel

RESNET34 = Input(name="fbank", what="fbank", mels=80, window="hamming", scale=32_768, cmn="mean")


def _tone(hz: float, seconds: float = 1.0) -> Pcm:
    return np.sin(2 * np.pi * hz * np.arange(int(16_000 * seconds)) / 16_000).astype(np.float32) * np.float32(0.5)


def test_filter_banks_have_a_frame_every_10_ms_and_no_mean(anna: Pcm) -> None:
    frames = fbank(anna, RESNET34)
    assert frames.shape == (1 + (len(anna) - 400) // 160, 80)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-4)


def test_loudness_disappears_with_the_mean(anna: Pcm) -> None:
    np.testing.assert_allclose(fbank(anna, RESNET34), fbank(anna * np.float32(0.5), RESNET34), atol=2e-2)


def test_mean_and_variance_are_normalized_where_the_manifest_says_so(anna: Pcm) -> None:
    front_end = Input(name="fbank", what="fbank", cmn="mean_var")
    np.testing.assert_allclose(fbank(anna, front_end).std(axis=0), 1, atol=1e-3)


def test_the_same_speech_has_the_same_features_to_the_bit(anna: Pcm) -> None:
    np.testing.assert_array_equal(fbank(anna, RESNET34), fbank(anna.copy(), RESNET34))


@pytest.mark.parametrize("window", ["povey", "hamming", "hann"])
def test_a_tone_is_found_in_its_band(window: str) -> None:
    front_end = Input(name="fbank", what="fbank", window=window)  # type: ignore[arg-type]  # parametrized literals
    low, high = (fbank(_tone(hz), front_end).mean(axis=0).argmax() for hz in (300, 3_000))
    assert 0 < low < high < 79


@pytest.mark.parametrize(
    ("hz", "is_beyond"), [(120, True), (300, False), (1_000, False), (3_300, False), (5_000, True)]
)
def test_bands_beyond_the_telephone_say_nothing_any_more(hz: float, is_beyond: bool) -> None:
    """A tone that comes and goes is seen in its band, unless that lies beyond."""
    front_end = Input(name="fbank", what="fbank", cmn="none")
    frames = fbank(np.concatenate([_tone(hz), _tone(1_000) * np.float32(0.1)]), front_end)
    band = frames[:95].mean(axis=0).argmax()
    narrow = without_bands_beyond(frames, (250, 3_500))
    expected = np.full(len(frames), frames[:, band].mean()) if is_beyond else frames[:, band]
    np.testing.assert_allclose(narrow[:, band], expected, rtol=1e-5)
    np.testing.assert_allclose(narrow.mean(axis=0), frames.mean(axis=0), rtol=1e-4)


def test_log_mel_agrees_with_an_independent_whisper_front_end(anna: Pcm) -> None:
    """Kaldi-native-fbank has one too; it centers its frames 120 samples later and leaves the scaling to the caller."""
    oracle = kaldi_native_fbank.OnlineWhisperFbank(kaldi_native_fbank.WhisperFeatureOptions())
    oracle.accept_waveform(16_000, np.pad(anna, 200, mode="reflect")[120:].tolist())
    oracle.input_finished()
    energies = np.stack([oracle.get_frame(i) for i in range(oracle.num_frames_ready)])
    logs = np.log10(np.maximum(energies, 1e-10))
    expected = (np.maximum(logs, logs.max() - 8) + 4) / 4
    inner = slice(2, len(anna) // 160 - 3)
    np.testing.assert_allclose(log_mel(anna).T[inner], expected[inner], atol=1e-3)


def test_log_mel_is_as_long_as_the_speech_and_not_30_s() -> None:
    mel = log_mel(_tone(440, 0.7))
    assert mel.shape == (80, 70)
    assert mel.dtype == np.float32
    assert mel.max() - mel.min() <= 2.0 + 1e-6  # floored 8 below the peak, divided by 4
