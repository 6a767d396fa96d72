from dataclasses import dataclass, field

import numpy as np
import pytest

from carillon.analysis import SpeakerState, StateUnreadable, ToneState
from carillon.analysis.packing import pack, unpack
from carillon.audio import Pcm, Pcm16


@dataclass(frozen=True, slots=True, eq=False)
class Inner:
    samples: Pcm16


@dataclass(frozen=True, slots=True, eq=False)
class Outer:
    memory: Pcm = field(default_factory=lambda: np.zeros((2, 3), np.float32))
    inner: Inner = field(default_factory=lambda: Inner(np.arange(5, dtype=np.int16)))
    parts: tuple[Pcm, ...] = ()
    sums: tuple[float, ...] = (0.1, 1 / 3)


def test_nothing_is_lost_not_even_a_bit() -> None:
    state = Outer(memory=np.array([[np.pi, -0.0], [1e-40, np.inf]], np.float32), parts=(np.ones(2, np.float32),))
    again = unpack(Outer, pack(state, 1), 1)
    assert again.memory.tobytes() == state.memory.tobytes()
    assert again.memory.shape == (2, 2)
    assert again.inner.samples.dtype == np.int16
    assert again.inner.samples.tolist() == [0, 1, 2, 3, 4]
    assert again.parts[0].tolist() == [1, 1]
    assert again.sums == (0.1, 1 / 3)


@pytest.mark.parametrize("data", [b"", b"\xc0", b"no state", pack(Outer(), 1)[:-3]])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StateUnreadable, match="Start a new task"):
        unpack(Outer, data, 1)


def test_another_version_is_refused() -> None:
    with pytest.raises(StateUnreadable):
        unpack(Outer, pack(Outer(), 2), 1)


@pytest.mark.parametrize("kind", [SpeakerState, ToneState])
def test_both_states_go_there_and_back(kind: type[SpeakerState] | type[ToneState]) -> None:
    data = kind().to_bytes()
    assert kind.from_bytes(data).to_bytes() == data
    with pytest.raises(StateUnreadable):
        kind.from_bytes(data[:20])
