"""A few telling values of every type: limits first, then what the clauses mention, then plain ones.

Everything here is deterministic: the same lattice yields the same values in the same order.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from lattice_lock.core._aiming import aimed, places_compared
from lattice_lock.core._constraint_checks import broken_constraint
from lattice_lock.core._pattern_samples import matching_texts
from lattice_lock.core.expressions import EvaluationError, constants, evaluate
from lattice_lock.core.schema import Constraints
from lattice_lock.core.type_refs import (
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
    TypeRef,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lattice_lock.core._aiming import Target
    from lattice_lock.core.schema import Clause, Entity, Field, Lattice

__all__ = ["SEEN_DEPTH", "Mined", "Pools", "holds"]

_T = TypeVar("_T")

_MOST_SCALARS = 24
_MOST_ENTITIES = 48
_MOST_LISTS = 40
_MOST_VARIATIONS = 1_000
_LONGEST_TEXT = 10_001
_LONGEST_LIST = 501
_DEEPEST = 2
SEEN_DEPTH = _DEEPEST + 1
"""How many steps (a field, an item) a clause may take into a value and still meet every kind."""

_RANDOM_ENTITIES = 48
_AIMED_EVERY = 6
_SEED = 20_240_229

_NO_CONSTRAINTS = Constraints()
_UUIDS = tuple(UUID(int=number << 64 | 4 << 76 | 2 << 62 | number) for number in (1, 2, 3))
_EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 -- datetime.UTC reads no better
_TEXTS = ("a", "", "b", "A", "0", "ab", " a ", "é", "a1")
_FLOATS = ("0.5", "-0.5", "0.1")
_INTS = (0, 1, 2, -1, 3, 10, 100, -100)


class Mined:
    """Constants of clauses and examples, by kind, in the order in which they were met."""

    def __init__(self) -> None:
        self._seen: dict[tuple[type, object], None] = {}

    def add_clauses(self, clauses: Iterable[Clause]) -> None:
        """Take the literals of clauses."""
        for clause in clauses:
            self.add_values(constants(clause.expression))

    def add_values(self, values: Iterable[object]) -> None:
        """Take values, whatever they are nested in."""
        for value in values:
            if isinstance(value, Mapping):
                self.add_values(value.values())
            elif isinstance(value, list | tuple):
                self.add_values(value)
            elif value is not None:
                self._seen.setdefault((type(value), value))

    def of(self, *kinds: type[_T]) -> list[_T]:
        """The constants of exactly these types."""
        return [value for kind, value in self._seen if kind in kinds]  # type: ignore[misc]  # by kind

    @property
    def numbers(self) -> list[Decimal]:
        """Every number, exactly."""
        found = (Decimal(str(value)) for value in self.of(int, float, Decimal))
        return list(dict.fromkeys(found))

    @property
    def counts(self) -> list[int]:
        """Lengths at and around every whole number mentioned."""
        found = (
            count
            for number in self.numbers
            if number == number.to_integral_value()
            for count in (int(number), int(number) + 1, int(number) - 1)
        )
        return [count for count in dict.fromkeys(found) if 0 <= count <= _LONGEST_TEXT]


class Pools:
    """Values per type for one lattice and one set of mined constants.

    Attributes:
        has_gaps: whether some type yielded too few values for what holds for all of them to mean
            anything.
        is_cut: whether values further in than `SEEN_DEPTH` levels were left out.
    """

    def __init__(self, lattice: Lattice, mined: Mined, *, breadth: int = 1) -> None:
        """Prepare.

        Args:
            lattice: where entities are declared.
            mined: constants that matter.
            breadth: factor on how many values of a type there may be.
        """
        self._lattice = lattice
        self._mined = mined
        self._breadth = breadth
        self.has_gaps = False
        self.is_cut = False
        self._entities: dict[tuple[str, int], list[Mapping[str, object]]] = {}

    def values(
        self, kind: TypeRef, constraints: Constraints = _NO_CONSTRAINTS, depth: int = 0
    ) -> list[object]:
        """Values that satisfy the constraints; empty when none was found."""
        if isinstance(kind, OptionalType):
            if depth > _DEEPEST and isinstance(kind.inner, EntityType):
                self.is_cut = True
                return [None]
            inner = self.values(kind.inner, constraints, depth)
            return [*inner[:1], None, *inner[1:]]
        if isinstance(kind, EntityType):
            return list(self.entities(kind.name, depth))
        if isinstance(kind, EnumType):
            return list(kind.values)
        if isinstance(kind, ListType):
            return self._lists(kind, constraints, depth)
        if isinstance(kind, DictType):
            return self._dicts(kind, constraints, depth)
        return self._scalars(kind, constraints)

    def _scalars(self, kind: ScalarType, constraints: Constraints) -> list[object]:
        found: list[object] = []
        seen: set[object] = set()
        for value in _SCALARS[kind.name](self._mined, constraints):
            key = repr(value) if kind.name is ScalarName.JSON else value
            if key not in seen and broken_constraint(value, constraints) is None:
                seen.add(key)
                found.append(value)
                if len(found) == _MOST_SCALARS * self._breadth:
                    break
        few = not found or (constraints.pattern is not None and len(found) == 1)
        self.has_gaps = self.has_gaps or few
        return found

    def _lists(self, kind: ListType, constraints: Constraints, depth: int) -> list[object]:
        shortest = constraints.min_length or 0
        if depth > _DEEPEST and shortest == 0:
            self.is_cut = True
            return [[]]
        items = self.values(kind.item, depth=depth + 1)
        if not items:
            return [[]] if shortest == 0 else []
        candidates: list[list[object]] = [[], items[:2], items[:1], items[1::-1], [items[0]] * 2]
        candidates += [[item] for item in items[1:]]
        candidates += [items[:3], items[2::-1]]
        limits = (constraints.min_length, constraints.max_length)
        around = [limit + step for limit in limits if limit is not None for step in (0, 1, -1)]
        for count in [*around, *self._mined.counts]:
            if 0 <= count <= _LONGEST_LIST:
                candidates.append([items[index % len(items)] for index in range(count)])
                candidates.append([items[0]] * count)
        return self._fitting(candidates, constraints)

    def _dicts(self, kind: DictType, constraints: Constraints, depth: int) -> list[object]:
        shortest = constraints.min_length or 0
        if depth > _DEEPEST and shortest == 0:
            self.is_cut = True
            return [{}]
        items = self.values(kind.value, depth=depth + 1)
        keys = [*dict.fromkeys([*self._mined.of(str), *_TEXTS])]
        if not items:
            return [{}] if shortest == 0 else []
        candidates: list[dict[str, object]] = [
            {key: items[index % len(items)] for index, key in enumerate(keys)},
            {},
            {keys[0]: items[0]},
        ]
        candidates += [dict.fromkeys(keys, item) for item in items[1:]]
        limits = (constraints.min_length, constraints.max_length)
        for limit in limits:
            for count in range(max((limit or 0) - 1, 0), min((limit or 0) + 2, _LONGEST_LIST)):
                names = [*keys, *(f"k{index}" for index in range(count))][:count]
                candidates.append(dict.fromkeys(names, items[0]))
        return self._fitting(candidates, constraints)

    def _fitting(self, candidates: Iterable[object], constraints: Constraints) -> list[object]:
        fitting = (one for one in candidates if broken_constraint(one, constraints) is None)
        found = list(itertools.islice(fitting, _MOST_LISTS * self._breadth))
        self.has_gaps = self.has_gaps or not found
        return found

    def entities(self, name: str, depth: int = 0) -> list[Mapping[str, object]]:
        """Values of an entity that satisfy its invariants."""
        key = (name, min(depth, _DEEPEST + 1))
        if key not in self._entities:
            entity = self._lattice.entities[name]
            found: list[Mapping[str, object]] = []
            for candidate in self.candidates(entity, depth):
                if all(holds(clause, candidate) for clause in entity.ensures):
                    found.append(candidate)
                    if len(found) == _MOST_ENTITIES * self._breadth:
                        break
            self.has_gaps = self.has_gaps or self._is_narrow(entity, found, depth)
            self._entities[key] = found
        return self._entities[key]

    def _is_narrow(self, entity: Entity, found: Sequence[Mapping[str, object]], depth: int) -> bool:
        """Whether the invariants left a field with one value although it has several."""
        if not found:
            return True
        return any(
            all(one[field.name] == found[0][field.name] for one in found)
            and len(self.field_values(field, depth + 1)) > 1
            for field in entity.fields.values()
        )

    def candidates(self, entity: Entity, depth: int = 0) -> Iterator[dict[str, object]]:
        """Values whose fields fit their types and constraints, invariants not yet considered."""
        fields = {
            field.name: self.field_values(field, depth + 1) for field in entity.fields.values()
        }
        if not all(fields.values()):
            return
        base = {name: values[0] for name, values in fields.items()}
        targets = [
            target
            for clause in entity.ensures
            for target in places_compared(clause.expression.tree)
        ]
        yield base
        yield from self._aimed(entity, base, targets)
        longest = max((len(values) for values in fields.values()), default=0)
        left = _MOST_VARIATIONS * self._breadth
        for index, (name, values) in itertools.product(range(1, longest), fields.items()):
            if index < len(values):
                yield {**base, name: values[index]}
                left -= 1
                if left == 0:
                    self.has_gaps = True
                    break
        chance = random.Random(_SEED)  # noqa: S311 -- reproducible sampling, no secret
        for index in range(_RANDOM_ENTITIES * self._breadth):
            base = {name: chance.choice(values) for name, values in fields.items()}
            yield base
            if index % _AIMED_EVERY == 0:
                yield from self._aimed(entity, base, targets)

    def _aimed(
        self, entity: Entity, base: Mapping[str, object], targets: Sequence[Target]
    ) -> Iterator[dict[str, object]]:
        for path, changed in aimed(base, targets):
            field = entity.fields[path[0]]
            if self.fits(changed[path[0]], field.type, field.constraints, path[1:]):
                yield dict(changed)

    def field_values(self, field: Field, depth: int) -> list[object]:
        """Values of one field, its default first."""
        values = self.values(field.type, field.constraints, depth)
        if field.default is None or field.default.value in values[:1]:
            return values
        return [field.default.value, *(one for one in values if one != field.default.value)]

    def fits(
        self, value: object, kind: TypeRef, constraints: Constraints, path: tuple[str, ...] = ()
    ) -> bool:
        """Whether a value of the right shape satisfies constraints and invariants.

        Args:
            value: what to check.
            kind: its declared type.
            constraints: its declared constraints.
            path: the one place within an entity that is in doubt; empty for all of it.
        """
        if isinstance(kind, OptionalType):
            return value is None or self.fits(value, kind.inner, constraints, path)
        if isinstance(kind, EnumType):
            return value in kind.values
        if isinstance(kind, EntityType) and isinstance(value, Mapping):
            entity = self._lattice.entities[kind.name]
            fields = [entity.fields[path[0]]] if path else entity.fields.values()
            return all(
                self.fits(value[field.name], field.type, field.constraints, path[1:])
                for field in fields
            ) and all(holds(clause, value) for clause in entity.ensures)
        return broken_constraint(value, constraints) is None


def holds(
    clause: Clause,
    names: Mapping[str, object],
    old: Mapping[str, object] | None = None,
) -> bool | None:
    """Whether a clause is true; None where it has no value."""
    try:
        return bool(evaluate(clause.expression, names, old=old, budget=20_000))
    except EvaluationError:
        return None


def _numbers(mined: Mined, constraints: Constraints, step: Decimal) -> Iterator[Decimal]:
    bounds = (constraints.ge, constraints.gt, constraints.le, constraints.lt)
    limits = [bound for bound in bounds if isinstance(bound, Decimal)]
    unit = constraints.multiple_of or step
    for limit in limits:
        yield from (limit, limit + unit, limit - unit)
    if constraints.multiple_of is not None:
        for limit in [*limits, *mined.numbers]:
            # Exact: `//` of decimals fails when the quotient has more than 28 digits.
            base = math.floor(Fraction(limit) / Fraction(unit)) * unit
            yield from (base, base + unit, base - unit)
        yield from (unit * factor for factor in (0, 1, 2, -1, 10))
    for number in mined.numbers:
        yield from (number, number + step, number - step, number + 1, number - 1, -number)
    yield from (Decimal(number) for number in _INTS)
    if len(limits) > 1:
        yield (limits[0] + limits[-1]) / 2


def _ints(mined: Mined, constraints: Constraints) -> Iterator[object]:
    for number in _numbers(mined, constraints, Decimal(1)):
        if number == number.to_integral_value():
            yield int(number)


def _decimals(mined: Mined, constraints: Constraints) -> Iterator[object]:
    step = (
        Decimal(1).scaleb(-constraints.scale) if constraints.scale is not None else Decimal("0.01")
    )
    yield from _numbers(mined, constraints, step)
    yield from (Decimal(text) for text in _FLOATS)


def _floats(mined: Mined, constraints: Constraints) -> Iterator[object]:
    found = (float(number) for number in _numbers(mined, constraints, Decimal("0.01")))
    yield from filter(math.isfinite, found)
    yield from (float(text) for text in _FLOATS)


def _texts(mined: Mined, constraints: Constraints) -> Iterator[object]:
    if constraints.pattern is not None:
        yield from matching_texts(constraints.pattern)
    for limit in (constraints.min_length, constraints.max_length):
        if limit is not None and limit <= _LONGEST_TEXT:
            yield "a" * limit
    for text in mined.of(str):
        yield from (text, f"{text}a", f"a{text}", text[:-1])
    yield from _TEXTS
    yield from ("a" * count for count in mined.counts)
    for text in mined.of(str):
        yield from (text * 3, f"a{text}b", text.upper(), text.lower())
    shortest = constraints.min_length or 0
    yield from ((text or " ") * shortest for text in _TEXTS)


def _bytes(mined: Mined, constraints: Constraints) -> Iterator[object]:
    yield from mined.of(bytes)
    yield from (str(text).encode() for text in _texts(mined, constraints))


def _moments(
    mined: Iterable[_T], constraints: Constraints, steps: tuple[timedelta, ...], start: _T
) -> Iterator[object]:
    bounds = (constraints.ge, constraints.gt, constraints.le, constraints.lt)
    for moment in (*(bound for bound in bounds if bound is not None), *mined, start):
        yield moment
        for step in steps:
            for signed in (step, -step):
                try:
                    yield moment + signed  # type: ignore[operator]  # a date, datetime or timedelta
                except OverflowError:
                    continue


def _dates(mined: Mined, constraints: Constraints) -> Iterator[object]:
    steps = (timedelta(days=1), timedelta(days=400))
    return _moments(mined.of(date), constraints, steps, _EPOCH.date())


def _datetimes(mined: Mined, constraints: Constraints) -> Iterator[object]:
    steps = (timedelta(seconds=1), timedelta(days=400))
    return _moments(mined.of(datetime), constraints, steps, _EPOCH)


def _timedeltas(mined: Mined, constraints: Constraints) -> Iterator[object]:
    steps = (timedelta(seconds=1), timedelta(days=400))
    return _moments(mined.of(timedelta), constraints, steps, timedelta())


_SCALARS: dict[ScalarName, Callable[[Mined, Constraints], Iterable[object]]] = {
    ScalarName.STR: _texts,
    ScalarName.INT: _ints,
    ScalarName.DECIMAL: _decimals,
    ScalarName.FLOAT: _floats,
    ScalarName.BOOL: lambda _mined, _constraints: (True, False),
    ScalarName.UUID: lambda mined, _constraints: (*_UUIDS, *mined.of(UUID)),
    ScalarName.DATE: _dates,
    ScalarName.DATETIME: _datetimes,
    ScalarName.TIMEDELTA: _timedeltas,
    ScalarName.BYTES: _bytes,
    ScalarName.JSON: lambda _mined, _constraints: ({}, None, "a", 0, [], {"a": [1]}, True),
}
