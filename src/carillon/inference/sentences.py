"""Sentences to vectors: what means the same lies close together. A BERT encoder, and the word pieces that it reads.

The word pieces are BERT's for lower-cased English: words and punctuation marks apart, accents dropped, then the longest
piece that is known, again and again. Thirty lines, where the usual library for it brings a client for downloads along.

Source: J. Devlin et al., "BERT", 2019; N. Reimers, I. Gurevych, "Sentence-BERT", 2019.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

import numpy as np

from carillon.inference.catalog import ModelBroken, ModelUnsupported, Weights
from carillon.inference.sessions import OnnxSession, Tensor

_MOST_PIECES: Final = 128  # positions that the model has; longer sentences are cut
_LONGEST_WORD: Final = 100  # letters; BERT takes longer ones for unknown
_WORDS: Final = re.compile(r"[^\W_]+|[^\w\s]|_")
_UNKNOWN, _BEGIN, _END = "[UNK]", "[CLS]", "[SEP]"


class WordPieces:
    """The vocabulary of a lower-cased English BERT: one piece a line, and its line is its number."""

    def __init__(self, weights: Weights) -> None:
        words = weights.read().decode().splitlines()
        self._numbers = {word: number for number, word in enumerate(words)}
        for special in (_UNKNOWN, _BEGIN, _END):
            if special not in self._numbers:
                raise ModelBroken(weights.path, f"the vocabulary has no {special}.")

    def of(self, text: str) -> list[str]:
        """Split a sentence, its begin and its end marked, at most 128 pieces."""
        pieces = [piece for word in _WORDS.findall(_plain(text)) for piece in self._pieces(word)]
        return [_BEGIN, *pieces[: _MOST_PIECES - 2], _END]

    def numbers(self, text: str) -> list[int]:
        """Return the numbers of these pieces."""
        return [self._numbers[piece] for piece in self.of(text)]

    def _pieces(self, word: str) -> list[str]:
        found = list(self._longest(word)) if len(word) <= _LONGEST_WORD else []
        return found if "".join(piece.removeprefix("##") for piece in found) == word else [_UNKNOWN]

    def _longest(self, word: str) -> Iterator[str]:
        begin = 0
        while begin < len(word):
            mark = "##" if begin else ""
            ends = (end for end in range(len(word), begin, -1) if mark + word[begin:end] in self._numbers)
            end = next(ends, None)
            if end is None:
                return
            yield mark + word[begin:end]
            begin = end


class SentenceEncoder:
    """A loaded sentence model. May be called from several threads at a time.

    Raises:
        ModelBroken, ModelUnsupported: see `OnnxSession`; the vocabulary may be broken likewise.
    """

    def __init__(self, weights: Weights) -> None:
        manifest = weights.manifest
        if [item.what for item in manifest.inputs] != ["word_pieces"]:
            raise ModelUnsupported(manifest.id, f"other inputs than word pieces: {manifest.inputs}")
        self.id = manifest.id
        self._input, self._output = manifest.inputs[0].name, manifest.output.name
        self._pieces, self._session = WordPieces(weights.part("vocabulary")), OnnxSession(weights)

    def embed(self, text: str) -> Tensor:
        """Return what a sentence means, (d,), L2 norm 1."""
        (embedding,) = self._session.run([self._output], {self._input: np.array(self._pieces.numbers(text), np.int64)})
        return embedding


def _plain(text: str) -> str:
    """Lower the case and drop accents."""
    parts = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in parts if unicodedata.category(letter) != "Mn")
