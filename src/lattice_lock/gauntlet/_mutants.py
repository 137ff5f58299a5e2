"""Small changes to the body of one function, each as the text of its whole module.

A change replaces one stretch of text and leaves the rest as its author formatted it, so that the
difference is as small to read as it is to make. What compiles to the same bytecode as the original,
or as an earlier mutant, is left out.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import itertools
import warnings
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, TypeAlias

from lattice_lock.gauntlet._mutations import (
    FunctionNode,
    Insertion,
    Mutation,
    Replacement,
    mutations_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Mutant", "Mutants", "find_function", "make_mutants", "normal_text"]

_Key: TypeAlias = tuple[object, ...]
_Candidate: TypeAlias = tuple[str, int, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One changed function.

    Attributes:
        operator: what kind of change it is.
        line: where it was made, counted from 1 in the original.
        text: the whole module with the change.
        diff: the lines that differ.
    """

    operator: str
    line: int
    text: str
    diff: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutants:
    """Some mutants of a function, in the order of their lines, and how many changes there are."""

    chosen: tuple[Mutant, ...]
    possible: int


def normal_text(text: str) -> str:
    """The text with the line ends that everything here counts in."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def find_function(tree: ast.Module, name: str) -> FunctionNode | None:
    """The last definition of a function by its qualified name, as Python would bind it."""
    bodies: list[list[ast.stmt]] = [tree.body]
    *owners, last = name.split(".")
    for owner in owners:
        bodies = [
            node.body
            for body in bodies
            for node in _statements(body)
            if isinstance(node, ast.ClassDef) and node.name == owner
        ]
    found = [
        node
        for body in bodies
        for node in _statements(body)
        if isinstance(node, FunctionNode) and node.name == last
    ]
    return found[-1] if found else None


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a block and of the blocks of `if`, `try` and `with` in it."""
    for node in body:
        yield node
        if not isinstance(node, FunctionNode | ast.ClassDef):
            for block in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, block, []))


def make_mutants(text: str, function: str, *, most: int) -> Mutants:
    """At most `most` mutants of a function; which ones depends on the text alone.

    Every kind of change gets its turn before any gets a second one.

    Args:
        text: the module.
        function: qualified name.
        most: how many to make.
    """
    text = normal_text(text)
    tree = ast.parse(text)
    node = find_function(tree, function)
    if node is None:
        return Mutants(chosen=(), possible=0)
    original = _fingerprint(_compiled(text))
    seen = {original}
    chosen: list[Mutant] = []
    candidates = [_placed(one, text) for one in mutations_of(node, tree)]
    for operator, line, variants in _in_turn(candidates):
        if len(chosen) == most:
            break
        changed = _simplest(variants)
        code = None if changed is None else _compiled(changed)
        if changed is None or code is None or (key := _fingerprint(code)) in seen:
            continue
        seen.add(key)
        diff = _diff(text, changed)
        chosen.append(Mutant(operator=operator, line=line, text=changed, diff=diff))
    chosen.sort(key=lambda mutant: (mutant.line, mutant.operator, mutant.diff))
    return Mutants(chosen=tuple(chosen), possible=len(candidates))


def _in_turn(candidates: Iterable[_Candidate]) -> Iterator[_Candidate]:
    """One of each operator, then the next of each, in an order that looks random but is not."""
    groups: dict[str, list[_Candidate]] = {}
    for one in candidates:
        groups.setdefault(one[0], []).append(one)
    for group in groups.values():
        group.sort(key=lambda one: hashlib.sha256(one[2][-1].encode()).digest())
    for row in itertools.zip_longest(*(groups[name] for name in sorted(groups))):
        yield from (one for one in row if one is not None)


def _placed(mutation: Mutation, text: str) -> _Candidate:
    """Operator, line, and the texts to choose from: without parentheses and with them."""
    match mutation.change:
        case Replacement(node, new):
            span = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
            variants = [new, f"({new})"] if isinstance(node, ast.expr) else [new]
            texts = [_spliced(text, span, each) for each in variants]
        case Insertion(before, new):
            start = (before.lineno, before.col_offset)
            line = text.split("\n")[start[0] - 1].encode()[: start[1]].decode()
            gap = "; " if line.strip() else f"\n{line}"
            texts = [_spliced(text, (*start, *start), new + gap)]
            node = before
    return mutation.operator, node.lineno, texts


def _spliced(text: str, span: Sequence[int | None], new: str) -> str:
    first, start, last, end = (number or 0 for number in span)
    lines = [line.encode() for line in text.split("\n")]
    changed = lines[first - 1][:start] + new.encode() + lines[last - 1][end:]
    return b"\n".join([*lines[: first - 1], changed, *lines[last:]]).decode()


def _simplest(variants: list[str]) -> str | None:
    """The text without parentheses where it means the same as the one with them."""
    try:
        trees = [ast.dump(_parsed(text)) for text in variants[-1:]]
    except (SyntaxError, ValueError, RecursionError):
        return None
    for text in variants[:-1]:
        try:
            if ast.dump(_parsed(text)) == trees[0]:
                return text
        except (SyntaxError, ValueError):
            continue
    return variants[-1]


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _compiled(text: str) -> CodeType | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return compile(text, "<mutant>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError):
            return None


def _fingerprint(code: CodeType | None) -> _Key:
    """What a module does, whatever lines it stands in."""
    if code is None:
        return ()
    constants = tuple(
        _fingerprint(one) if isinstance(one, CodeType) else (type(one).__name__, repr(one))
        for one in code.co_consts
    )
    return (
        code.co_code,
        constants,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_exceptiontable,
    )


def _diff(text: str, changed: str) -> str:
    lines = difflib.unified_diff(text.split("\n"), changed.split("\n"), n=0)
    shown = (line for line in itertools.islice(lines, 3, None) if line[1:].strip())
    return "\n".join(shown)
