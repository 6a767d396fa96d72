"""What is said, as far as tone needs to know: speech to words, words to tone. English alone.

The words never leave this process by themselves: they are in no log, no error and no `repr`.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from carillon.audio import MODEL_RATE_HZ, Pcm
from carillon.inference.fusion import WORDS_PRIOR
from carillon.inference.moonshine import Moonshine
from carillon.inference.sentiment import Sentiment, plain
from carillon.inference.tone import Probabilities


@dataclass(frozen=True, slots=True)
class Said:
    """What a stretch of speech says."""

    text: str = field(repr=False)
    """Empty if nothing was understood."""
    words: int
    """How many; 0 if nothing was understood."""
    probabilities: Probabilities
    """Negative, neutral and positive, of the words alone, calibrated; the prior if nothing was understood."""


NOTHING: Final = Said("", 0, WORDS_PRIOR)


class Words:
    """Speech recognition and sentiment together. May be called from several threads at a time.

    They are loaded when somebody first speaks: they take as much memory as all the other models.

    Args:
        words_id: of both models together.
        load: loads them; called once.
    """

    def __init__(self, words_id: str, load: Callable[[], tuple[Moonshine, Sentiment]]) -> None:
        self.id = words_id
        self._load = load
        self._loading = threading.Lock()
        self._loaded: tuple[Moonshine, Sentiment] | None = None

    def hear(self, speech: Pcm, /) -> Said:
        """Understand (n,) English speech at 16 kHz, one utterance of at most 30 s; none under 0.5 s is understood.

        Raises:
            ModelBroken: the first time, if the models cannot be loaded.
        """
        if len(speech) < MODEL_RATE_HZ // 2:
            return NOTHING
        transcriber, sentiment = self._models()
        heard = transcriber.transcribe(speech)
        if not heard.is_believed:
            return NOTHING
        return Said(heard.text, len(plain(heard.text).split()), sentiment.of(heard.text))

    def _models(self) -> tuple[Moonshine, Sentiment]:
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded
