"""How it is said and what is said, put together.

A tone is heard in the voice, and shows in the words only sometimes: what is said angrily is often neutral on paper.
So words are a witness whose baselines are known: `telling` says what words of each tone are how probable in each tone
of voice. What the witness says multiplies the voice's probabilities (Bayes' rule; the two are taken for independent
once the tone is given). That bounds what words can do: neutral ones hardly weaken a voice, however sure they are, no
words outweigh a voice that is surer than they are reliable, and words that were not understood change nothing.
"""

from typing import Final, TypeAlias

from carillon.inference.tone import Probabilities

FusionWeights: TypeAlias = tuple[Probabilities, Probabilities, Probabilities]

WORDS_PRIOR: Final[Probabilities] = (0.25, 0.50, 0.25)
"""How often words are negative, neutral and positive; what is said of words that were not understood."""

SILENT: Final = 0.85
"""Share of speech whose words are neutral whatever the tone: people are mostly about their business."""
MISLED: Final = 0.06
"""Share of speech whose words are of any tone at random: manners, irony, words heard wrong."""


def telling(silent: float, misled: float) -> FusionWeights:
    """Return how probable negative, neutral and positive words are (columns) in each tone of voice (rows)."""
    told, by_chance = (1.0 - misled) * (1.0 - silent), misled / 3.0
    unsaid = (1.0 - misled) * silent
    return (
        (told + by_chance, unsaid + by_chance, by_chance),
        (by_chance, told + unsaid + by_chance, by_chance),
        (by_chance, unsaid + by_chance, told + by_chance),
    )


_TELLING: Final = telling(SILENT, MISLED)


def fuse(acoustics: Probabilities, words: Probabilities) -> Probabilities:
    """Combine what the voice and the words of one stretch of speech say; the three sum to 1.

    Args:
        acoustics: calibrated, of the voice alone.
        words: calibrated under `WORDS_PRIOR`, of the words alone; the prior itself leaves `acoustics` as they are.

    Source: both constants are ours. Words that say nothing must cost nothing: neutral ones raise the odds of neutral by
        a sixth at most. Words of one tone raise it eightfold over neutral, which a sure voice still outweighs.
    """
    evidence = [word / prior for word, prior in zip(words, WORDS_PRIOR, strict=True)]
    products = [
        voice * sum(share * ratio for share, ratio in zip(shares, evidence, strict=True))
        for voice, shares in zip(acoustics, _TELLING, strict=True)
    ]
    total = sum(products)
    negative, neutral, positive = (product / total for product in products)
    return negative, neutral, positive
