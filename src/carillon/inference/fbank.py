"""Kaldi filter banks, the front end of almost every speaker model."""

import math
from typing import Final

import kaldi_native_fbank
import numpy as np

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference.catalog import Input
from carillon.inference.sessions import Tensor

_LOWEST_HZ: Final = 20.0


def fbank(speech: Pcm, front_end: Input) -> Tensor:
    """Turn (n,) samples at 16 kHz, n >= 400, into (t, mels) log energies: 25 ms every 10 ms, normalized over time.

    Source: Kaldi's `compute-fbank-feats`; window, scale, dither and preemphasis as in the manifest.
    """
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = MODEL_RATE_HZ
    options.frame_opts.window_type = "hanning" if front_end.window == "hann" else front_end.window
    options.frame_opts.dither = front_end.dither
    options.frame_opts.preemph_coeff = front_end.preemphasis
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = front_end.mels
    options.mel_opts.low_freq = _LOWEST_HZ
    options.mel_opts.high_freq = 0  # Kaldi: up to half the rate
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(MODEL_RATE_HZ, (speech * np.float32(front_end.scale)).tolist())
    bank.input_finished()
    frames: Tensor = np.stack([bank.get_frame(i) for i in range(bank.num_frames_ready)]).astype(np.float32, copy=False)
    return _normalized(frames, front_end)


def without_bands_beyond(frames: Tensor, hz: tuple[float, float]) -> Tensor:
    """Return (t, mels) filter banks, bands at their mean over time whose centers are not between two frequencies."""
    low, high = _mel(_LOWEST_HZ), _mel(MODEL_RATE_HZ / 2)
    centers = low + (high - low) * np.arange(1, frames.shape[1] + 1) / (frames.shape[1] + 1)
    is_kept = (centers >= _mel(hz[0])) & (centers <= _mel(hz[1]))
    flat: Tensor = np.where(is_kept, frames, frames.mean(axis=0))
    return flat


def _mel(hz: float) -> float:
    return 1127.0 * math.log(1.0 + hz / 700.0)


def _normalized(frames: Tensor, front_end: Input) -> Tensor:
    if front_end.cmn == "none":
        return frames
    centered: Tensor = frames - frames.mean(axis=0)
    if front_end.cmn == "mean_var":
        centered /= frames.std(axis=0) + np.float32(1e-5)
    return centered
