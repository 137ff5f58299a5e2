"""Files that only this user can have written: each carries a keyed digest of what it holds.

The key lies in the user's data folder, readable for its owner alone. Whoever can write into a
project but not read the user's files cannot make a file that `unseal` accepts.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_seal_key", "replace_file", "seal", "unseal"]

_KEY_FILE: Final = "seal.key"
_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 32


def load_seal_key(folder: Path) -> bytes | None:
    """The key in `folder`, made where there is none; None where it cannot be kept secret.

    A key that others may read or write, or that is not this user's, is not used.
    """
    path = folder / _KEY_FILE
    try:
        if not os.path.lexists(path):
            _make_key(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            key = os.read(descriptor, _KEY_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    return key if is_ours and not found.st_mode & 0o077 and len(key) == _KEY_BYTES else None


def _make_key(path: Path) -> None:
    """Make the key; where another process is faster, its key stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink()


def seal(data: bytes, key: bytes, *, purpose: str) -> bytes:
    """The data with its seal; one made for another purpose is not accepted in its place."""
    return _digest(data, key, purpose) + data


def unseal(content: bytes, key: bytes, *, purpose: str) -> bytes | None:
    """What was sealed; None where the content is cut off, damaged, or sealed by nobody we know."""
    data = content[_DIGEST_BYTES:]
    return data if compare_digest(content[:_DIGEST_BYTES], _digest(data, key, purpose)) else None


def _digest(data: bytes, key: bytes, purpose: str) -> bytes:
    mark = hashlib.blake2b(purpose.encode(), digest_size=16).digest()
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=key, person=mark).digest()


def replace_file(path: Path, data: bytes) -> None:
    """Write a file at once, so that a reader finds the old content or the new.

    Raises:
        OSError: it cannot be written; the old content stays.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
