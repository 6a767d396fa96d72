"""The conditions that voices are compared under: what was enrolled, what is searched, noise, and how much speech."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from carillon.analysis.speaker import Embedder
from carillon.analysis.speech import VadModel
from carillon.audio import BandPair, Embedding
from carillon.evaluation.lines import PhoneLine
from carillon.evaluation.manifest import BadManifest, ManifestRecording
from carillon.evaluation.pieces import PIECE_SECONDS, Hearing, Piece, Pieces, pieces_of
from carillon.evaluation.trials import Comparison, compared, voices_of
from carillon.inference import LEAST_SECONDS, LineCompensation

Compared: TypeAlias = Literal["wideband", "telephone", "cross", "cross, narrowband"]
"""Both wideband; both telephone; wideband enrolled and telephone searched; the same with the narrowband embedding of
what was enrolled, which is how the product compares across channels."""

LENGTHS: Final = (3, 5, 10, 20)
_LEAST_PEOPLE: Final = 2


@dataclass(frozen=True, slots=True)
class Condition:
    """One way of comparing voices."""

    compared: Compared
    noisy: bool
    """With noise at 10 dB on both sides."""
    seconds: int
    """Of speech on each side."""
    line: PhoneLine | None = None
    """What the searched side came over; enrolled is by telephone."""

    @property
    def channel(self) -> BandPair | None:
        """Return the name of its calibration; None for what the product never does."""
        return _CHANNELS[self.compared]

    @property
    def sides(self) -> tuple[Hearing, Hearing]:
        """Return how the enrolled and the searched side are heard."""
        enrolled, searched = _SIDES[self.compared]
        return Hearing(enrolled, self.noisy), Hearing(searched, self.noisy, self.line)


_CHANNELS: Final[Mapping[Compared, BandPair | None]] = {
    "wideband": "wb",
    "telephone": "tel",
    "cross": None,
    "cross, narrowband": "cross",
}
_SIDES: Final[
    Mapping[Compared, tuple[Literal["wideband", "telephone", "narrowband"], Literal["wideband", "telephone"]]]
] = {
    "wideband": ("wideband", "wideband"),
    "telephone": ("telephone", "telephone"),
    "cross": ("wideband", "telephone"),
    "cross, narrowband": ("narrowband", "telephone"),
}


class EmbeddedSpeech:
    """Everybody's embeddings in every hearing that some conditions need, and the comparisons that they allow."""

    def __init__(self, pieces: Pieces, people: Sequence[str], lines: LineCompensation | None = None) -> None:
        self.pieces = pieces
        self.lines = lines
        """What telephone voices that are searched are rid of; None for nothing."""
        self.people = people
        """Names, sorted, in the order of their numbers in a comparison."""

    def voices(self, hearing: Hearing) -> tuple[list[str], npt.NDArray[np.float32]]:
        """Return the names of everybody with 5 s of speech, and (n, d): the mean of all that they said, L2 norm 1."""
        said: dict[str, list[Embedding]] = {}
        for piece in self.pieces.get((hearing, PIECE_SECONDS), ()):
            said.setdefault(piece.speaker, []).append(piece.embedding)
        means = np.array([np.mean(embeddings, axis=0) for embeddings in said.values()], np.float32)
        return list(said), means / np.linalg.norm(means, axis=-1, keepdims=True)

    def compared(self, condition: Condition) -> Comparison | None:
        """Compare everybody with everybody; None if nobody was heard for so long."""
        enrolled_as, searched_as = condition.sides
        enrolled = voices_of(self.pieces, enrolled_as, condition.seconds, self.people)
        is_same = enrolled_as == searched_as
        searched = enrolled if is_same else voices_of(self.pieces, searched_as, condition.seconds, self.people)
        can_tell = searched_as.carried == "telephone" and condition.seconds >= LEAST_SECONDS
        return compared(enrolled, searched, self.lines if can_tell else None)


def conditions(*, noisy: Sequence[bool], lines: Sequence[PhoneLine] = ()) -> list[Condition]:
    """Return every condition, in the order of reports."""
    plain = [Condition(compared, is_noisy, seconds) for compared in _SIDES for is_noisy in noisy for seconds in LENGTHS]
    return plain + [Condition("telephone", False, seconds, line) for line in lines for seconds in LENGTHS]


def listen(
    recordings: Sequence[ManifestRecording],
    embedder: Embedder,
    vad: VadModel,
    wanted: Sequence[Condition],
    threads: int,
    lines: LineCompensation | None = None,
) -> EmbeddedSpeech:
    """Embed everybody's speech in every way that some conditions need.

    Args:
        recordings: of at least two people of whom something can be compared.
        embedder: the speaker model.
        vad: tells speech from everything else.
        wanted: the conditions.
        threads: people that are listened to at the same time.
        lines: what the embedder's telephone voices are rid of when they are searched.

    Raises:
        BadManifest: a recording cannot be read, or there is too little speech to compare anybody.
    """
    people = sorted({recording.speaker for recording in recordings})
    _require(len(people), len(people))
    hearings = list(dict.fromkeys(hearing for condition in wanted for hearing in condition.sides))
    with ThreadPoolExecutor(threads) as pool:
        pieces = pieces_of(recordings, hearings, embedder, vad, pool)
    _require(max((_twice_heard(said) for said in pieces.values()), default=0), len(people))
    return EmbeddedSpeech(pieces, people, lines)


def _require(usable: int, people: int) -> None:
    """Make sure that somebody can be told from somebody else."""
    if usable < _LEAST_PEOPLE:
        raise BadManifest(
            f"At least {_LEAST_PEOPLE} speakers with two stretches of 3 s of speech each are needed, silence not "
            f"counted; at most {usable} of {people} have that. Add recordings."
        )


def _twice_heard(said: Sequence[Piece]) -> int:
    counts: dict[str, int] = {}
    for piece in said:
        counts[piece.speaker] = counts.get(piece.speaker, 0) + 1
    return sum(count > 1 for count in counts.values())
