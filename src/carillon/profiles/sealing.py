"""What of a voice goes into a row, and comes out: always sealed, and only in the row and column it was sealed for."""

from dataclasses import dataclass, field

import numpy as np

from carillon.audio import Embedding, Pcm16
from carillon.storage import Vault, WrappedKey


@dataclass(frozen=True, slots=True)
class Sealed:
    """The biometric part of a row, unreadable."""

    embedding: bytes = field(repr=False)
    speech: bytes = field(repr=False)


def seal(vault: Vault, key: WrappedKey, row: str, embedding: Embedding, speech: Pcm16) -> Sealed:
    """Seal (d,) and (n,) values for one row, such as `voiceprint/{task_id}`."""
    return Sealed(
        vault.seal(key, embedding.astype("<f4").tobytes(), f"{row}/embedding"),
        vault.seal(key, speech.astype("<i2").tobytes(), f"{row}/speech"),
    )


def unseal_embedding(vault: Vault, key: WrappedKey, row: str, sealed: bytes) -> Embedding:
    """Open a row's embedding.

    Raises:
        SealBroken: changed, moved from another row, or of another domain.
    """
    embedding: Embedding = np.frombuffer(vault.unseal(key, sealed, f"{row}/embedding"), dtype="<f4")
    return embedding


def reseal(vault: Vault, key: WrappedKey, sealed: Sealed, source: str, target: str) -> Sealed:
    """Seal what one row holds for another row of the same domain.

    Raises:
        SealBroken: changed, moved from another row, or of another domain.
    """
    return Sealed(
        vault.seal(key, vault.unseal(key, sealed.embedding, f"{source}/embedding"), f"{target}/embedding"),
        vault.seal(key, vault.unseal(key, sealed.speech, f"{source}/speech"), f"{target}/speech"),
    )
