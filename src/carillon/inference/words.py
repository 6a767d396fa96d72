"""What is said, as far as tone needs to know: speech to words, words to tone. English alone.

The words never leave this process by themselves: they are in no log, no error and no `repr`.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.errors import CarillonError
from carillon.inference.fusion import WORDS_PRIOR
from carillon.inference.moonshine import Moonshine
from carillon.inference.sentiment import Sentiment, plain
from carillon.inference.tone import Probabilities
from carillon.telemetry import get_logger

log = get_logger()


@dataclass(frozen=True, slots=True)
class WordsJudgment:
    """What a stretch of speech says."""

    text: str = field(repr=False)
    """Empty if nothing was understood."""
    words: int
    """How many; 0 if nothing was understood."""
    probabilities: Probabilities
    """Negative, neutral and positive, of the words alone, calibrated, as far as the recognizer believes that it heard
    them; the prior if nothing was understood."""


NOTHING: Final = WordsJudgment("", 0, WORDS_PRIOR)


def _believed(weighted: Probabilities, confidence: float) -> Probabilities:
    """Return what words tell that are right with a probability, and else tell nothing."""
    negative, neutral, positive = (
        confidence * value + (1.0 - confidence) * prior for value, prior in zip(weighted, WORDS_PRIOR, strict=True)
    )
    return negative, neutral, positive


class WordsClassifier:
    """Speech recognition and sentiment together. May be called from several threads at a time.

    They are loaded when somebody first speaks: they take as much memory as all the other models. If they cannot be, the
    log says so once, and nothing is understood: no call's tone is lost for it.

    Args:
        words_id: of both models together.
        read: reads them; called once.
    """

    def __init__(self, words_id: str, read: Callable[[], tuple[Moonshine, Sentiment]]) -> None:
        self.id = words_id
        self._read = read
        self._loading = threading.Lock()
        self._is_tried = False
        self._loaded: tuple[Moonshine, Sentiment] | None = None

    def load(self) -> None:
        """Load the models now.

        Raises:
            ModelBroken, ModelUnsupported, NotInstalled: they cannot be.
        """
        with self._loading:
            self._is_tried = True
            self._loaded = self._loaded or self._read()

    def judge(self, speech: Pcm, /) -> WordsJudgment:
        """Understand (n,) English speech at 16 kHz, one utterance of at most 30 s; none under 0.5 s is understood."""
        models = self._models() if len(speech) >= MODEL_RATE_HZ // 2 else None
        if models is None:
            return NOTHING
        transcriber, sentiment = models
        transcript = transcriber.transcribe(speech)
        if not transcript.is_believed:
            return NOTHING
        weighted = _believed(sentiment.of(transcript.text), math.exp(transcript.log_probability))
        return WordsJudgment(transcript.text, len(plain(transcript.text).split()), weighted)

    def _models(self) -> tuple[Moonshine, Sentiment] | None:
        with self._loading:
            if not self._is_tried:
                self._is_tried = True
                try:
                    self._loaded = self._read()
                except CarillonError as error:
                    log.error("words.unavailable", model=self.id, reason=str(error))
            return self._loaded
