"""People made of numbers: voices are points around a center of their own, so that their errors can be chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from carillon.evaluation.conditions import EmbeddedSpeech
from carillon.evaluation.pieces import PIECE_SECONDS, SHORT_SECONDS, Hearing, Piece

HEARINGS = (Hearing("wideband"), Hearing("telephone"), Hearing("narrowband"))
DIMENSIONS = 16


@dataclass(frozen=True)
class Crowd:
    """How many people, how much they said in which sessions, and how alike one sounds every time."""

    people: int = 24
    pieces: int = 8
    sessions: Sequence[str] = ("",)
    spread: float = 0.25


MakeCrowd = Callable[..., EmbeddedSpeech]


@pytest.fixture(scope="session")
def crowd() -> MakeCrowd:
    """Make people; `spread` is how far a piece is from its speaker, 0 for always the same."""

    def make(**of: object) -> EmbeddedSpeech:
        return _listened(Crowd(**of))  # type: ignore[arg-type]  # the fields of Crowd

    return make


def _listened(crowd: Crowd) -> EmbeddedSpeech:
    generator = np.random.default_rng(crowd.people)
    found: dict[tuple[Hearing, int], list[Piece]] = {
        (h, s): [] for h in HEARINGS for s in (SHORT_SECONDS, PIECE_SECONDS)
    }
    names = [f"person {number:03}" for number in range(crowd.people)]
    for name in names:
        center = generator.standard_normal(DIMENSIONS)
        for (_, seconds), pieces in found.items():
            for session in crowd.sessions:
                for number in range(crowd.pieces):
                    noise = generator.standard_normal(DIMENSIONS) * crowd.spread * np.linalg.norm(center) / 4
                    voice = center + noise * np.sqrt(5 / seconds)
                    unit = (voice / np.linalg.norm(voice)).astype(np.float32)
                    at = (number + crowd.sessions.index(session) * 1_000) * 100 * seconds
                    pieces.append(Piece(name, session, at, at + 100 * seconds, unit))
    return EmbeddedSpeech(found, names)
