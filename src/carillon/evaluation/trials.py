"""Who is compared with whom. Pure functions of embeddings; scores in, figures' raw material out.

Two stretches of one person are compared only if they share no audio and, where the manifest knows of several sessions
of that person, only across sessions: the same sitting is an easy match.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from carillon.evaluation.measures import Flags, Scores
from carillon.evaluation.pieces import PIECE_SECONDS, SHORT_SECONDS, Hearing, Piece, Pieces
from carillon.inference import LineCompensation

Numbers = npt.NDArray[np.int64]

MOST_STRETCHES: Final = 8
"""Of one person under one condition: more would let a talkative one decide the figure."""
_MOST_TOGETHER: Final = 2_500
"""Stretches under one condition: every one is compared with every other."""
_ROUNDS: Final = 10
_SPLITS: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Voices:
    """Stretches of speech of equal length under one condition."""

    speakers: Sequence[str]
    """Names, sorted; the others are numbers of places in it."""
    speaker: Numbers  # (n,)
    session: Numbers  # (n,) of that speaker
    first_frame: Numbers  # (n,)
    last_frame: Numbers  # (n,)
    embeddings: npt.NDArray[np.float32] = field(repr=False)  # (n, d), L2 norm 1

    def __len__(self) -> int:
        return len(self.speaker)


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Every enrolled stretch against every searched one."""

    scores: npt.NDArray[np.float32] = field(repr=False)  # (e, s) cosines, compensated for the line
    enrolled: Numbers  # (e,) speaker of each
    searched: Numbers  # (s,) speaker of each
    may_match: Flags  # (e, s) one person, and fair to compare
    is_across: Flags  # (e, s) of two sessions
    is_symmetric: bool
    """Enrolled and searched are the same stretches, so each pair is there twice."""

    def among(self, people: Numbers) -> "Comparison":
        """Return the comparison of some of the people with each other."""
        enrolled, searched = np.isin(self.enrolled, people), np.isin(self.searched, people)
        both = np.ix_(enrolled, searched)
        return Comparison(
            scores=self.scores[both],
            enrolled=self.enrolled[enrolled],
            searched=self.searched[searched],
            may_match=self.may_match[both],
            is_across=self.is_across[both],
            is_symmetric=self.is_symmetric,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of stretches, each once."""

    genuine: Scores
    impostor: Scores
    genuine_speakers: Numbers  # (g,)
    impostor_speakers: Numbers  # (i, 2)
    across_sessions: int
    """How many of the genuine pairs are of two sessions."""

    def __add__(self, other: "Pairs") -> "Pairs":
        """Return the pairs of both."""
        return Pairs(
            np.concatenate([self.genuine, other.genuine]),
            np.concatenate([self.impostor, other.impostor]),
            np.concatenate([self.genuine_speakers, other.genuine_speakers]),
            np.concatenate([self.impostor_speakers, other.impostor_speakers]),
            self.across_sessions + other.across_sessions,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Searches in one domain: some people are enrolled with a stretch each."""

    scores: npt.NDArray[np.float32] = field(repr=False)  # (s, size) against each profile
    right: Numbers  # (s,) number of the profile that should be found, -1 for a stranger


def voices_of(pieces: Pieces, hearing: Hearing, seconds: int, speakers: Sequence[str]) -> Voices:
    """Join pieces to stretches of so many seconds: 3, or a multiple of 5."""
    by_session: dict[tuple[str, str], list[Piece]] = defaultdict(list)
    of_seconds = SHORT_SECONDS if seconds == SHORT_SECONDS else PIECE_SECONDS
    for piece in pieces.get((hearing, of_seconds), ()):
        by_session[piece.speaker, piece.session].append(piece)
    stretches: dict[str, list[list[Piece]]] = defaultdict(list)
    for (speaker, _), said in by_session.items():
        stretches[speaker].append(_joined(said, seconds // of_seconds))
    most = max(2, min(MOST_STRETCHES, _MOST_TOGETHER // max(len(stretches), 1)))
    chosen = [piece for name in speakers for piece in _in_turn(stretches.get(name, []))[:most]][:_MOST_TOGETHER]
    number = {name: index for index, name in enumerate(speakers)}
    sessions = {key: index for index, key in enumerate(by_session)}
    return Voices(
        speakers=speakers,
        speaker=np.array([number[piece.speaker] for piece in chosen], np.int64),
        session=np.array([sessions[piece.speaker, piece.session] for piece in chosen], np.int64),
        first_frame=np.array([piece.first_frame for piece in chosen], np.int64),
        last_frame=np.array([piece.last_frame for piece in chosen], np.int64),
        embeddings=np.array([piece.embedding for piece in chosen], np.float32),
    )


def compared(enrolled: Voices, searched: Voices, lines: LineCompensation | None = None) -> Comparison | None:
    """Compare all enrolled with all searched, which `lines` came over; None if there is nothing to compare."""
    if not len(enrolled) or not len(searched):
        return None
    is_same = enrolled.speaker[:, None] == searched.speaker
    is_across = enrolled.session[:, None] != searched.session
    is_before = enrolled.last_frame[:, None] <= searched.first_frame  # neighbors have parts of one frame each
    is_apart = is_across | is_before | (enrolled.first_frame[:, None] >= searched.last_frame)
    sessions = [len(set(enrolled.session[enrolled.speaker == s])) for s in range(len(enrolled.speakers))]
    has_several = np.array(sessions, np.int64)[enrolled.speaker] > 1
    return Comparison(
        scores=_scores(enrolled.embeddings, searched.embeddings, lines),
        enrolled=enrolled.speaker,
        searched=searched.speaker,
        may_match=is_same & is_apart & (is_across | ~has_several[:, None]),
        is_across=is_across,
        is_symmetric=enrolled is searched,
    )


def _scores(
    enrolled: npt.NDArray[np.float32], searched: npt.NDArray[np.float32], lines: LineCompensation | None
) -> npt.NDArray[np.float32]:
    if lines is None:
        return enrolled @ searched.T
    heard, shifts = lines.of(searched)
    return enrolled @ heard.T + shifts


def pairs_of(comparison: Comparison) -> Pairs | None:
    """Return all fair pairs; None unless there is at least one of each kind."""
    is_once = np.ones(comparison.scores.shape, np.bool_)
    if comparison.is_symmetric:
        is_once = np.triu(is_once, k=1)
    is_genuine = comparison.may_match & is_once
    is_impostor: Flags = (comparison.enrolled[:, None] != comparison.searched) & is_once
    if not is_genuine.any() or not is_impostor.any():
        return None
    one, other = np.nonzero(is_impostor)
    return Pairs(
        genuine=comparison.scores[is_genuine].astype(np.float64),
        impostor=comparison.scores[is_impostor].astype(np.float64),
        genuine_speakers=comparison.enrolled[np.nonzero(is_genuine)[0]],
        impostor_speakers=np.stack([comparison.enrolled[one], comparison.searched[other]], axis=1),
        across_sessions=int((is_genuine & comparison.is_across).sum()),
    )


def closed_searches(comparison: Comparison) -> Iterator[Search]:
    """Yield searches for people of whom everybody is enrolled, each time with another stretch."""
    for seed in range(_ROUNDS):
        generator = np.random.default_rng(seed)
        profiles = _one_each(comparison, np.unique(comparison.enrolled), generator)
        search = _search(comparison, profiles)
        if (search.right >= 0).any():
            yield Search(search.scores[search.right >= 0], search.right[search.right >= 0])


def open_searches(comparison: Comparison) -> Iterator[Search]:
    """Yield searches in which half of the people, others each time, are not enrolled, so that nobody should be found.

    Nothing is yielded of one person alone.
    """
    people = np.unique(comparison.enrolled)
    if len(people) == 1:
        return
    for seed in range(_SPLITS):
        generator = np.random.default_rng(seed)
        half = generator.permutation(people)[: len(people) // 2]
        search = _search(comparison, _one_each(comparison, half, generator))
        asked = ~np.isin(comparison.searched, half) | (search.right >= 0)
        yield Search(search.scores[asked], search.right[asked])


def _search(comparison: Comparison, profiles: Numbers) -> Search:
    """Search for every searched stretch; what its own profile may not be compared with counts as not to be found."""
    may_match = comparison.may_match[profiles]
    right = np.where(may_match.any(axis=0), may_match.argmax(axis=0), -1)
    return Search(comparison.scores[profiles].T, right)


def _one_each(comparison: Comparison, people: Numbers, generator: np.random.Generator) -> Numbers:
    """Return the number of one enrolled stretch of each, one that can be found again wherever there is any."""
    can_match: Flags = np.any(comparison.may_match, axis=1)
    chosen = []
    for person in people.tolist():
        of_person: Numbers = np.flatnonzero(comparison.enrolled == person)
        better = of_person[can_match[of_person]]
        chosen.append(generator.choice(better if len(better) else of_person))
    return np.array(chosen, np.int64)


def _joined(said: Sequence[Piece], count: int) -> list[Piece]:
    """Join each run of `count` pieces to one: the mean of their embeddings."""
    stretches = []
    for start in range(0, len(said) - count + 1, count):
        run = said[start : start + count]
        mean = np.sum([piece.embedding for piece in run], axis=0)
        unit = (mean / np.linalg.norm(mean)).astype(np.float32)
        stretches.append(Piece(run[0].speaker, run[0].session, run[0].first_frame, run[-1].last_frame, unit))
    return stretches


def _in_turn(sessions: Sequence[Sequence[Piece]]) -> list[Piece]:
    """Return the stretches of all sessions, the first of each, then the second of each, and so on."""
    longest = max(map(len, sessions), default=0)
    return [session[i] for i in range(longest) for session in sessions if i < len(session)]
