"""What can be told about a Python file without building its tree.

CPython parses a file and finds its blocks in two thirds of the time that it takes to build the tree
of it. Where that is enough to know that no rule has anything to report, no tree is built.
"""

from __future__ import annotations

import functools
import re
import symtable
import warnings
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from lattice_lock.sheriff.module import source_lines, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.context import SourceFile

__all__ = ["Outline", "Parameter", "Signature"]

_BLANKS: Final = r"(?:[ \t\f\n]++|\\\n|\#[^\n]*+)*+"
_STRING: Final = (
    r"(?<![fFtT])(?<![fFtT][rR])"
    r"(?:'(?!'')(?:[^'\\\n]++|\\[^\n])*+'|\"(?!\"\")(?:[^\"\\\n]++|\\[^\n])*+\")"
)
"""A string on one line; within an f-string quotes may stand for others."""

_MAX_DEPTH: Final = 6
"""Deepest nesting of brackets that is read."""


def _bracketed(depth: int) -> str:
    inner = f"|{_bracketed(depth - 1)}" if depth else ""
    return rf"[(\[{{](?:[^()\[\]{{}}'\"\#\\]++|{_STRING}|\\\n|\#[^\n]*+{inner})*+[)\]}}]"


_VALUE: Final = rf"(?:[^()\[\]{{}}'\"\#\\,:]++|{_STRING}|\\\n|\#[^\n]*+|{_bracketed(_MAX_DEPTH)})*+"
"""An annotation, a default or both, up to the comma or bracket behind it."""

_PLAIN_PARAMETER: Final = re.compile(
    r"[ \n]*+(?P<stars>\*\*?)?(?P<name>[^\W\d]\w*+)(?P<colon>:)?"
    r"(?P<value>[\w .=|-]*+(?:\[[\w .|]*+\][\w .=|-]*+)?+)(?P<end>[,)])"
)
"""What most parameters look like; `_PARAMETER` reads them alike, and takes twice the time."""

_DEF: Final = re.compile(r"[ \t\f]*+(?:async[ \t]++)?def[ \t]++(\w++)[ \t]*+\(")
_PARAMETER: Final = re.compile(
    rf"{_BLANKS}(?P<stars>\*\*?|/)?{_BLANKS}(?P<name>[^\W\d]\w*+)?{_BLANKS}"
    rf"(?P<colon>:)?(?P<value>{_VALUE})(?P<end>[,)])"
)
_AFTER: Final = re.compile(rf"{_BLANKS}(->|:)")

_NAMELESS: Final = frozenset({"lambda", "listcomp", "setcomp", "dictcomp", "genexpr"})
"""What symbol tables call functions that no `def` makes; a `def` may make one of that name."""


class Parameter(NamedTuple):
    """One parameter: `stars` is empty, `*` or `**`; without a name it is the marker `*` or `/`.

    The name is as the file spells it, which may not be as Python folds it.
    """

    stars: str
    name: str
    is_annotated: bool


class Signature(NamedTuple):
    """The header of one function.

    Attributes:
        is_method: whether a class body defines it.
        parameters: in order, markers included.
        is_annotated: whether it says what it returns.
    """

    is_method: bool
    parameters: tuple[Parameter, ...]
    is_annotated: bool


class Outline:
    """One file, parsed when it is first asked for."""

    def __init__(self, source: SourceFile) -> None:
        self.source: Final = source

    @functools.cached_property
    def is_parsable(self) -> bool:
        """Whether the file can certainly be examined."""
        return self._table is not None

    @functools.cached_property
    def _table(self) -> symtable.SymbolTable | None:
        if unreadable(self.source.text) is not None:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return symtable.symtable(self.source.text, self.source.path, "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    def signatures(self) -> Iterator[Signature | None]:
        """Every function that `def` makes, in no particular order; None for an unclear one."""
        if self._table is None:
            yield None
            return
        lines = source_lines(self.source.text)
        text = "\n".join(lines) if "\r" in self.source.text else self.source.text
        ends = [0, *accumulate(map(len, lines))]
        for name, line, is_method in _functions(self._table):
            header = _DEF.match(text, ends[line - 1] + line - 1)
            if header is not None and header[1] == name:
                yield _signature(text, header.end(), is_method=is_method)
            elif name not in _NAMELESS and name.isidentifier():
                yield None


def _functions(table: symtable.SymbolTable) -> Iterator[tuple[str, int, bool]]:
    """Name and line of each function, and whether a class body defines it."""
    pending = [table]
    while pending:
        block = pending.pop()
        in_class = block.get_type() == "class"
        for child in block.get_children():
            if child.get_type() == "function":
                yield child.get_name(), child.get_lineno(), in_class
            pending.append(child)


def _signature(text: str, start: int, *, is_method: bool) -> Signature | None:
    """The header whose parameters start at `start`."""
    parameters: list[Parameter] = []
    at = start
    while True:
        found = _PLAIN_PARAMETER.match(text, at) or _PARAMETER.match(text, at)
        if found is None:
            return None
        stars, name, colon, value, end = found.groups()
        at = found.end()
        # The commas of a lambda stand in no bracket.
        if "lambda" in value:
            return None
        if stars or name:
            parameters.append(Parameter(stars or "", name or "", bool(colon)))
        if end == ")":
            break
    after = _AFTER.match(text, at)
    if after is None:
        return None
    return Signature(is_method, tuple(parameters), after[1] == "->")
