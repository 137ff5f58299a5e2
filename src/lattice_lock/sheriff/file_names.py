"""Names of files, which need not be text, as text that every format can hold."""

from __future__ import annotations

__all__ = ["printable_name"]


def printable_name(path: str) -> str:
    r"""The path itself; bytes of it that are not UTF-8 are written as escapes such as `\udcff`."""
    return path if path.isascii() else path.encode("utf-8", "backslashreplace").decode("utf-8")
