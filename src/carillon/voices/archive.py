"""A domain's voices in one encrypted file, to be kept elsewhere or taken to another server.

The file is a line of JSON that says how it is sealed, then records: four bytes of length, then AES-256-GCM. The key is
scrypt of a passphrase and the file's own salt; the number of a record is part of what is authenticated, and the last
record says how many there were, so a file that was cut, reordered or changed anywhere is refused.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from carillon.errors import InvalidRequest
from carillon.profiles import Band, KnownVoice, OpenVoice, Profile
from carillon.storage.files import creating

_FORMAT: Final = "carillon-voices-1"
_COST: Final = 2**16
"""Of scrypt: 64 MiB and some tenths of a second for each guess."""
_MOST_COST: Final = 2**20
_MOST_RECORD_BYTES: Final = 16 * 1024 * 1024
_MOST_HEAD_BYTES: Final = 1024
_NONCE_BYTES: Final = 12


class ArchiveBroken(InvalidRequest):
    """A file is no archive, is not whole, or is sealed with another passphrase."""


class _Head(msgspec.Struct, frozen=True):
    format: str
    salt: bytes
    cost: int


class _Record(msgspec.Struct, frozen=True, array_like=True, tag="voice"):
    profile_id: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    label: str
    band: Band
    model_id: str
    embedding: bytes
    narrowband: bytes | None
    speech: bytes


class _End(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    records: int


class ArchiveWriter:
    """Writes voices to a file, one at a time."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        self._file = file
        head = _Head(_FORMAT, os.urandom(16), _COST)
        self._cipher = AESGCM(_key(passphrase, head))
        self.count = 0
        self._file.write(msgspec.json.encode(head) + b"\n")

    def add(self, voice: KnownVoice) -> None:
        """Write a voice."""
        self._seal(_record(voice))
        self.count += 1

    def end(self) -> None:
        """Write how many there were; without that the file is not whole."""
        self._seal(_End(self.count))

    def _seal(self, record: "_Record | _End") -> None:
        self._file.write(_sealed(self._cipher, self.count, msgspec.msgpack.encode(record)))


@contextmanager
def writing_archive(path: Path, passphrase: str) -> Iterator[ArchiveWriter]:
    """Yield a writer; what it wrote by the end becomes a new file, readable by this user alone.

    Raises:
        FileExistsError: there is one already; before anything is written, if it is there by then.
    """
    if path.exists():
        raise FileExistsError(path)
    with creating(path) as file:
        writer = ArchiveWriter(file, passphrase)
        yield writer
        writer.end()


def read_archive(path: Path, passphrase: str) -> Iterator[tuple[Profile, OpenVoice]]:
    """Yield what an `ArchiveWriter` wrote, profiles without domain and ARN, one in memory at a time.

    What is yielded is authentic, but only a reader that comes to the end knows that nothing is missing.

    Raises:
        ArchiveBroken: not an archive, cut off, changed, or another passphrase.
    """
    with path.open("rb") as file:
        cipher = AESGCM(_key(passphrase, _read_head(path, file.readline(_MOST_HEAD_BYTES))))
        number = 0
        while True:
            length = file.read(4)
            size = int(struct.unpack(">I", length)[0]) if len(length) == 4 else 0
            if not _NONCE_BYTES < size <= _MOST_RECORD_BYTES:
                raise ArchiveBroken(f"{path} is not whole. Take another copy.")
            plain = _opened(path, cipher, number, file.read(size))
            found = msgspec.msgpack.decode(plain, type=_Record | _End)
            if isinstance(found, _End):
                if found.records != number or file.read(1):
                    raise ArchiveBroken(f"{path} is not whole. Take another copy.")
                return
            yield _voice(found)
            number += 1


def _read_head(path: Path, line: bytes) -> _Head:
    try:
        head = msgspec.json.decode(line, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArchiveBroken(f"{path} is not an archive of voices.") from error
    if head.format != _FORMAT or not 2 <= head.cost <= _MOST_COST or head.cost & (head.cost - 1):
        raise ArchiveBroken(f"{path} is not an archive that this version reads.")
    return head


def _key(passphrase: str, head: _Head) -> bytes:
    return Scrypt(salt=head.salt, length=32, n=head.cost, r=8, p=1).derive(passphrase.encode())


def _sealed(cipher: AESGCM, number: int, plain: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    data = nonce + cipher.encrypt(nonce, plain, struct.pack(">Q", number))
    return struct.pack(">I", len(data)) + data


def _opened(path: Path, cipher: AESGCM, number: int, data: bytes) -> bytes:
    try:
        return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], struct.pack(">Q", number))
    except InvalidTag as error:
        raise ArchiveBroken(f"{path} cannot be opened: another passphrase, or the file was changed.") from error


def _record(known: KnownVoice) -> _Record:
    voice, profile = known.voice, known.profile
    return _Record(
        profile.id,
        profile.created_at,
        profile.updated_at,
        profile.expires_at,
        voice.label,
        voice.band,
        voice.model_id,
        voice.embedding.astype("<f4").tobytes(),
        None if voice.narrowband is None else voice.narrowband.astype("<f4").tobytes(),
        voice.speech.astype("<i2").tobytes(),
    )


def _voice(record: _Record) -> tuple[Profile, OpenVoice]:
    def array(data: bytes, kind: str) -> Any:  # noqa: ANN401 - of numpy
        return np.frombuffer(data, dtype=kind)

    at = (record.created_at, record.updated_at, record.expires_at)
    created_at, updated_at, expires_at = (time.astimezone(UTC) for time in at)
    voice = OpenVoice(
        record.label,
        record.band,
        record.model_id,
        array(record.embedding, "<f4"),
        None if record.narrowband is None else array(record.narrowband, "<f4"),
        array(record.speech, "<i2"),
    )
    return Profile(record.profile_id, "", "", created_at, updated_at, expires_at), voice
