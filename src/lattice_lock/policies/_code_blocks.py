"""The code in a text: all of a file, or the marked blocks of an answer.

A block of an answer begins with a fence that names its language, and ends with the next fence or
with the text. Whatever is wrong with it concerns the block as a whole: that is what can be taken
out of an answer so that the rest still reads, and it makes what is found independent of where in
the text somebody begins to look.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lattice_lock.policies.base import Source, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.policies.base import Context, Window

__all__ = ["Code", "code_in", "settled_code"]

_OPENING = re.compile(
    r"^ {0,3}(?:```|~~~)[ \t]{0,20}\{?\.?(?P<language>[\w+#.-]{1,40})[^\n`]{0,100}\n", re.MULTILINE
)
_FENCE = re.compile(r"^[ \t]{0,20}(?:```|~~~)[^\n]{0,200}", re.MULTILINE)
_MAYBE_OPENING = re.compile(r" {0,3}(?:`{0,2}|~{0,2}|(?:```|~~~)[^\n]{0,170})")
_LONGEST_FENCE = 200


class Code(NamedTuple):
    """A piece of code; `start` and `end` are the characters that a finding in it concerns.

    Attributes:
        language: as its fence names it, in small letters.
        offset: where `text` begins; None where findings concern the piece as a whole.
    """

    text: str
    language: str
    start: int
    end: int
    offset: int | None


def code_in(window: Window, context: Context) -> Iterator[Code]:
    """The pieces of code that are complete, in their order."""
    text = window.text
    if context.subject is Subject.CODE:
        if window.final and not window.start and not window.position:
            yield Code(text, "python", 0, len(text), 0)
        return
    if context.source is Source.TOOL_ARGUMENTS:
        if window.final and not window.start and not window.position:
            yield Code(text, "python", 0, len(text), None)
        return
    at = _first_fence(text, window.start)
    while at >= 0 and (opening := _OPENING.search(text, at)) is not None:
        end, at = _closed(text, opening.end())
        if at == len(text) and not window.final:
            return
        code = text[opening.end() : end]
        yield Code(code, opening["language"].lower(), opening.start(), at, None)


def _first_fence(text: str, start: int) -> int:
    """A place from `start` on before the first fence, at the beginning of its line; -1 if none."""
    found = [at for fence in ("```", "~~~") if (at := text.find(fence, start)) >= 0]
    return max(start, text.rfind("\n", start, min(found)) + 1) if found else -1


def _closed(text: str, at: int) -> tuple[int, int]:
    """Where the code that begins at `at` ends, and where its block does."""
    fence = _FENCE.search(text, at)
    if fence is None:
        return len(text), len(text)
    another = _OPENING.match(text, fence.start())
    return fence.start(), fence.end() if another is None else fence.start()


def settled_code(window: Window, context: Context) -> int:
    """Where the block that is open, or may be opening, begins."""
    text = window.text
    if window.final:
        return len(text)
    if context.subject is Subject.CODE or context.source is Source.TOOL_ARGUMENTS:
        return window.start
    at = _first_fence(text, window.start)
    while at >= 0 and (opening := _OPENING.search(text, at)) is not None:
        _, at = _closed(text, opening.end())
        if at == len(text):
            return opening.start()
    line = text.rfind("\n", max(0, len(text) - _LONGEST_FENCE)) + 1
    begins = line or (not window.position and len(text) < _LONGEST_FENCE)
    if begins and line >= window.start and _MAYBE_OPENING.fullmatch(text, line):
        return line
    return len(text)
