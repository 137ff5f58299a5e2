"""A parsed Python file, shared by every rule that looks at it."""

from __future__ import annotations

import ast
import codecs
import functools
import io
import re
import tokenize
import unicodedata
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from lattice_lock.sheriff.literals import assigned, fold
from lattice_lock.sheriff.names import Names
from lattice_lock.sheriff.newer_syntax import downgrade
from lattice_lock.sheriff.scopes import Walk, absolute_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.context import SourceFile
    from lattice_lock.sheriff.scopes import Scope, ScopedNode

__all__ = [
    "MAX_SOURCE_BYTES",
    "Module",
    "Span",
    "Unparsable",
    "may_mention",
    "parse_module",
    "source_lines",
    "spelling",
    "unreadable",
]

MAX_SOURCE_BYTES: Final = 4 * 1024 * 1024
"""Largest file that is read; CPython needs some hundred bytes of memory per byte parsed."""

_MAX_QUOTED: Final = 80
"""Longest piece of source, in characters, that a message quotes."""

_UTF_8: Final = frozenset({"utf-8", "utf-8-sig", "ascii"})
"""Encodings under which Python reads what UTF-8 says, or refuses the file."""

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_COOKIE: Final = re.compile(r"[^\n]*(?:\n[^\n]*)?coding")
"""Found in every text whose first two lines name an encoding."""

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")


class Span(NamedTuple):
    """A stretch of text: lines and columns count from 1, columns count characters.

    `end_column` is the column after the last character.
    """

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unparsable:
    """Why a file could not be examined."""

    message: str
    hint: str
    line: int = 1
    column: int = 1


def source_lines(text: str) -> list[str]:
    """The lines of `text`, split only where Python's own tokenizer splits."""
    return _LINE_END.split(text) if "\r" in text else text.split("\n")


def may_mention(text: str, *identifiers: str) -> bool:
    """Whether one of the identifiers can occur in a text; False is certain."""
    spelt = spelling(text)
    return any(identifier in spelt for identifier in identifiers)


def spelling(text: str) -> str:
    """A text in which every identifier of `text` is spelt as Python understands it.

    Python folds compatibility characters in identifiers (PEP 3131), so that a text outside ASCII
    can name what it does not spell. Such a text is given twice: as it is, and folded as a whole.
    """
    return text if text.isascii() else _folded(text)


@functools.lru_cache(maxsize=4)
def _folded(text: str) -> str:
    for character in set(_NOT_ASCII.findall(text)):
        # What is composed of a letter and its accent is never ASCII.
        if unicodedata.normalize("NFKC", character).replace("_", "a").isalnum():
            return f"{text}\n{unicodedata.normalize('NFKC', text)}"
    return text


class Module:
    """One file: its tree, its names and the nodes that rules asked for.

    Attributes:
        source: the file as it was given.
        lines: its lines without line endings.
        annotations: every annotation expression with its scope, string annotations unparsed.
        release: frees the tree; to be called when nothing more is asked of the module.
    """

    def __init__(
        self, source: SourceFile, tree: ast.Module, wanted: frozenset[type[ast.AST]]
    ) -> None:
        self.source: Final = source
        self.lines: Final = source_lines(source.text)
        parts = tuple(source.module.split("."))
        self._package: Final = parts if source.is_package else parts[:-1]
        walk = Walk(
            tree,
            package=self._package,
            wanted=wanted,
            # An assignment expression can bind a name anywhere.
            expressions=":=" in source.text or any(issubclass(t, ast.expr) for t in wanted),
        )
        self.release: Final = walk.release
        self._nodes: Final = walk.nodes
        self.annotations: Final = walk.annotations
        self.scope: Final = walk.globals
        self._names: Final = Names(walk.globals)
        self._ascii: Final = source.text.isascii()

    @property
    def package(self) -> str:
        """Dotted name of the package that relative imports start from."""
        return ".".join(self._package)

    def nodes(self, *types: type[ast.AST]) -> Iterator[ScopedNode]:
        """The nodes of exactly these types; a rule must list them in its `node_types`."""
        for kind in types:
            yield from self._nodes.get(kind, ())

    def mentions(self, identifier: str) -> bool:
        """Whether `identifier` can occur; False is certain."""
        return may_mention(self.source.text, identifier)

    def resolve(self, expression: ast.expr, scope: Scope) -> frozenset[str]:
        """Absolute dotted names that a name or attribute may stand for, empty where unknown."""
        return self._names.resolve(expression, scope)

    def meanings(self, name: str) -> frozenset[str]:
        """Absolute dotted names that a global name of the file may stand for."""
        return self._names.resolve(ast.Name(name), self.scope)

    def literals(self, expression: ast.expr, scope: Scope) -> frozenset[str]:
        """The strings that an expression may be, empty where they are unknown."""
        return fold(expression, scope)

    def assigned(self, expression: ast.expr, scope: Scope) -> tuple[ast.expr, Scope]:
        """Follow a name that is assigned exactly once to the expression that it was given."""
        return assigned(expression, scope)

    def absolute(self, node: ast.ImportFrom) -> str | None:
        """Module that a `from ... import` reads, None where it leads out of the top package."""
        return absolute_module(node, self._package)

    def span(self, node: ast.expr | ast.stmt | ast.arg | ast.alias | ast.keyword) -> Span:
        """Where a node stands."""
        end_line = node.end_lineno or node.lineno
        end_offset = node.end_col_offset or node.col_offset
        return Span(
            node.lineno,
            self._column(node.lineno, node.col_offset),
            end_line,
            self._column(end_line, end_offset),
        )

    def name_span(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Span:
        """Where the name of a definition stands; its first line where that is not certain."""
        line = self.lines[node.lineno - 1]
        start = self._column(node.lineno, node.col_offset) - 1
        found = re.compile(r"(?:async\s+def|def|class)\s+(\w+)").match(line, start)
        if found is None:
            return Span(node.lineno, start + 1, node.lineno, len(line) + 1)
        return Span(node.lineno, found.start(1) + 1, node.lineno, found.end(1) + 1)

    def excerpt(self, line: int) -> str:
        """The text of a line, counted from 1; empty beyond the end."""
        return self.lines[line - 1] if 0 < line <= len(self.lines) else ""

    def text(self, span: Span) -> str:
        """The source of a span, on one line and shortened where it is long."""
        lines = self.lines[span.line - 1 : span.end_line]
        lines[-1] = lines[-1][: span.end_column - 1]
        lines[0] = lines[0][span.column - 1 :]
        text = " ".join(" ".join(lines).split())
        return text if len(text) <= _MAX_QUOTED else f"{text[: _MAX_QUOTED - 3]}..."

    def _column(self, line: int, utf8_offset: int) -> int:
        text = self.excerpt(line)
        if self._ascii or text.isascii():
            return utf8_offset + 1
        return len(text.encode("utf-8")[:utf8_offset].decode("utf-8", "ignore")) + 1


def parse_module(source: SourceFile, *, wanted: frozenset[type[ast.AST]]) -> Module | Unparsable:
    """Parse a file; the result says why where CPython gives up.

    Args:
        source: the file.
        wanted: node types to keep.
    """
    problem = unreadable(source.text)
    if problem is not None:
        return problem
    try:
        tree = _parse(source.text, source.path)
    except SyntaxError as error:
        newer = _parse_newer(source)
        if newer is not None:
            return Module(source, newer, wanted)
        return Unparsable(
            message=f"Python cannot parse this file: {error.msg}.",
            hint="Correct the syntax; no other rule has looked at this file.",
            line=error.lineno or 1,
            column=error.offset or 1,
        )
    except (RecursionError, MemoryError):
        return Unparsable(
            message="this file nests too deeply for Python's parser.",
            hint="Split the deepest expression into named parts.",
        )
    return Module(source, tree, wanted)


def _parse(text: str, path: str) -> ast.Module:
    with warnings.catch_warnings():
        # An invalid escape sequence is for a linter; as an error it would stop the parse.
        warnings.simplefilter("ignore")
        return ast.parse(text, filename=path)


def _parse_newer(source: SourceFile) -> ast.Module | None:
    """The tree of a file in a syntax that this Python does not know yet; None if it is none."""
    text = downgrade(source.text)
    if text is None or text == source.text:
        return None
    try:
        return _parse(text, source.path)
    except (SyntaxError, RecursionError, MemoryError):
        return None


def unreadable(text: str) -> Unparsable | None:
    """What keeps a text from being Python source at all, before it is parsed."""
    if len(text) > MAX_SOURCE_BYTES:
        return Unparsable(
            message=f"this file is larger than {MAX_SOURCE_BYTES} bytes.",
            hint="Move data out of the code, or split the file.",
        )
    null = text.find("\0")
    if null >= 0:
        return Unparsable(
            message="this file contains a NUL character, which no Python source may.",
            hint="Remove the character, or write it as the escape `\\0`.",
            line=len(source_lines(text[:null])),
        )
    if text.isascii() and not _COOKIE.match(text):
        return None
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        return Unparsable(
            message="this file contains a lone surrogate, which UTF-8 cannot hold.",
            hint="Remove the character, or write it as an escape.",
            line=len(source_lines(text[: error.start])),
        )
    # A cookie such as utf-7 would make Python run another text than the one examined here.
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError:
        return _other_encoding("an encoding that Python does not know")
    if codecs.lookup(encoding).name not in _UTF_8:
        return _other_encoding(encoding)
    return None


def _other_encoding(encoding: str) -> Unparsable:
    return Unparsable(
        message=f"this file declares {encoding}, so Python would not read it as UTF-8.",
        hint="Store the file as UTF-8 and remove the `coding:` comment.",
    )
