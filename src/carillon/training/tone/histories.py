"""What a head knows of a speaker besides the clip that it judges: histories of other clips, drawn or as they come.

A history is a row of weights over all clips, so that the baselines of all clips are one matrix product. No history
knows a label, except those that are drawn for training: there the mix of tones is drawn too, so that a head learns
speakers who vary and speakers who do not.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.training.tone.clips import Array, Labels

FeatureMatrix = npt.NDArray[np.float32]

MOST: Final = 0.5
"""How much of a baseline is taken away from what is heard, at most. All of it would be right for someone whose tone
varies, and leave nothing of the tone of someone whose tone does not."""
HALF_SECONDS: Final = 10.0
"""After so much speech, half of that."""

_WITHOUT: Final = 0.2  # of the drawn histories are empty
_EVENNESS: Final = 3.0  # of the Dirichlet distribution that the mix of tones is drawn from
_MOST_CLIPS: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """What was heard before each of n clips."""

    weights: FeatureMatrix  # (n, n): rows sum to 1, or are 0 where nothing was heard
    seconds: Array  # (n,)

    def taken_from(self, features: FeatureMatrix) -> FeatureMatrix:
        """Return (n, d) features less what of their speakers' baselines is known by then."""
        share = (MOST * self.seconds / (self.seconds + HALF_SECONDS)).astype(features.dtype)
        less: FeatureMatrix = features - share[:, None] * (self.weights.astype(features.dtype) @ features)
        return less


def _of(chosen: Sequence[Sequence[int]], seconds: Array) -> Histories:
    weights = np.zeros((len(chosen), len(seconds)), np.float32)
    total = np.zeros(len(chosen))
    for row, clips in enumerate(chosen):
        lengths = seconds[list(clips)]
        total[row] = lengths.sum()
        if len(clips):
            weights[row, list(clips)] = lengths / total[row]
    return Histories(weights, total)


def none(seconds: Array) -> Histories:
    """Every clip is the first thing that is heard."""
    return _of([()] * len(seconds), seconds)


def earlier(speakers: Sequence[str], names: Sequence[str], seconds: Array) -> Histories:
    """Each speaker's clips come one after the other, in an order that their names, but no label, decide."""
    order = sorted(range(len(names)), key=lambda clip: zlib.crc32(names[clip].encode()))
    before: dict[str, list[int]] = {}
    chosen: list[Sequence[int]] = [()] * len(names)
    for clip in order:
        chosen[clip] = tuple(before.setdefault(speakers[clip], []))
        before[speakers[clip]].append(clip)
    return _of(chosen, seconds)


def others(speakers: Sequence[str], seconds: Array) -> Histories:
    """All other clips of the speaker were heard before."""
    return _of([_others(speakers, clip) for clip in range(len(speakers))], seconds)


def of_one_tone(speakers: Sequence[str], labels: Labels, seconds: Array) -> Histories:
    """The speaker was never heard in another tone than this clip's: the worst that a baseline can be made of."""
    return _of([[i for i in _others(speakers, n) if labels[i] == labels[n]] for n in range(len(speakers))], seconds)


def drawn(generator: np.random.Generator, speakers: Sequence[str], labels: Labels, seconds: Array) -> Histories:
    """Draw how many clips were heard, and of which tones."""
    return _of([_drawn(generator, _others(speakers, clip), labels) for clip in range(len(speakers))], seconds)


def _drawn(generator: np.random.Generator, clips: Sequence[int], labels: Labels) -> Sequence[int]:
    if generator.random() < _WITHOUT or not clips:
        return ()
    tones = labels[list(clips)]
    mix = generator.dirichlet([_EVENNESS] * 3)[tones] / np.bincount(tones, minlength=3)[tones] + 1e-9
    count = min(int(np.exp(generator.uniform(0, np.log(_MOST_CLIPS + 1)))), len(clips))
    chosen: list[int] = generator.choice(clips, count, replace=False, p=mix / mix.sum()).tolist()
    return chosen


def _others(speakers: Sequence[str], clip: int) -> list[int]:
    return [i for i, speaker in enumerate(speakers) if speaker == speakers[clip] and i != clip]
