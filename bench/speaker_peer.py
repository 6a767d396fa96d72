"""Who knows people apart better: the speaker model that ships, or Resemblyzer? Same pieces of speech, same trials.

    pip download --no-deps --dest /tmp resemblyzer==0.1.4
    python bench/speaker_peer.py DIR /tmp/Resemblyzer-0.1.4-py3-none-any.whl [--where source=speechocean762]

DIR is what `carillon eval speaker` takes. Our gate chooses the speech for both, and a stretch of more than 5 s is the
mean of its pieces of 5 s for both: Resemblyzer too averages, over windows of 1.6 s. Scores are plain cosines, ours of
centered embeddings, as the product compares them.

Resemblyzer's package needs torch and librosa, so only its weights are taken from the wheel (torch's older format, a
pickle, of which nothing is run) and the little that its `embed_utterance` computes is written out below: the embeddings
agree with the package's own to five digits.
"""

import argparse
import hashlib
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from carillon.audio import Embedding, Pcm
from carillon.evaluation.conditions import Condition, EmbeddedSpeech, conditions, listen
from carillon.evaluation.manifest import chosen_lines, read_manifest
from carillon.evaluation.measures import equal_error_rate
from carillon.evaluation.trials import closed_searches, pairs_of
from carillon.inference import Models

BARS: Final = {("telephone", 3): 0.036, ("telephone", 5): 0.013, ("cross, narrowband", 5): 0.02}
RANK_1_BAR: Final = 0.99
RANK_1_SECONDS: Final = 10

PRETRAINED: Final = "resemblyzer/pretrained.pt"
PRETRAINED_SHA256: Final = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
RATE_HZ: Final = 16_000
LAYERS: Final = 3
MELS: Final = 40
FFT: Final = 400  # 25 ms
HOP: Final = 160  # 10 ms
WINDOW_FRAMES: Final = 160
STEP_FRAMES: Final = 77  # 1.3 windows a second
LEAST_COVERED: Final = 0.75
LEAST_DBFS: Final = -30.0

Floats = npt.NDArray[np.float32]


def main() -> int:
    """Print equal error rate and rank 1 of both, beside the bars; fail if ours misses one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, nargs="?")
    parser.add_argument("wheel", type=Path, nargs="?")
    parser.add_argument("--where", action="append", default=[])
    arguments = parser.parse_args()
    if arguments.directory is None or arguments.wheel is None:
        print("nothing compared: name a folder of recordings and Resemblyzer's wheel (--help)")
        return 0
    recordings = read_manifest(arguments.directory, (), chosen_lines(arguments.where))
    models, wanted = Models(), conditions(noisy=(False,))
    ours = listen(recordings, models.speaker, models.vad, wanted, threads=2, lines=models.speaker.compensation)
    theirs = listen(recordings, Resemblyzer(arguments.wheel), models.vad, wanted, threads=2)
    print(f"{'':28}{'EER':>9}{'bar':>8}{'Resemblyzer':>13}{'rank 1':>9}{'bar':>7}{'Resemblyzer':>13}{'pairs':>7}")
    is_missed = False
    for condition in wanted:
        one, other = _figures(ours, condition), _figures(theirs, condition)
        if one is None or other is None:
            continue
        bar, rank_1_bar = _bars(condition)
        is_missed |= one.equal_error_rate > bar or one.rank_1 < rank_1_bar
        print(
            f"{f'{condition.compared}, {condition.seconds} s':28}"
            f"{one.equal_error_rate:9.2%}{_told(bar, 1.0):>8}{other.equal_error_rate:13.2%}"
            f"{one.rank_1:9.1%}{_told(rank_1_bar, 0.0):>7}{other.rank_1:13.1%}{one.genuine_pairs:7}"
        )
    return int(is_missed)


@dataclass(frozen=True, slots=True)
class Figures:
    """How well people were known under one condition."""

    equal_error_rate: float
    rank_1: float
    genuine_pairs: int


def _figures(listened: EmbeddedSpeech, condition: Condition) -> Figures | None:
    comparison = listened.compared(condition)
    pairs = pairs_of(comparison) if comparison else None
    if comparison is None or pairs is None:
        return None
    right = [search.scores.argmax(axis=1) == search.right for search in closed_searches(comparison)]
    return Figures(
        equal_error_rate(pairs.genuine, pairs.impostor), float(np.concatenate(right).mean()), len(pairs.genuine)
    )


def _bars(condition: Condition) -> tuple[float, float]:
    """Return the highest equal error rate and the lowest rank 1; plain "cross" is not what the product does."""
    is_searched = condition.seconds == RANK_1_SECONDS and condition.channel is not None
    return BARS.get((condition.compared, condition.seconds), 1.0), RANK_1_BAR if is_searched else 0.0


def _told(bar: float, none: float) -> str:
    return "" if bar == none else f"{bar:.1%}"


class Resemblyzer:
    """The peer: GE2E, an LSTM of three layers over 40 mel bands, 256 values.

    Source: L. Wan et al., "Generalized end-to-end loss for speaker verification", 2018; resemblyzer 0.1.4,
    `VoiceEncoder.embed_utterance`.
    """

    def __init__(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as package:
            data = package.read(PRETRAINED)
        if hashlib.sha256(data).hexdigest() != PRETRAINED_SHA256:
            raise SystemExit(f"{wheel} does not hold the weights of resemblyzer 0.1.4.")
        weights = read_state(data, "model_state")
        self._layers = [
            (
                weights[f"lstm.weight_ih_l{layer}"].T,
                weights[f"lstm.weight_hh_l{layer}"].T,
                weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"],
            )
            for layer in range(LAYERS)
        ]
        self._projection, self._bias = weights["linear.weight"].T, weights["linear.bias"]

    def embed(self, speech: Pcm, _band: str, /) -> Embedding:
        """Embed (n,) speech at 16 kHz, as loud as `preprocess_wav` makes it."""
        level = 20 * np.log10(max(float(np.sqrt(np.mean(speech**2))), 1e-10))
        louder = speech * np.float32(10 ** (max(LEAST_DBFS - level, 0.0) / 20))
        starts = _starts(len(louder))
        needed = (starts[-1] + WINDOW_FRAMES) * HOP
        mels = mel_spectrogram(np.pad(louder, (0, max(needed - len(louder), 0))))
        hidden = np.stack([mels[start : start + WINDOW_FRAMES] for start in starts])
        for layer in self._layers:
            hidden = _lstm(hidden, *layer)
        found = _unit(np.maximum(hidden[:, -1] @ self._projection + self._bias, 0.0))
        return _unit(found.mean(axis=0))


def _starts(samples: int) -> list[int]:
    """Return the first frame of each window; the last window counts only if it is mostly full."""
    frames = int(np.ceil((samples + 1) / HOP))
    starts = list(range(0, max(1, frames - WINDOW_FRAMES + STEP_FRAMES + 1), STEP_FRAMES))
    covered = (samples - starts[-1] * HOP) / (WINDOW_FRAMES * HOP)
    return starts[:-1] if covered < LEAST_COVERED and len(starts) > 1 else starts


def _lstm(inputs: Floats, from_input: Floats, from_hidden: Floats, bias: Floats) -> Floats:
    """Run one layer over (windows, frames, d); return (windows, frames, h). Gates in torch's order."""
    driven = inputs @ from_input + bias
    windows, frames, width = driven.shape
    hidden: Floats = np.zeros((windows, width // 4), np.float32)
    cell = hidden.copy()
    outputs = np.empty((windows, frames, width // 4), np.float32)
    for frame in range(frames):
        gates: Floats = (driven[:, frame] + hidden @ from_hidden).reshape(windows, 4, -1)
        entry, forget, change, leave = gates[:, 0], gates[:, 1], gates[:, 2], gates[:, 3]
        cell = _sigmoid(forget) * cell + _sigmoid(entry) * np.tanh(change)
        hidden = _sigmoid(leave) * np.tanh(cell)
        outputs[:, frame] = hidden
    return outputs


def mel_spectrogram(samples: Pcm) -> Floats:
    """Return (frames, 40) mel energies, as librosa's `melspectrogram` computes them."""
    padded = np.pad(samples, FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    energies = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    mels: Floats = (energies @ _MEL_FILTERS).astype(np.float32)
    return mels


def _mel_filters() -> npt.NDArray[np.float64]:
    """Return (201, 40) triangles of equal area on Slaney's mel scale: even up to 1 kHz, then logarithmic."""
    steps = np.linspace(0.0, 15.0 + 27.0 * np.log(RATE_HZ / 2 / 1000) / np.log(6.4), MELS + 2)
    edges = np.where(steps < 15.0, steps * 200.0 / 3.0, 1000.0 * 6.4 ** ((steps - 15.0) / 27.0))
    bins = np.fft.rfftfreq(FFT, 1.0 / RATE_HZ)[:, None]
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.maximum(0.0, np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak)))
    filters: npt.NDArray[np.float64] = triangles * (2.0 / (high - low))
    return filters


_MEL_FILTERS: Final = _mel_filters()


@dataclass(frozen=True, slots=True)
class _Stored:
    """A tensor in a file: which storage, and what part of it."""

    storage: str
    offset: int
    shape: tuple[int, ...]


def read_state(data: bytes, name: str) -> Mapping[str, Floats]:
    """Read float32 tensors from a file in torch's format of before 1.6; anything but tensors and dicts is refused.

    It is five pickles (magic number, version, sizes, the object with names of storages in it, the storages' names), and
    then each storage: how many values, and the values.
    """
    file = BytesIO(data)
    for _ in range(3):
        _Reader(file).load()
    state = _Reader(file).load()[name]
    storages = {}
    for key in _Reader(file).load():
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(file.read(4 * count), "<f4")
    return {
        key: storages[of.storage][of.offset : of.offset + int(np.prod(of.shape))].reshape(of.shape)
        for key, of in state.items()
    }


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle has no types
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "FloatStorage"): "float32",
            ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a tensor.")
        return known[module, name]

    def persistent_load(self, pid: Any) -> str:  # noqa: ANN401 - pickle has no types
        return str(pid[2])


def _rebuilt(storage: str, offset: int, shape: tuple[int, ...], *_: object) -> _Stored:
    return _Stored(storage, offset, shape)


def _sigmoid(values: Floats) -> Floats:
    sigmoid: Floats = 0.5 + 0.5 * np.tanh(0.5 * values)
    return sigmoid


def _unit(vectors: Floats) -> Floats:
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return unit


if __name__ == "__main__":
    sys.exit(main())
