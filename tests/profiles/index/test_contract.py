"""What every index must do, whichever backend: the answer is the one that comparing everything gives."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest

from carillon.profiles.index import VoiceIndex
from carillon.profiles.index.exact import ExactIndex

BACKENDS: dict[str, Callable[[int], VoiceIndex]] = {
    "FP16": partial(ExactIndex, int8_above=1_000_000),
    "INT8": partial(ExactIndex, int8_above=0),
    "INT8 after a while": partial(ExactIndex, int8_above=2),
}
DIMENSIONS = 32
ERROR = 0.01


@pytest.fixture(params=BACKENDS)
def index(request: pytest.FixtureRequest) -> VoiceIndex:
    return BACKENDS[request.param](DIMENSIONS)


def voices(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((count, DIMENSIONS)).astype(np.float32)
    unit: npt.NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def numbers(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def test_nobody_is_found_among_nobody(index: VoiceIndex) -> None:
    assert len(index) == 0
    assert index.search(voices(1)[0], 10) == []


def test_the_ten_nearest_are_those_of_a_comparison_with_everyone(index: VoiceIndex) -> None:
    held = voices(2_000)
    index.put(np.arange(100, 2_100), held)
    for query in voices(20, seed=1):
        cosines = held.astype(np.float64) @ query
        best = np.argsort(-cosines)[:10]
        answer = index.search(query, 16)  # the tenth may come out as the twelfth
        assert [neighbor.score for neighbor in answer] == sorted((n.score for n in answer), reverse=True)
        np.testing.assert_allclose([n.score for n in answer], [cosines[n.number - 100] for n in answer], atol=ERROR)
        assert {int(row) + 100 for row in best} <= {neighbor.number for neighbor in answer}


def test_fewer_are_returned_only_if_fewer_are_held(index: VoiceIndex) -> None:
    index.put(numbers(7, 8, 9), voices(3))
    assert {neighbor.number for neighbor in index.search(voices(1)[0], 10)} == {7, 8, 9}
    assert len(index.search(voices(1)[0], 2)) == 2
    assert index.search(voices(1)[0], 0) == []


def test_a_score_is_a_cosine(index: VoiceIndex) -> None:
    held = voices(1)
    index.put(numbers(1, 2), np.concatenate([held, -held]))
    same, opposite = index.search(held[0], 2)
    assert (same.number, opposite.number) == (1, 2)
    assert same.score == pytest.approx(1.0, abs=ERROR)
    assert opposite.score == pytest.approx(-1.0, abs=ERROR)
    assert max(abs(same.score), abs(opposite.score)) <= 1.0


def test_equal_scores_are_ordered_by_number(index: VoiceIndex) -> None:
    held = voices(1)
    index.put(numbers(5, 3, 9), np.repeat(held, 3, axis=0))
    assert [neighbor.number for neighbor in index.search(held[0], 3)] == [3, 5, 9]


def test_putting_again_replaces(index: VoiceIndex) -> None:
    first, second, third = voices(3)
    index.put(numbers(1, 2), np.stack([first, second]))
    index.put(numbers(1), third[None])
    assert len(index) == 2
    (best,) = index.search(third, 1)
    assert best.number == 1
    assert best.score == pytest.approx(1.0, abs=ERROR)


def test_what_was_removed_is_not_found(index: VoiceIndex) -> None:
    held = voices(5)
    index.put(np.arange(5), held)
    index.remove(numbers(2, 77))
    assert len(index) == 4
    assert 2 not in {neighbor.number for neighbor in index.search(held[2], 5)}
    index.put(numbers(2), held[2:3])
    assert index.search(held[2], 1)[0].number == 2


def test_nothing_put_or_removed_changes_nothing(index: VoiceIndex) -> None:
    index.put(numbers(), np.empty((0, DIMENSIONS), np.float32))
    index.remove(numbers())
    assert len(index) == 0


def test_another_dimension_is_refused(index: VoiceIndex) -> None:
    index.put(numbers(1), voices(1))
    with pytest.raises(ValueError, match="shape"):
        index.search(np.ones(DIMENSIONS + 1, np.float32), 1)


def test_searches_and_changes_from_many_threads_do_not_disturb_each_other(index: VoiceIndex) -> None:
    held = voices(400)
    index.put(np.arange(200), held[:200])

    def change(number: int) -> None:
        index.put(numbers(200 + number), held[200 + number][None])
        index.remove(numbers(200 + number))

    def search(number: int) -> int:
        return index.search(held[number], 1)[0].number

    with ThreadPoolExecutor(4) as threads:
        changes = [threads.submit(change, number) for number in range(100)]
        searches = [threads.submit(search, number) for number in range(200)]
        assert [search.result() for search in searches] == list(range(200))
        assert all(change.result() is None for change in changes)
    assert len(index) == 200
