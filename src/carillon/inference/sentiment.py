"""What do the words say: negative, neutral or positive?

Two readers that err differently: an embedding that knows what a sentence means ("charged twice and nobody helps"), and
VADER's lexicon, which knows how strong words are. A small head that was trained on call utterances weighs both. It
reads lower case without punctuation, since nobody hears those.

Source: C. J. Hutto, E. Gilbert, "VADER", ICWSM 2014; training/words/ made the head.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from carillon.inference.catalog import ModelUnsupported, NotInstalled, Weights, installed_folder
from carillon.inference.fusion import WORDS_PRIOR
from carillon.inference.sentences import SentenceEncoder
from carillon.inference.sessions import OnnxSession, Tensor
from carillon.inference.tone import Probabilities

VADER_SCORES: Final = ("compound", "neg", "neu", "pos")
"""What the head reads of VADER, in this order."""

_MANNERS: Final = re.compile(
    r"\b(?:thank(?:s| you) for (?:calling|holding|waiting|your (?:call|patience|time))"
    r"|(?:how|what) (?:can|may) i (?:help|do for) you|good (?:morning|afternoon|evening)"
    r"|have a (?:nice|good|great|lovely|wonderful) (?:day|evening|night|weekend|one)"
    r"|(?:you're|you are) (?:very |most )?welcome|my pleasure|(?:it was )?nice (?:to meet|talking to) you)\b"
)
"""What is said whatever the mood. A job demands it."""
_WORDS: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


class Vader:
    """The lexicon and its rules.

    Raises:
        NotInstalled: it is an optional package.
    """

    def __init__(self) -> None:
        self.require(installed_folder)
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        self._analyzer: Any = SentimentIntensityAnalyzer()

    @staticmethod
    def require(locate: Callable[[str], Path | None]) -> None:
        """Do nothing if the package is there.

        Raises:
            NotInstalled: it is not.
        """
        if locate("vaderSentiment") is None:
            raise NotInstalled("The tone of words", "vaderSentiment", "words")

    def of(self, text: str) -> Tensor:
        """Score plain text as (4,), see `VADER_SCORES`."""
        scores = self._analyzer.polarity_scores(text)
        return np.array([scores[name] for name in VADER_SCORES], np.float32)


class Sentiment:
    """The tone of words alone. May be called from several threads at a time.

    Raises:
        ModelUnsupported: the head reads something else than a sentence's embedding and VADER's scores.
    """

    def __init__(self, head: Weights, encoder: SentenceEncoder, vader: Vader) -> None:
        manifest = head.manifest
        if [item.what for item in manifest.inputs] != ["sentence", "vader"]:
            raise ModelUnsupported(manifest.id, f"other inputs than a sentence and VADER's scores: {manifest.inputs}")
        self.id = manifest.id
        self._sentence, self._lexicon = (item.name for item in manifest.inputs)
        self._output = manifest.output.name
        self._encoder, self._vader, self._session = encoder, vader, OnnxSession(head)

    def of(self, text: str) -> Probabilities:
        """Judge one utterance, set phrases of courtesy left out: negative, neutral, positive, calibrated, sum 1."""
        words = " ".join(_MANNERS.sub(" ", plain(text)).split())
        if not words:
            return WORDS_PRIOR
        inputs = {self._sentence: self._encoder.embed(words), self._lexicon: self._vader.of(words)}
        (logits,) = self._session.run([self._output], inputs)
        powers = np.exp(logits.astype(np.float64) - float(logits.max()))
        negative, neutral, positive = (powers / powers.sum()).tolist()
        return negative, neutral, positive


def plain(text: str) -> str:
    """Keep what can be heard: the words, in lower case."""
    return " ".join(_WORDS.findall(text.lower().replace("\u2019", "'")))
