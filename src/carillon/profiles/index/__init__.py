"""Nearest voices: who in a domain sounds most like this embedding?

`VoiceIndex` is what a backend must do, `exact.py` is FAISS over half-precision vectors, `resident.py` keeps one for
each domain and model in step with the encrypted rows. Rows decide and an index proposes: it may be dropped at any time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from carillon.audio import Embedding

RowNumbers = npt.NDArray[np.int64]
"""(n,) row numbers of voice profiles."""
Embeddings = npt.NDArray[np.float32]
"""(n, d) float32, each row of L2 norm 1."""


@dataclass(frozen=True, slots=True)
class Neighbor:
    """One answer: a row number and the cosine, in [-1, 1]."""

    number: int
    score: float


class VoiceIndex(Protocol):
    """Embeddings of one model in one domain, by row number. Methods may be called from several threads at once.

    One backend has it so far; its contract suite is what another one must pass.
    """

    def __len__(self) -> int:
        """Return how many embeddings are held."""
        ...

    def put(self, numbers: RowNumbers, embeddings: Embeddings) -> None:
        """Hold (n, d) embeddings under n different numbers; what was held under them before is replaced."""
        ...

    def remove(self, numbers: RowNumbers) -> None:
        """Hold these numbers no more; unknown ones are passed over."""
        ...

    def search(self, embedding: Embedding, limit: int) -> Sequence[Neighbor]:
        """Return the `limit` nearest, best first, equal scores by number; fewer only if fewer are held.

        Raises:
            ValueError: `embedding` is not of the dimension that is held.
        """
        ...
