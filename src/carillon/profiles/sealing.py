"""What of a voice goes into a row, and comes out: always sealed, and only in the row and column it was sealed for."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from carillon.audio import Embedding, Pcm16
from carillon.storage import Vault, WrappedKey


@dataclass(frozen=True, slots=True)
class Sealed:
    """The biometric part of a row, unreadable."""

    embedding: bytes = field(repr=False)
    speech: bytes = field(repr=False)
    narrowband: bytes | None = field(repr=False)


def seal(
    vault: Vault, key: WrappedKey, row: str, embedding: Embedding, speech: Pcm16, narrowband: Embedding | None = None
) -> Sealed:
    """Seal (d,), (n,) and, if there is one, (d,) for one row, such as `voiceprint/{task_id}`."""
    return Sealed(
        vault.seal(key, embedding.astype("<f4").tobytes(), f"{row}/embedding"),
        vault.seal(key, speech.astype("<i2").tobytes(), f"{row}/speech"),
        None if narrowband is None else vault.seal(key, narrowband.astype("<f4").tobytes(), f"{row}/narrowband"),
    )


def unseal_embedding(
    vault: Vault, key: WrappedKey, row: str, sealed: bytes, column: Literal["embedding", "narrowband"] = "embedding"
) -> Embedding:
    """Open a row's embedding, or the narrowband one.

    Raises:
        SealBroken: changed, moved from another row, or of another domain.
    """
    embedding: Embedding = np.frombuffer(vault.unseal(key, sealed, f"{row}/{column}"), dtype="<f4")
    return embedding


def unseal_speech(vault: Vault, key: WrappedKey, row: str, sealed: bytes) -> Pcm16:
    """Open a row's speech: (n,) int16 at 16 kHz.

    Raises:
        SealBroken: changed, moved from another row, or of another domain.
    """
    speech: Pcm16 = np.frombuffer(vault.unseal(key, sealed, f"{row}/speech"), dtype="<i2")
    return speech


def reseal(vault: Vault, key: WrappedKey, sealed: Sealed, source: str, target: str) -> Sealed:
    """Seal what one row holds for another row of the same domain.

    Raises:
        SealBroken: changed, moved from another row, or of another domain.
    """
    return Sealed(
        vault.seal(key, vault.unseal(key, sealed.embedding, f"{source}/embedding"), f"{target}/embedding"),
        vault.seal(key, vault.unseal(key, sealed.speech, f"{source}/speech"), f"{target}/speech"),
        sealed.narrowband
        and vault.seal(key, vault.unseal(key, sealed.narrowband, f"{source}/narrowband"), f"{target}/narrowband"),
    )
