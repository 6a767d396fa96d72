import itertools

import pytest

from carillon.inference import WORDS_PRIOR, Probabilities, fuse
from carillon.inference.fusion import MISLED, SILENT, telling

SURE: dict[str, Probabilities] = {
    "negative": (0.98, 0.01, 0.01),
    "neutral": (0.01, 0.98, 0.01),
    "positive": (0.01, 0.01, 0.98),
}
FLAT: Probabilities = (1 / 3, 1 / 3, 1 / 3)


@pytest.mark.parametrize("pair", list(itertools.product(SURE.values(), repeat=2)))
def test_the_three_sum_to_1(pair: tuple[Probabilities, Probabilities]) -> None:
    together = fuse(*pair)
    assert sum(together) == pytest.approx(1, abs=1e-12)
    assert all(0 < probability < 1 for probability in together)


def test_words_that_were_not_understood_change_nothing() -> None:
    for voice in (*SURE.values(), (0.5, 0.3, 0.2)):
        assert fuse(voice, WORDS_PRIOR) == pytest.approx(voice)


def test_negative_and_positive_are_treated_alike() -> None:
    voice, words = (0.5, 0.3, 0.2), (0.1, 0.2, 0.7)
    assert fuse(voice[::-1], words[::-1]) == pytest.approx(fuse(voice, words)[::-1])


@pytest.mark.parametrize("tone", SURE)
def test_words_decide_where_the_voice_says_nothing(tone: str) -> None:
    together = dict(zip(SURE, fuse(FLAT, SURE[tone]), strict=True))
    assert max(together, key=lambda name: together[name]) == tone


def test_neutral_words_do_not_silence_a_voice_that_is_sure() -> None:
    """An angry "what is the address" is angry."""
    for tone, index in (("negative", 0), ("positive", 2)):
        assert fuse(SURE[tone], SURE["neutral"])[index] > 0.9


@pytest.mark.parametrize("index", range(3))
def test_words_that_say_nothing_cost_nothing(index: int) -> None:
    """Most of what is said is about business, whatever the mood."""
    low, middle, high = (0.4 if place == index else 0.3 for place in range(3))
    assert max(range(3), key=lambda place: fuse((low, middle, high), SURE["neutral"])[place]) == index


def test_no_words_are_surer_than_words_deserve() -> None:
    most = max(itertools.chain(*telling(SILENT, MISLED))) / (MISLED / 3)
    impossible = 1e-9
    for words in ((1 - 2 * impossible, impossible, impossible), (impossible, 1 - 2 * impossible, impossible)):
        together = fuse(FLAT, words)
        assert max(together) / min(together) <= most * (1 + 1e-6)


def test_the_table_is_made_of_probabilities() -> None:
    for silent, misled in itertools.product((0.0, 0.3, 1.0), (0.01, 0.5, 1.0)):
        for row in telling(silent, misled):
            assert sum(row) == pytest.approx(1)
            assert min(row) > 0
