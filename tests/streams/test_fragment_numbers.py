from datetime import timedelta

import pytest

from carillon.clock import ManualClock, from_millis
from carillon.streams import FragmentNumber, NotAFragmentNumber
from carillon.streams.fragment_numbers import BEFORE_ALL, NumberSource, just_before, last_of

RECORDED = [  # from AWS, spec/kvs.md 3.4
    ("91343852333181432392682062607743920146159169392", 1, "2017-11-28T06:55:09.126000+00:00"),
    ("91343852333181432397633822764885441725874549018", 2, "2017-11-28T06:55:10.915000+00:00"),
    ("91343852333181432402585582922026963247510532162", 3, "2017-11-28T06:55:12.487000+00:00"),
]


@pytest.mark.parametrize(("text", "sequence", "at"), RECORDED)
def test_numbers_recorded_from_aws_have_our_layout(text: str, sequence: int, at: str) -> None:
    number = FragmentNumber.parse(text)
    assert number.sequence == sequence
    assert from_millis(number.server_millis).isoformat() == at
    assert str(number) == text


def test_numbers_grow_by_one_sequence_and_sort_as_text_even_if_the_clock_is_set_back(clock: ManualClock) -> None:
    source = NumberSource(41, lambda: 7)
    source.extend(2**40)
    numbers = []
    for _ in range(200):
        numbers.append(source.next(clock.now()))
        clock.advance(timedelta(seconds=-1))
    assert numbers == sorted(numbers)
    assert {len(number) for number in numbers} == {47}
    assert [FragmentNumber.parse(number).sequence for number in numbers] == list(range(42, 242))


def test_the_bounds_around_numbers() -> None:
    text = RECORDED[0][0]
    assert BEFORE_ALL < just_before(text) < text < last_of(1) < RECORDED[1][0]
    assert len(just_before(text)) == len(last_of(1)) == 47


@pytest.mark.parametrize("text", ["", "12", "0" * 47, "2" * 48, "x" * 47, "1" * 500, "٣" * 47])
def test_what_is_no_fragment_number_is_refused(text: str) -> None:
    with pytest.raises(NotAFragmentNumber):
        FragmentNumber.parse(text)
