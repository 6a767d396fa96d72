from collections.abc import Callable

import pytest

from carillon.storage import SealBroken, Vault


def test_what_is_sealed_opens_again_and_is_never_the_same_twice(vault: Vault) -> None:
    key = vault.new_key()
    first, second = vault.seal(key, b"voice", "row 1"), vault.seal(key, b"voice", "row 1")
    assert first != second
    assert b"voice" not in first
    assert vault.unseal(key, first, "row 1") == vault.unseal(key, second, "row 1") == b"voice"


def test_a_sealed_value_cannot_be_moved_changed_or_opened_with_another_key(vault: Vault) -> None:
    key = vault.new_key()
    sealed = vault.seal(key, b"voice", "row 1")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    attempts: tuple[Callable[[], bytes], ...] = (
        lambda: vault.unseal(key, sealed, "row 2"),
        lambda: vault.unseal(key, changed, "row 1"),
        lambda: vault.unseal(vault.new_key(), sealed, "row 1"),
        lambda: Vault(bytes(32)).unseal(key, sealed, "row 1"),
        lambda: vault.unseal(key, b"", "row 1"),
    )
    for attempt in attempts:
        with pytest.raises(SealBroken):
            attempt()


def test_derived_keys_differ_by_purpose_and_last(vault: Vault) -> None:
    assert vault.derive("tokens") == Vault(bytes(range(32))).derive("tokens")
    assert vault.derive("tokens") != vault.derive("other")
    assert len(vault.derive("tokens")) == 32


def test_nothing_shows_the_root_key(vault: Vault) -> None:
    assert repr(vault) == "Vault(...)"
