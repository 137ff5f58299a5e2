"""Recognises a violation again after the lines of its file have moved."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lattice_lock.sheriff.rule import Violation

__all__ = ["line_digest"]

_DIGEST_BYTES: Final = 8
"""Enough to tell apart the lines of one file that break one rule."""


def line_digest(violation: Violation) -> str:
    """What identifies the text of the line, in 16 hexadecimal digits; white space is evened out."""
    text = " ".join(violation.excerpt.split())
    data = text.encode("utf-8", "replace")
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
