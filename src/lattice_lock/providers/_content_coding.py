"""Bodies that a server compresses although it was asked not to.

Source: RFC 9110, section 8.4.1; RFC 1950, 1951 and 1952.
"""

from __future__ import annotations

import zlib

__all__ = ["CODINGS", "Inflater"]

CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
# What one step may yield: a bomb grows a thousandfold, and the event loop waits for each step.
_STEP_BYTES = 256 * 1024
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_ZLIB_METHOD = 8


class Inflater:
    """Undoes one of `CODINGS` step by step, whatever the size of what comes out.

    Attributes:
        coding: which of them, in lower case.
        fed: bytes taken so far.
        has_more: whether there may be another step without new bytes.
    """

    __slots__ = ("_left", "_member", "coding", "fed", "has_more")

    def __init__(self, coding: str) -> None:
        self.coding = coding
        self._member: zlib._Decompress | None = None
        self._left = b""
        self.fed = 0
        self.has_more = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes; only where `has_more` is False."""
        self._left = data
        self.fed += len(data)
        self.has_more = bool(data)

    def step(self) -> bytes:
        """What comes out next, at most a quarter of a MiB; empty where more has to be fed.

        Raises:
            zlib.error: this is not so compressed.
        """
        while self.has_more:
            member = self._member
            if member is None:
                member = self._member = zlib.decompressobj(self._form(self._left[0]))
            out = member.decompress(self._left, _STEP_BYTES)
            if member.eof:  # another member may follow
                self._left = member.unused_data
                self._member = None
            else:
                self._left = member.unconsumed_tail
            # A full step may leave something in the decompressor although all was taken.
            full = self._member is not None and len(out) == _STEP_BYTES
            self.has_more = bool(self._left) or full
            if out:
                return out
        return b""

    def finish(self) -> None:
        """Make sure that nothing is missing.

        Raises:
            zlib.error: the end is.
        """
        if self._member is not None:
            raise zlib.error("the end is missing")

    def _form(self, first: int) -> int:
        if self.coding != "deflate":
            return _GZIP
        # Some servers call bare deflate data so, without the wrapping that the name stands for.
        return _ZLIB if first & 0x0F == _ZLIB_METHOD else _RAW
