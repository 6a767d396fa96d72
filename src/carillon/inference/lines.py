"""What the line behind a telephone did to a voice that is searched, taken back as far as that goes.

A codec of a mobile network moves all voices in the same few directions. They are taken out of the searched voice before
it is compared; enrolled voices stay as they are. What is left of a codec is a loss: cosines come out lower, of the same
person and of others. How likely there was one is heard from the voice itself, and cosines are raised by as much. All of
it is learned by `training/speaker/lines.py` from the same speech with and without codecs.

Source: W. M. Campbell et al., "SVM based speaker verification using a GMM supervector kernel and NAP variability
compensation", 2006, on the projection.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from carillon.audio import Embedding

LEAST_SECONDS: Final = 5.0
"""Of less speech a line cannot be told: what was learned is of stretches of so much."""

_Floats: TypeAlias = npt.NDArray[np.float32]


class LinesEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `LineCompensation` in a manifest; arrays are float32, little-endian, in base64."""

    directions: bytes
    weights: bytes
    bias: float
    shift: float
    usual: float


@dataclass(frozen=True, slots=True, eq=False)
class Compensated:
    """A searched voice, and what its line asks for."""

    embedding: Embedding = field(repr=False)
    """(d,), L2 norm 1."""
    shift: float
    """What its cosines must be raised by before they mean what they would without a codec."""


@dataclass(frozen=True, slots=True, eq=False)
class LineCompensation:
    """What is known of lines in the space of one speaker model."""

    directions: _Floats = field(repr=False)
    """(k, d), orthonormal: where codecs move voices."""
    weights: _Floats = field(repr=False)
    """(d,): with `bias`, the log odds that a centered embedding came through a codec."""
    bias: float
    shift: float
    """What a cosine lacks if one was there for certain."""
    usual: float
    """The mean probability of a codec where there is none: so much of the shift is not given."""

    def of(self, voices: _Floats) -> tuple[_Floats, _Floats]:
        """Return (n, d) searched voices, L2 norm 1, without what lines added, and (n,) what their cosines lack."""
        left = voices - (voices @ self.directions.T) @ self.directions
        odds = np.exp(-(voices @ self.weights + np.float32(self.bias)))
        lacking: _Floats = np.float32(self.shift) * (1 / (1 + odds) - np.float32(self.usual))
        unit: _Floats = left / np.linalg.norm(left, axis=1, keepdims=True)
        return unit, lacking


def read_compensation(entry: LinesEntry) -> LineCompensation:
    """Return what a manifest says of lines."""
    weights = np.frombuffer(entry.weights, np.dtype("<f4"))
    directions = np.frombuffer(entry.directions, np.dtype("<f4")).reshape(-1, len(weights))
    return LineCompensation(directions, weights, entry.bias, entry.shift, entry.usual)
