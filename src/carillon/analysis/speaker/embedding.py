"""From speech of any length to one embedding: the mean of pieces of 5 s."""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from carillon.analysis.speech import band_of, narrowband_of
from carillon.audio import MODEL_RATE_HZ, Band, Embedding, Pcm, Pcm16, from_pcm16

PIECE_SAMPLES: Final = 5 * MODEL_RATE_HZ
LEAST_SAMPLES: Final = MODEL_RATE_HZ // 2
"""A shorter end of a stretch is left out of its mean: too short to hear a voice in."""


class Embedder(Protocol):
    """Turns speech into a point on the unit sphere."""

    def embed(self, speech: Pcm, band: Band, /) -> Embedding:
        """Embed (n,) speech at 16 kHz, 8_000 <= n <= 80_000, that came in a band, as (d,), L2 norm 1."""
        ...


def embed_pieces(speaker: Embedder, speech: Pcm16) -> tuple[Embedding, ...]:
    """Embed each whole piece of 5 s of (n,) speech; what is left over is not looked at."""
    starts = range(0, len(speech) - PIECE_SAMPLES + 1, PIECE_SAMPLES)
    return tuple(embed_piece(speaker, speech[start : start + PIECE_SAMPLES]) for start in starts)


def embed_piece(speaker: Embedder, piece: Pcm16) -> Embedding:
    """Embed (n,) speech at 16 kHz, 8_000 <= n <= 80_000, in the band that it seems to have come in."""
    return speaker.embed(from_pcm16(piece), band_of(piece))


def embed_speech(speaker: Embedder, speech: Pcm16) -> Embedding:
    """Embed (n,) speech at 16 kHz, n >= 8_000, silence already dropped, exactly as a task would."""
    whole = len(speech) // PIECE_SAMPLES
    return mean_of(speaker, embed_pieces(speaker, speech), speech[whole * PIECE_SAMPLES :])


def narrowband_embedding(speaker: Embedder, speech: Pcm16, band: Band) -> Embedding | None:
    """Embed (n,) speech at 16 kHz, n >= 8_000, as a telephone would have carried it; None if one did.

    Embeddings of one voice in wideband and by telephone differ a little; this one is nearer to those by telephone
    (docs/speaker-search.md has by how much).
    """
    return embed_speech(speaker, narrowband_of(speech)) if band == "wb" else None


def mean_of(speaker: Embedder, pieces: Sequence[Embedding], rest: Pcm16) -> Embedding:
    """Return (d,), L2 norm 1, of a stretch whose whole pieces are embedded already; (n,) samples are left of it."""
    weighted = list(pieces)
    if len(rest) >= LEAST_SAMPLES or not pieces:
        weighted.append(embed_piece(speaker, rest) * np.float32(len(rest) / PIECE_SAMPLES))
    mean: Embedding = np.stack(weighted).sum(axis=0)
    unit: Embedding = mean / np.linalg.norm(mean)
    return unit
