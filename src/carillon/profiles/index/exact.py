"""Exact search with FAISS: every embedding is compared, so nobody who is enrolled is ever passed over.

Vectors are kept as FP16: 512 bytes for 256 dimensions, and a score differs from the float32 cosine by less than 0.001.
An approximate index is quicker beyond a million, but ranked the right person first in only 91-99 % of searches there.

How it works: FAISS numbers its vectors from 0, and `_numbers` says which row each slot holds. A slot that is given up
is filled with the last one, so removing costs one scan of the numbers, not a move of all that follows: a few
milliseconds in a million, where FAISS's own removal rewrites half a gigabyte.
"""

import threading
from collections.abc import Sequence

import faiss
import numpy as np

from carillon.audio import Embedding
from carillon.profiles.index import Embeddings, Neighbor, Numbers


class ExactIndex:
    """A `VoiceIndex` in this process's memory. One thread a search; a change waits for the search before it."""

    def __init__(self, dimensions: int) -> None:
        self._flat = faiss.IndexScalarQuantizer(dimensions, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        self._numbers = np.zeros(0, np.int64)  # by slot; more than are held, so that it seldom grows
        self._dimensions = dimensions
        self._highest = -1
        self._lock = threading.Lock()  # FAISS lets nobody read while someone writes

    def __len__(self) -> int:
        """Return how many embeddings are held."""
        return int(self._flat.ntotal)

    def put(self, numbers: Numbers, embeddings: Embeddings) -> None:
        """Hold (n, d) embeddings under n different numbers; what was held under them before is replaced."""
        if not len(numbers):
            return
        with self._lock:
            self._drop(numbers)
            held, needed = len(self), len(self) + len(numbers)
            if needed > len(self._numbers):
                self._numbers = np.concatenate([self._numbers[:held], np.zeros(max(needed, 64), np.int64)])
            self._numbers[held:needed] = numbers
            self._flat.add(np.ascontiguousarray(embeddings, dtype=np.float32))
            self._highest = max(self._highest, int(numbers.max()))

    def remove(self, numbers: Numbers) -> None:
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

    def _drop(self, numbers: Numbers) -> None:
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
