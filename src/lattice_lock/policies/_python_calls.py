"""What a piece of Python calls, by the full names of what was imported."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.policies._code_blocks import Code

__all__ = ["PYTHON", "Call", "Names", "Places", "parse"]

PYTHON = frozenset({"python", "py", "python3", "py3", "ipython", "pycon"})
"""What fences call Python."""

_LONGEST = 1_000_000
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")  # what Python counts as one
_SCOPES = 200


class Call(NamedTuple):
    """One call; `name` is what is called, such as `os.path.join` or `?.execute`."""

    name: str
    node: ast.Call


def parse(text: str) -> ast.Module | None:
    """The tree of a piece of Python, as people paste it; None where it is none."""
    if len(text) > _LONGEST:
        return None
    for form in (text, textwrap.dedent(text), _without_prompts(text)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(form)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _without_prompts(text: str) -> str:
    """The input of an interactive session, without what was printed; notebook commands left out."""
    if ">>>" not in text:
        lines = text.splitlines()
        return "\n".join("" if line.lstrip()[:1] in {"!", "%"} else line for line in lines)
    lines = [line.lstrip() for line in text.splitlines()]
    return "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ")))


class Names:
    """What the names of a module stand for."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.nodes = list(ast.walk(tree))
        self.imports: list[tuple[str, ast.stmt]] = []
        self._meanings: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imports.append((alias.name, node))
                    name = alias.asname or alias.name.partition(".")[0]
                    self._meanings[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    self.imports.append((f"{node.module}.{alias.name}", node))
                    self._meanings[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        for node in self.nodes:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name() | ast.Attribute()):
                    meaning = self.of(node.value)
                    if name not in self._meanings and not meaning.startswith("?"):
                        self._meanings[name] = meaning

    def calls(self) -> Iterator[Call]:
        """Every call, in no particular order."""
        for node in self.nodes:
            if isinstance(node, ast.Call):
                yield Call(self.of(node.func), node)

    def of(self, node: ast.expr, depth: int = 0) -> str:
        """The full name of an expression; `?` stands for what is not known."""
        if depth > _SCOPES:
            return "?"
        match node:
            case ast.Name(id=name):
                return self._meanings.get(name, name)
            case ast.Attribute(value=value, attr=attribute):
                return f"{self.of(value, depth + 1)}.{attribute}"
            case ast.Call(
                func=ast.Name(id="getattr"),
                args=[owner, ast.Constant(value=str(attribute)), *_],
            ):
                return f"{self.of(owner, depth + 1)}.{attribute}"
            case ast.Call(
                func=ast.Name(id="__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                return module
            case ast.Call(func=function):
                return f"{self.of(function, depth + 1)}()"
            case _:
                return "?"


class Places:
    """Where the nodes of a piece of code stand in the text that is judged."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._lines = _LINE.findall(code.text)
        self._starts = [0, *accumulate(map(len, self._lines))]

    def of(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """The characters of a node, or the whole piece where findings concern that."""
        if self._code.offset is None:
            return self._code.start, self._code.end
        start = self._offset(node.lineno, node.col_offset)
        end = self._offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        return start, end

    def _offset(self, line: int, column: int) -> int:
        if line > len(self._lines):
            return self._starts[-1]
        before = self._lines[line - 1].encode()[:column].decode(errors="replace")
        return self._starts[line - 1] + len(before)
