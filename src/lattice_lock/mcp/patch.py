"""Applies a unified diff, as people and models write them, to one text.

Models count lines badly, so the numbers of a hunk only choose between places that fit equally. What
a hunk leaves and removes must stand in the text exactly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lattice_lock.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["apply_patch"]

_HUNK: Final = re.compile(r"@@ -([0-9]{1,9})(?:,([0-9]{1,9}))? \+[0-9]+(?:,[0-9]+)? @@")
_LONGEST_QUOTE: Final = 120


@dataclass(slots=True)
class _Hunk:
    """Lines with their line ends; `line` and `count` are what the hunk says of its old lines."""

    place: str
    line: int
    count: int
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def apply_patch(text: str, patch: str, *, file: str) -> str:
    """`text` after the hunks of `patch`, which may change no file but `file`.

    The result ends with a line break. Line counts and a wrong line number in a hunk are forgiven
    where only one place fits.

    Raises:
        UsageError: not a unified diff, another file, or a hunk that fits nowhere or twice.
    """
    rest = text if text.endswith("\n") or not text else f"{text}\n"
    done: list[str] = []
    lines_done = 0
    for hunk in _hunks(patch, file):
        start = _find(hunk, rest, lines_done)
        done += [rest[:start], *hunk.new]
        lines_done += rest.count("\n", 0, start) + len(hunk.old)
        rest = rest[start + len("".join(hunk.old)) :]
    return "".join([*done, rest])


def _hunks(patch: str, file: str) -> Iterator[_Hunk]:
    hunk: _Hunk | None = None
    lines = patch.removesuffix("\n").split("\n")
    for index, line in enumerate(lines):
        if header := _HUNK.match(line):
            if hunk is not None:
                yield hunk
            place = f"The hunk at line {index + 1} of the diff"
            hunk = _Hunk(place, int(header[1]), int(header[2] or 1))
        elif hunk is None or _ends(hunk, lines[index : index + 3]):
            if line.startswith(("--- ", "+++ ")):
                _ensure_same_file(line, file)
            if hunk is not None:
                yield hunk
                hunk = None
        else:
            _add(hunk, line, index + 1)
    if hunk is None:
        raise UsageError(
            "The diff has no hunk, a part that starts with `@@ -LINE,COUNT +LINE,COUNT @@`.",
            hint="Send a unified diff, or the whole new text instead.",
        )
    yield hunk


def _ends(hunk: _Hunk, lines: list[str]) -> bool:
    """Whether another file begins at `lines`, and they do not go on with the hunk.

    In a hunk, `--- name` may also remove the line `-- name`.
    """
    starts = [line[:3] for line in lines]
    return len(hunk.old) >= hunk.count and starts == ["---", "+++", "@@ "]


def _ensure_same_file(line: str, file: str) -> None:
    name = line[4:].split("\t", maxsplit=1)[0].strip()
    if name not in {file, f"a/{file}", f"b/{file}", f"./{file}"}:
        raise UsageError(
            f"The diff changes `{name[:_LONGEST_QUOTE]}`.",
            hint=f"Only `{file}` can be proposed here; edit other files yourself.",
        )


def _add(hunk: _Hunk, line: str, number: int) -> None:
    mark, content = line[:1], f"{line[1:]}\n"
    if mark == "\\":  # no newline at end of file
        return
    if mark not in {"", " ", "-", "+"}:
        raise UsageError(
            f"Line {number} of the diff starts with none of ` `, `-`, `+`:"
            f" `{line[:_LONGEST_QUOTE]}`.",
            hint="Start unchanged lines with a space.",
        )
    if mark != "+":
        hunk.old.append(content)
    if mark != "-":
        hunk.new.append(content)


def _find(hunk: _Hunk, text: str, lines_before: int) -> int:
    """Offset in `text`, which follows `lines_before` lines, where the hunk's old lines stand."""
    old = "".join(hunk.old)
    stated = _offset(text, hunk.line - lines_before - (1 if old else 0))
    if stated is not None and text.startswith(old, stated):
        return stated
    if not old:
        raise UsageError(f"{hunk.place} adds lines where the text has none.")
    # With a line break before both, a match can only start where a line does.
    first = f"\n{text}".find(f"\n{old}")
    if first < 0:
        raise UsageError(f"{hunk.place} does not fit: {_first_difference(hunk, text)}")
    if f"\n{text}".find(f"\n{old}", first + 1) >= 0:
        raise UsageError(
            f"{hunk.place} fits in more than one place.", hint="Give it more unchanged lines."
        )
    return first


def _offset(text: str, line: int) -> int | None:
    """Offset after the first `line` lines of `text`; None where it has no such line."""
    if line < 0:
        return None
    offset = 0
    for _ in range(line):
        end = text.find("\n", offset)
        if end < 0:
            return None
        offset = end + 1
    return offset


def _first_difference(hunk: _Hunk, text: str) -> str:
    lines = set(text.splitlines(keepends=True))
    missing = next((line for line in hunk.old if line not in lines), None)
    if missing is None:
        return "its lines do not stand together, or stand before an earlier hunk."
    return f"there is no line `{missing.rstrip()[:_LONGEST_QUOTE]}`."
