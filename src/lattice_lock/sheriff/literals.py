"""Strings that an expression may be, as far as the text of its file alone can tell."""

from __future__ import annotations

import ast
import itertools
import string
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lattice_lock.sheriff.scopes import Alias, Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lattice_lock.sheriff.scopes import Scope

__all__ = ["assigned", "elements", "fold"]

_MAX_DEPTH: Final = 40
"""Deepest nesting of expressions and names that is followed."""

_MAX_STEPS: Final = 3000
"""Most expressions that are looked at to find what one may be."""

_MAX_VALUES: Final = 32
"""Most strings that one expression is taken to have; what has more counts as unknown."""

_MAX_PARTS: Final = 1000
"""Most pieces of a concatenated string that are put together."""

_MAX_LENGTH: Final = 20_000
"""Longest string, in characters, that is put together."""

_NOTHING: Final[frozenset[str]] = frozenset()

_METHODS: Final[Mapping[str, Callable[..., str]]] = MappingProxyType(
    {
        "casefold": str.casefold,
        "lower": str.lower,
        "lstrip": str.lstrip,
        "removeprefix": str.removeprefix,
        "removesuffix": str.removesuffix,
        "replace": str.replace,
        "rstrip": str.rstrip,
        "strip": str.strip,
        "upper": str.upper,
    }
)
"""Methods of str that are evaluated, all with strings as arguments."""


def fold(expression: ast.expr, scope: Scope) -> frozenset[str]:
    """The strings that an expression may be, empty where they are unknown.

    Understands constants, names bound to them (by assignment or as the target of a loop over a
    literal), `+`, `%s`, f-strings, slices, items of literals, conditional expressions, and the
    methods `join`, `format`, `replace` and those that strip or change case. Nothing is executed.
    """
    return _Folding().fold(expression, scope)


class _Folding:
    """One evaluation; it gives up after so many steps, as names can double what they stand for."""

    def __init__(self) -> None:
        self._steps = 0
        self._depth = 0

    def fold(self, expression: ast.expr, scope: Scope) -> frozenset[str]:
        self._steps += 1
        if self._steps > _MAX_STEPS or self._depth > _MAX_DEPTH:
            return _NOTHING
        self._depth += 1
        try:
            return self._fold(expression, scope)
        finally:
            self._depth -= 1

    def _fold(self, expression: ast.expr, scope: Scope) -> frozenset[str]:
        match expression:
            case ast.Constant(value=str(text)):
                return frozenset((text,))
            case ast.Name(id=name):
                return _union(self._values(name, scope))
            case ast.IfExp(body=body, orelse=otherwise):
                return _union(self._each([body, otherwise], scope))
            case ast.BoolOp(values=values):
                return _union(self._each(values, scope))
            case ast.NamedExpr(value=value):
                return self.fold(value, scope)
            case ast.Subscript(value=value, slice=ast.Slice() as part):
                return _sliced(self.fold(value, scope), part)
            case ast.Subscript(value=value, slice=key):
                return _union(self.fold(*item) for item in _items(value, key, scope))
            case _:
                return self._built(expression, scope)

    def _built(self, expression: ast.expr, scope: Scope) -> frozenset[str]:
        """What an operator, an f-string or a call makes of others."""
        match expression:
            case ast.BinOp(op=ast.Add()):
                return _joined(self._each(_summands(expression), scope))
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                given = right.elts if isinstance(right, ast.Tuple) else [right]
                return _percent(self.fold(left, scope), self._each(given, scope))
            case ast.JoinedStr(values=values):
                return _joined(self._each(values, scope))
            case ast.FormattedValue(value=value, conversion=-1 | 115, format_spec=None):
                return self.fold(value, scope)
            case ast.Call(func=ast.Attribute(value=receiver, attr=method)):
                return self._method(expression, receiver, method, scope)
            case ast.Call(func=ast.Name(id="str"), args=[argument], keywords=[]):
                return _NOTHING if scope.owner("str") else self.fold(argument, scope)
            case _:
                return _NOTHING

    def _each(self, expressions: Iterable[ast.expr], scope: Scope) -> list[frozenset[str]]:
        return [self.fold(expression, scope) for expression in expressions]

    def _values(self, name: str, scope: Scope) -> Iterator[frozenset[str]]:
        for binding in scope.lookup(name) or ():
            if isinstance(binding, Alias):
                yield self.fold(binding.value, binding.scope)
            elif isinstance(binding, Item):
                for each, where in elements(binding.container, binding.scope):
                    yield self.fold(each, where)

    def _method(
        self, call: ast.Call, receiver: ast.expr, method: str, scope: Scope
    ) -> frozenset[str]:
        if method == "decode" and isinstance(receiver, ast.Constant):
            data = receiver.value
            return frozenset((data.decode("utf-8", "replace"),) if isinstance(data, bytes) else ())
        texts = self.fold(receiver, scope)
        if not texts:
            return _NOTHING
        if method == "join" and len(call.args) == 1:
            pieces = [self.fold(*item) for item in elements(call.args[0], scope)]
            return _union(_joined(_between(pieces, text)) for text in texts) if pieces else _NOTHING
        given = self._each(call.args, scope)
        if method == "format":
            named = {each.arg: self.fold(each.value, scope) for each in call.keywords if each.arg}
            return _union(_formatted(text, given, named) for text in texts)
        if method in _METHODS and not call.keywords and all(len(each) == 1 for each in given):
            arguments = [text for each in given for text in each]
            try:
                return frozenset(_METHODS[method](text, *arguments) for text in _short(texts))
            except TypeError:
                return _NOTHING
        return _NOTHING


def elements(container: ast.expr, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
    """What a literal list, tuple, set or dict (its keys) holds, directly or through a name."""
    container, scope = assigned(container, scope)
    match container:
        case ast.List(elts=each) | ast.Tuple(elts=each) | ast.Set(elts=each):
            yield from ((item, scope) for item in each)
        case ast.Dict(keys=keys):
            yield from ((key, scope) for key in keys if key is not None)
        case _:
            pass


def assigned(expression: ast.expr, scope: Scope) -> tuple[ast.expr, Scope]:
    """Follow a name that is assigned exactly once to the expression that it was given."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(expression, ast.Name):
            break
        match scope.lookup(expression.id):
            case [Alias(value=value, scope=where)]:
                expression, scope = value, where
            case _:
                break
    return expression, scope


def _items(container: ast.expr, key: ast.expr, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
    container, scope = assigned(container, scope)
    if not isinstance(key, ast.Constant):
        return
    match container:
        case ast.List(elts=each) | ast.Tuple(elts=each) if isinstance(key.value, int):
            if -len(each) <= key.value < len(each):
                yield each[key.value], scope
        case ast.Dict(keys=keys, values=values):
            for known, value in zip(keys, values, strict=True):
                if isinstance(known, ast.Constant) and known.value == key.value:
                    yield value, scope
        case _:
            pass


def _summands(expression: ast.expr) -> list[ast.expr]:
    """The operands of a chain of `+`, from left to right."""
    found: list[ast.expr] = []
    pending = [expression]
    while pending and len(found) <= _MAX_PARTS:
        node = pending.pop()
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            pending += [node.right, node.left]
        else:
            found.append(node)
    return found


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    found: frozenset[str] = _NOTHING
    for each in sets:
        found |= each
        if len(found) > _MAX_VALUES:
            return _NOTHING
    return found


def _joined(parts: Sequence[frozenset[str]]) -> frozenset[str]:
    """Every text that one choice of each part gives."""
    if len(parts) > _MAX_PARTS:
        return _NOTHING
    found = frozenset(("",))
    for part in parts:
        if len(found) * len(part) > _MAX_VALUES:
            return _NOTHING
        found = _short(frozenset(a + b for a, b in itertools.product(found, part)))
    return found


def _short(texts: frozenset[str]) -> frozenset[str]:
    return frozenset(text for text in texts if len(text) <= _MAX_LENGTH)


def _percent(templates: frozenset[str], given: list[frozenset[str]]) -> frozenset[str]:
    """What `template % given` is where the template holds nothing but `%s`."""
    results: list[frozenset[str]] = []
    for template in templates:
        pieces = template.split("%s")
        if len(pieces) == len(given) + 1 and not any("%" in piece for piece in pieces):
            parts = [frozenset((pieces[0],))]
            for value, piece in zip(given, pieces[1:], strict=True):
                parts += [value, frozenset((piece,))]
            results.append(_joined(parts))
    return _union(results)


def _sliced(texts: frozenset[str], part: ast.Slice) -> frozenset[str]:
    bounds: list[int | None] = []
    for each in (part.lower, part.upper, part.step):
        sign = 1
        bound = each
        if isinstance(bound, ast.UnaryOp) and isinstance(bound.op, ast.USub):
            sign, bound = -1, bound.operand
        if bound is None:
            bounds.append(None)
        elif isinstance(bound, ast.Constant) and type(bound.value) is int:
            bounds.append(sign * bound.value)
        else:
            return _NOTHING
    if bounds[2] == 0:
        return _NOTHING
    return frozenset(text[slice(*bounds)] for text in texts)


def _between(pieces: list[frozenset[str]], separator: str) -> list[frozenset[str]]:
    joint = frozenset((separator,))
    return [part for piece in pieces for part in (joint, piece)][1:]


def _formatted(
    template: str, given: list[frozenset[str]], named: dict[str, frozenset[str]]
) -> frozenset[str]:
    """What `template.format(...)` is where its fields have neither format nor attribute."""
    parts: list[frozenset[str]] = []
    positions = itertools.count()
    try:
        for text, field, specification, conversion in string.Formatter().parse(template):
            parts.append(frozenset((text,)))
            if field is None:
                continue
            if specification or conversion:
                return _NOTHING
            key = field or str(next(positions))
            if key.isdecimal() and int(key) < len(given):
                parts.append(given[int(key)])
            else:
                parts.append(named.get(key, _NOTHING))
    except ValueError:
        return _NOTHING
    return _joined(parts)
