"""Exact search with FAISS: every embedding is compared, so nobody who is enrolled is ever passed over.

Vectors are kept as FP16: 512 bytes for 256 dimensions, and a score differs from the float32 cosine by less than 0.001.
Very many are kept as INT8, which halves that; scores then differ by less than 0.01, so among a million the tenth
nearest may come out as the twelfth. `resident.py` asks for more than it needs and compares the rows themselves, so its
answers are the same. An approximate index is quicker, but among a million it ranked the right person first in only
91-99 % of searches.

How it works: FAISS numbers its vectors from 0, and `_numbers` says which row each slot holds. A slot that is given up
is filled with the last one, so removing costs one scan of the numbers, not a move of all that follows: a few
milliseconds in a million, where FAISS's own removal rewrites half a gigabyte.
"""

import threading
from collections.abc import Sequence
from typing import Any, Final

import faiss
import numpy as np

from carillon.audio import Embedding
from carillon.profiles.index import Embeddings, Neighbor, RowNumbers

_PAGE: Final = 65_536
_WIDEST: Final = 8.0
"""INT8 has room for components of so many times the usual one, which is 1 / sqrt(d); what is beyond is clipped."""


class ExactIndex:
    """A `VoiceIndex` in this process's memory. One thread a search; a change waits for the search before it.

    Args:
        dimensions: of every embedding.
        int8_above: more embeddings than this are kept as INT8, and stay so.
    """

    def __init__(self, dimensions: int, int8_above: int) -> None:
        self._flat = _flat(dimensions, faiss.ScalarQuantizer.QT_fp16)
        self._int8_above = int8_above
        self._is_int8 = False
        self._numbers = np.zeros(0, np.int64)  # by slot; more than are held, so that it seldom grows
        self._dimensions = dimensions
        self._highest = -1
        self._lock = threading.Lock()  # FAISS lets nobody read while someone writes

    def __len__(self) -> int:
        """Return how many embeddings are held."""
        return int(self._flat.ntotal)

    def put(self, numbers: RowNumbers, embeddings: Embeddings) -> None:
        """Hold (n, d) embeddings under n different numbers; what was held under them before is replaced."""
        if not len(numbers):
            return
        with self._lock:
            self._drop(numbers)
            access, needed = len(self), len(self) + len(numbers)
            if needed > len(self._numbers):
                self._numbers = np.concatenate([self._numbers[:access], np.zeros(max(needed, 64), np.int64)])
            self._numbers[access:needed] = numbers
            if needed > self._int8_above and not self._is_int8:
                self._flat, self._is_int8 = _as_int8(self._flat), True
            self._flat.add(np.ascontiguousarray(embeddings, dtype=np.float32))
            self._highest = max(self._highest, int(numbers.max()))

    def remove(self, numbers: RowNumbers) -> None:
        """Hold these numbers no more; unknown ones are passed over."""
        with self._lock:
            self._drop(numbers)

    def search(self, embedding: Embedding, limit: int) -> Sequence[Neighbor]:
        """Return the `limit` nearest, best first, equal scores by number; fewer only if fewer are held.

        Raises:
            ValueError: `embedding` is not of the dimension that is held.
        """
        if embedding.shape != (self._dimensions,):
            raise ValueError(f"An embedding of shape {embedding.shape} cannot be searched among {self._dimensions}.")
        with self._lock:
            limit = min(limit, len(self))
            if limit < 1:
                return []
            faiss.omp_set_num_threads(1)  # a property of the calling thread
            scores, slots = self._flat.search(np.ascontiguousarray(embedding[None], dtype=np.float32), limit)
            numbers = self._numbers[slots[0]]
        found = [
            Neighbor(int(number), float(score))
            for number, score in zip(numbers, np.clip(scores[0], -1.0, 1.0), strict=True)
        ]
        return sorted(found, key=lambda neighbor: (-neighbor.score, neighbor.number))

    def _drop(self, numbers: RowNumbers) -> None:
        perhaps_held = numbers[numbers <= self._highest]  # those that only come now need not be looked for
        if not len(perhaps_held):
            return
        slots = np.flatnonzero(np.isin(self._numbers[: len(self)], perhaps_held))
        codes = faiss.rev_swig_ptr(self._flat.codes.data(), self._flat.codes.size()).reshape(-1, self._flat.code_size)
        last = len(self) - 1
        for slot in slots[::-1]:  # from the end, so that the last slot is never one that goes
            codes[slot] = codes[last]
            self._numbers[slot] = self._numbers[last]
            codes[last] = 0  # a voice leaves memory when it leaves the index
            last -= 1
        self._flat.ntotal = last + 1
        self._flat.codes.resize((last + 1) * self._flat.code_size)


def _flat(dimensions: int, codes: int) -> Any:  # noqa: ANN401 - FAISS has no types
    return faiss.IndexScalarQuantizer(dimensions, codes, faiss.METRIC_INNER_PRODUCT)


def _as_int8(flat: Any) -> Any:  # noqa: ANN401 - FAISS has no types
    """Return the vectors of an index, in their slots, as INT8.

    The range is the same whatever is held, so that equal embeddings have equal codes whenever they came.
    """
    made = _flat(flat.d, faiss.ScalarQuantizer.QT_8bit_uniform)
    highest = np.full(flat.d, min(1.0, _WIDEST / np.sqrt(flat.d)), np.float32)
    made.train(np.stack([-highest, highest]))
    for start in range(0, flat.ntotal, _PAGE):
        made.add(flat.reconstruct_n(start, min(_PAGE, flat.ntotal - start)))
    return made
