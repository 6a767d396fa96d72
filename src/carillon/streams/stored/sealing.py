"""Fragments are sealed one by one, each bound to its place: none can be opened as another."""

from collections.abc import Sequence
from typing import Final

from anyio import to_thread

from carillon.storage import Vault
from carillon.streams.catalog.stream import Stream
from carillon.streams.fragments import ReceivedFragment

ADDED_BYTES: Final = 28
"""By how much `Vault.seal` makes longer what it seals."""
_INLINE_BYTES: Final = 256 * 1024
"""What is sealed or opened in the event loop: about 0.1 ms, which is what going to a thread costs."""


class FragmentSealing:
    """Seals fragments with the key of their stream, and opens them."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def seal(self, stream: Stream, fragments: Sequence[ReceivedFragment]) -> list[bytes]:
        """Return a record for each fragment: its head and its body."""
        if sum(fragment.size for fragment in fragments) <= _INLINE_BYTES:
            return self._sealed(stream, fragments)
        return await to_thread.run_sync(self._sealed, stream, fragments)

    async def unseal(self, stream: Stream, number: str, record: bytes) -> bytes:
        """Return the head and the body of a fragment.

        Raises:
            SealBroken: the record is damaged, or another fragment's.
        """
        sealed = (stream.data_key, record, _place(stream, number))
        if len(record) <= _INLINE_BYTES:
            return self._vault.unseal(*sealed)
        return await to_thread.run_sync(self._vault.unseal, *sealed)

    def _sealed(self, stream: Stream, fragments: Sequence[ReceivedFragment]) -> list[bytes]:
        return [self._vault.seal(stream.data_key, f.head + f.body, _place(stream, f.number)) for f in fragments]


def _place(stream: Stream, number: str) -> str:
    return f"fragment {stream.id} {number}"
