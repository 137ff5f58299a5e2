"""Moves inputs onto the limits that clauses speak of.

In `qty <= order.quantity` the telling inputs are those in which `qty` is the quantity, a little
less and a little more. Chance seldom finds them; setting one side to the value of the other does.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from lattice_lock.core._evaluation import EvaluationError, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Target", "aimed", "places_compared", "side"]

_BUDGET = 20_000
_LARGEST_EXPONENT = 400

_STEPS: dict[type, tuple[object, ...]] = {
    int: (1, -1),
    Decimal: (Decimal("0.01"), Decimal("-0.01"), Decimal(1), Decimal(-1)),
    float: (0.01, -0.01),
    date: (timedelta(days=1), timedelta(days=-1)),
    datetime: (timedelta(seconds=1), timedelta(seconds=-1)),
    timedelta: (timedelta(seconds=1), timedelta(seconds=-1)),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A place that a clause compares with something: `order.total` in `order.total <= 2 * qty`."""

    path: tuple[str, ...]
    other: ast.expr


def places_compared(tree: ast.expr) -> list[Target]:
    """Every place compared with something that can be computed from the inputs alone."""
    bound = {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.comprehension) and isinstance(node.target, ast.Name)
    }
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        for left, right in itertools.pairwise(sides):
            for place, other in ((left, right), (right, left)):
                path = _path(place)
                names = {part.id for part in ast.walk(other) if isinstance(part, ast.Name)}
                null = isinstance(other, ast.Constant) and other.value is None
                if path and path[0] not in bound and not null and not names & (bound | {"result"}):
                    found.append(Target(path, other))
    return found


def aimed(
    base: Mapping[str, object], targets: Iterable[Target]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, object]]]:
    """Variants in which a compared place has, or just misses, the value it is compared with.

    Yields:
        The place that was changed, and the names with their values; whether the new value fits
        the constraints is for the caller to check.
    """
    for target in targets:
        try:
            value = run(target.other, base, base, _BUDGET)
        except EvaluationError:
            continue
        if not _is_plain(value):
            continue
        for near in (value, *_neighbours(value)):
            changed = _replaced(base, target.path, near)
            if changed is not None:
                yield target.path, changed


def _is_plain(value: object) -> bool:
    """Whether a computed value may stand in an input: a scalar of ordinary size.

    What is computed for a list may hold an int where the list holds decimals.
    """
    if isinstance(value, Decimal):
        return value.is_finite() and abs(value.adjusted()) <= _LARGEST_EXPONENT
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, Mapping | list | set | tuple)


def side(target: Target, names: Mapping[str, object]) -> object:
    """On which side of its limit a place lies, as something that can be compared and hashed."""
    try:
        place = _at(names, target.path)
        other = run(target.other, names, names, _BUDGET)
        return bool(place > other), place == other  # type: ignore[operator]  # refused below
    except (EvaluationError, TypeError):
        return None


def _path(node: ast.expr) -> tuple[str, ...]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


def _at(names: Mapping[str, object], path: tuple[str, ...]) -> object:
    value: object = names
    for part in path:
        if not isinstance(value, Mapping):
            raise EvaluationError("null on the way")
        value = value[part]
    return value


def _replaced(
    names: Mapping[str, object], path: tuple[str, ...], value: object
) -> Mapping[str, object] | None:
    """The same inputs with another value at a place; None when that has the wrong type."""
    first, *rest = path
    present = names[first]
    if rest:
        if not isinstance(present, Mapping):
            return None
        inner = _replaced(present, tuple(rest), value)
        return None if inner is None else {**names, first: inner}
    if present is None and isinstance(value, int | float | Decimal):
        return None  # whether the place holds an int or a decimal cannot be seen
    if isinstance(present, Decimal) and type(value) is int:
        value = Decimal(value)
    if isinstance(present, float) and type(value) in (int, Decimal):
        value = float(str(value))
    if type(value) is not type(present) and present is not None:
        return None
    return {**names, first: value}


def _neighbours(value: object) -> Iterator[object]:
    for step in _STEPS.get(type(value), ()):
        try:
            yield value + step  # type: ignore[operator]  # the table pairs types that add up
        except (OverflowError, ArithmeticError):
            continue
