"""Conditions attached to functions: recorded by decorators, compiled when somebody checks them."""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import linecache
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "RECORD",
    "Capture",
    "Clause",
    "Compiled",
    "Condition",
    "compile_condition",
    "condition_text",
    "condition_tree",
    "copied",
    "parameter_names",
]

RECORD: Final = "__lattice_contracts__"
"""Attribute of a function that holds its clauses, the outermost decorator first."""

Condition: TypeAlias = "str | Callable[..., object]"

_FROZEN: Final = frozenset({int, float, str, bytes, bool, type(None), complex})


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """What one decorator said.

    Attributes:
        kind: which decorator.
        condition: text or function; None for an exception that may come at any time.
        exception: what `raises` declares, None elsewhere.
    """

    kind: Literal["requires", "ensures", "raises"]
    condition: Condition | None
    exception: type[BaseException] | tuple[type[BaseException], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Something to compute before the call.

    Attributes:
        name: under which the condition receives it.
        function: computes it.
        names: what the function takes.
    """

    name: str
    function: Callable[..., object]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A condition that can be called.

    Attributes:
        text: as the author wrote it.
        function: takes the values of `names` by position.
        names: parameters, `result`, and names of captures.
        captures: what to compute before the call.
    """

    text: str
    function: Callable[..., object]
    names: tuple[str, ...]
    captures: tuple[Capture, ...] = ()

    def holds(self, values: Mapping[str, object]) -> bool:
        """Whether the condition is true of these values."""
        return bool(self.function(**{name: values[name] for name in self.names}))


class _Old:
    """The parameters as they were before the call, as attributes."""

    def __init__(self, values: Mapping[str, object]) -> None:
        vars(self).update(values)


def copied(value: object) -> object:
    """The value as it is now, safe from later changes; itself where it cannot be copied."""
    if type(value) in _FROZEN:
        return value
    try:
        return copy.deepcopy(value)
    except (TypeError, ValueError, RecursionError):
        return value


def parameter_names(function: Callable[..., object]) -> tuple[str, ...]:
    """Names of all parameters, in order.

    Raises:
        TypeError: a parameter has a name that conditions need.
    """
    names = tuple(inspect.signature(function).parameters)
    if "result" in names:
        raise TypeError(
            f"`{function.__qualname__}` has a parameter `result`, which in conditions means what "
            "the function returned. Rename the parameter."
        )
    return names


def compile_condition(condition: Condition, function: Callable[..., object]) -> Compiled:
    """The condition, ready to be called.

    Args:
        condition: as given to a decorator.
        function: the function that it is about.

    Raises:
        TypeError: it is no expression, or speaks of something that the function does not take.
    """
    parameters = parameter_names(function)
    if isinstance(condition, str):
        return _compile_text(condition, function, parameters)
    names = tuple(inspect.signature(condition).parameters)
    olds = [name for name in names if name in ("old", "OLD") and name not in parameters]
    if unknown := [name for name in names if name not in (*parameters, "result", *olds)]:
        raise TypeError(
            f"a condition of `{function.__qualname__}` speaks of `{unknown[0]}`; it can speak of "
            f"{', '.join(f'`{name}`' for name in (*parameters, 'result', 'old'))}."
        )
    captures = tuple(
        Capture(name=name, function=_snapshot_of(parameters), names=parameters) for name in olds
    )
    return Compiled(
        text=condition_text(condition), function=condition, names=names, captures=captures
    )


def _snapshot_of(parameters: tuple[str, ...]) -> Callable[..., object]:
    def snapshot(*values: object, **named: object) -> _Old:
        both = {**dict(zip(parameters, values, strict=False)), **named}
        return _Old({name: copied(value) for name, value in both.items()})

    return snapshot


class _OldCalls(ast.NodeTransformer):
    """Replaces every `old(...)` by a name, and keeps what was inside."""

    def __init__(self) -> None:
        self.inside: list[ast.expr] = []

    @override
    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "old" and len(node.args) == 1:
            self.inside.append(node.args[0])
            return ast.copy_location(ast.Name(f"_old_{len(self.inside) - 1}", ast.Load()), node)
        return self.generic_visit(node)


def _compile_text(
    text: str, function: Callable[..., object], parameters: tuple[str, ...]
) -> Compiled:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise TypeError(
            f"a condition of `{function.__qualname__}` is no expression: `{text}` ({error.msg})."
        ) from None
    olds = _OldCalls() if "old" not in parameters else None
    tree = olds.visit(tree) if olds else tree
    scope = function.__globals__
    captures = tuple(
        Capture(name=f"_old_{number}", names=names, function=compute)
        for number, inner in enumerate(olds.inside if olds else ())
        for names, compute in [_as_function(inner, parameters, scope)]
    )
    known = (*parameters, "result", *(capture.name for capture in captures))
    names, compute = _as_function(tree, known, scope)
    return Compiled(text=text.strip(), function=compute, names=names, captures=captures)


def _as_function(
    tree: ast.expr, known: tuple[str, ...], scope: dict[str, object]
) -> tuple[tuple[str, ...], Callable[..., object]]:
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names = tuple(name for name in known if name in used)
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(name) for name in names],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    whole = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, tree)))
    code = compile(whole, "<condition>", "eval")
    return names, eval(code, scope)  # noqa: S307  # the author's own text


def condition_text(condition: Condition) -> str:
    """A condition as its author wrote it, in one line."""
    if isinstance(condition, str):
        return condition.strip()
    tree = condition_tree(condition)
    return ast.unparse(tree) if tree else getattr(condition, "__name__", repr(condition))


def condition_tree(condition: Condition) -> ast.expr | None:
    """The expression of a condition; None where its source is not to be found.

    Of a function that is no lambda it is what its only statement returns.
    """
    if isinstance(condition, str):
        try:
            return ast.parse(condition.strip(), mode="eval").body
        except SyntaxError:
            return None
    code = getattr(condition, "__code__", None)
    if code is None:
        return None
    places = set(code.co_positions())
    for node in _functions_of(code.co_filename):
        if isinstance(node, ast.Lambda):
            body = node.body
            if (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) in places:
                return body
        elif node.name == code.co_name and code.co_firstlineno in (
            node.lineno,
            *(decorator.lineno for decorator in node.decorator_list),
        ):
            last = node.body[-1]
            documented = len(node.body) == 2 and ast.get_docstring(node) is not None  # noqa: PLR2004  # docstring, return
            if isinstance(last, ast.Return) and (len(node.body) == 1 or documented):
                return last.value
    return None


@functools.lru_cache(maxsize=64)
def _functions_of(filename: str) -> tuple[ast.Lambda | ast.FunctionDef, ...]:
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError):
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Lambda | ast.FunctionDef))
