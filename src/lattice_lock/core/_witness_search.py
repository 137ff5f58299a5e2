"""Searches inputs of a method that satisfy its constraints and preconditions."""

from __future__ import annotations

import ast
import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from lattice_lock.core._evaluation import EvaluationError, run
from lattice_lock.core._pools import Mined, Pools, holds
from lattice_lock.core.type_refs import DictType, EntityType, ListType, OptionalType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lattice_lock.core.schema import Lattice, Method
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["Search", "mine", "places_compared", "reachable_entities"]

_RANDOM_INPUTS = 60
_AIMED_FROM = 6
_SEED = 17
_BUDGET = 20_000

_STEPS: dict[type, tuple[object, ...]] = {
    int: (1, -1),
    Decimal: (Decimal("0.01"), Decimal("-0.01"), Decimal(1), Decimal(-1)),
    float: (0.01, -0.01),
    date: (timedelta(days=1), timedelta(days=-1)),
    datetime: (timedelta(seconds=1), timedelta(seconds=-1)),
    timedelta: (timedelta(seconds=1), timedelta(seconds=-1)),
}


@dataclass(frozen=True, slots=True)
class _Target:
    """A place that a clause compares with something: `order.total` in `order.total <= 2 * qty`."""

    path: tuple[str, ...]
    other: ast.expr


class Search:
    """Inputs of one method.

    Attributes:
        pools: values per type, with the constants of the method's clauses.
    """

    def __init__(self, lattice: Lattice, method: Method, *, breadth: int = 1) -> None:
        """Prepare.

        Args:
            lattice: the lattice that the method belongs to.
            method: the method.
            breadth: factor on how many inputs are tried.
        """
        self._method = method
        self._breadth = breadth
        self.pools = Pools(lattice, mine(lattice, method), breadth=breadth)
        self._params = {
            param.name: self.pools.values(param.type, param.constraints)
            for param in method.params.values()
        }
        before = [*method.requires, *(one.clause for one in method.raises)]
        self._targets = [
            target for clause in before for target in places_compared(clause.expression.tree)
        ]
        self._targets += [
            target
            for clause in method.ensures
            for target in places_compared(clause.expression.tree)
            if target.path[0] != "result"
        ]

    @property
    def is_possible(self) -> bool:
        """Whether a value was found for every parameter."""
        return all(self._params.values())

    def values(self, param: str) -> list[object]:
        """Values of one parameter."""
        return self._params[param]

    def inputs(self) -> Iterator[Mapping[str, object]]:
        """Inputs that satisfy types, constraints and invariants; preconditions not considered."""
        for example in self._method.examples:
            yield example.args
        if not self.is_possible:
            return
        first = list(self._one_at_a_time())
        yield first[0]
        for base in first[:_AIMED_FROM]:
            yield from self._aimed(base)
        yield from first[1:]
        chance = random.Random(_SEED)  # noqa: S311 -- reproducible sampling, no secret
        for _ in range(_RANDOM_INPUTS * self._breadth):
            base = {name: chance.choice(values) for name, values in self._params.items()}
            yield base
            yield from self._aimed(base)

    def _one_at_a_time(self) -> Iterator[dict[str, object]]:
        base = {name: values[0] for name, values in self._params.items()}
        yield base
        longest = max((len(values) for values in self._params.values()), default=0)
        for index in range(1, longest):
            for name, values in self._params.items():
                if index < len(values):
                    yield {**base, name: values[index]}

    def _aimed(self, base: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
        """Variants in which a compared place has, or just misses, the value it is compared with."""
        for target in self._targets:
            try:
                value = run(target.other, base, base, _BUDGET)
            except EvaluationError:
                continue
            for near in (value, *_neighbours(value)):
                changed = _replaced(base, target.path, near)
                if changed is not None and self._fits(changed, target.path[0]):
                    yield changed

    def _fits(self, names: Mapping[str, object], name: str) -> bool:
        param = self._method.params[name]
        return self.pools.fits(names[name], param.type, param.constraints)

    def satisfying(self, limit: int) -> tuple[list[Mapping[str, object]], int]:
        """Inputs that satisfy the preconditions, each once, and how many were tried."""
        found: dict[str, Mapping[str, object]] = {}
        tried = 0
        for names in self.inputs():
            tried += 1
            if all(holds(clause, names) for clause in self._method.requires):
                found.setdefault(repr(names), names)
                if len(found) >= limit:
                    break
        return list(found.values()), tried

    def regime(self, names: Mapping[str, object]) -> tuple[object, ...]:
        """On which side of every limit that the contract mentions an input lies."""
        sides: list[object] = [holds(one.clause, names) for one in self._method.raises]
        for target in self._targets:
            try:
                place = _at(names, target.path)
                other = run(target.other, names, names, _BUDGET)
                above = bool(place > other)  # type: ignore[operator]  # refused below when not ordered
                sides.append((above, place == other))
            except (EvaluationError, TypeError):
                sides.append(None)
        return tuple(sides)


def mine(lattice: Lattice, method: Method) -> Mined:
    """The constants that matter to a method: of its clauses, its examples and its entities."""
    mined = Mined()
    mined.add_clauses(method.requires)
    mined.add_clauses(one.clause for one in method.raises)
    mined.add_clauses(method.ensures)
    kinds = [param.type for param in method.params.values()]
    if method.returns.type is not None:
        kinds.append(method.returns.type)
    for name in reachable_entities(lattice, kinds):
        mined.add_clauses(lattice.entities[name].ensures)
    for example in method.examples:
        mined.add_values([example.args, example.returns])
    return mined


def reachable_entities(lattice: Lattice, kinds: Iterable[TypeRef]) -> tuple[str, ...]:
    """Entities that values of these types hold, directly or further in."""
    found: dict[str, None] = {}
    stack = list(kinds)
    while stack:
        kind = stack.pop()
        if isinstance(kind, OptionalType):
            stack.append(kind.inner)
        elif isinstance(kind, ListType):
            stack.append(kind.item)
        elif isinstance(kind, DictType):
            stack.append(kind.value)
        elif isinstance(kind, EntityType) and kind.name not in found:
            found[kind.name] = None
            stack.extend(field.type for field in lattice.entities[kind.name].fields.values())
    return tuple(found)


def places_compared(tree: ast.expr) -> list[_Target]:
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
                    found.append(_Target(path, other))
    return found


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
