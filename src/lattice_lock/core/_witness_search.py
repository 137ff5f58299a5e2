"""Searches inputs of a method that satisfy its constraints and preconditions."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from lattice_lock.core._aiming import aimed, places_compared, side
from lattice_lock.core._pools import Mined, Pools, holds
from lattice_lock.core.type_refs import DictType, EntityType, ListType, OptionalType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lattice_lock.core.schema import Lattice, Method
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["Search", "mine", "reachable_entities"]

_RANDOM_INPUTS = 60
_AIMED_FROM = 6
_SEED = 17


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
        for path, changed in aimed(base, self._targets):
            if self.fits(changed, path):
                yield changed

    def fits(self, names: Mapping[str, object], path: tuple[str, ...]) -> bool:
        """Whether the value at a place, which may be in `result`, satisfies what is declared."""
        name, *rest = path
        declared = self._method.returns if name == "result" else self._method.params[name]
        return declared.type is not None and self.pools.fits(
            names[name], declared.type, declared.constraints, tuple(rest)
        )

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
        return (*sides, *(side(target, names) for target in self._targets))


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
