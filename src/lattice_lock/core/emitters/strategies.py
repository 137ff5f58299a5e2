"""Hypothesis strategies from types and constraints, as Python text.

Where a lattice sets no limit, inputs stay in a range in which correct programs do not run out of
time or digits: whole numbers and decimals within a million of zero (or of the one limit given),
texts of up to 20 characters, collections of up to 8 entries, those within other values of up to 3
(1 of entities that contain themselves). Constants that appear in conditions are drawn more often
than chance would.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any

from lattice_lock.core.emitters.python_text import Imports, literal, quoted, snake_case
from lattice_lock.core.expressions import to_python
from lattice_lock.core.schema import Bound, Constraints
from lattice_lock.core.type_refs import (
    STR,
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
    from collections.abc import Callable, Iterable, Mapping

    from lattice_lock.core.schema import Clause, Entity, Lattice

__all__ = ["Strategies", "narrow"]

_REACH = 10**6
_PLACES = 4
_TEXT = 20
_ENTRIES = 8
_INNER_ENTRIES = 3
_RECURSIVE_ENTRIES = 1
_DAYS = 3650

_FLIPPED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.Eq}
_LIMIT_NAMES = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}


@dataclass(frozen=True, slots=True)
class Strategies:
    """Writes strategies for one contract file.

    Attributes:
        constants: numbers and texts that the file's conditions mention.
    """

    lattice: Lattice
    imports: Imports
    constants: tuple[object, ...]

    def entity_function(self, entity: Entity) -> str:
        """A function that returns the strategy of an entity."""
        self.imports.add([(f"shared.{self.lattice.generated_module}", entity.name)])
        limits = {name: field.constraints for name, field in entity.fields.items()}
        filters = []
        for clause in entity.ensures:
            limits, complete = narrow(clause, limits)
            if not complete:
                filters.append(clause)
        fields = {
            name: self.strategy(field.type, limits[name], entries=_INNER_ENTRIES)
            for name, field in entity.fields.items()
        }
        if entity.persistence == "table":
            for name, field in entity.fields.items():
                if field.type in (STR, OptionalType(STR)):
                    storable = 'lambda text: "\\0" not in (text or "")'
                    fields[name] = f"({fields[name]}).filter({storable})"
        name = entity.name
        head = f"def {_function(name)}() -> st.SearchStrategy[{name}]:\n"
        head += f'    """Valid values of `{name}`."""\n'
        if not filters:
            inner = "".join(f"        {key}={text},\n" for key, text in fields.items())
            return f"{head}    return st.builds(\n        {name},\n{inner}    )\n"
        inner = "".join(f'            "{key}": {text},\n' for key, text in fields.items())
        holds = " and ".join(f"({self._on_fields(clause, entity)})" for clause in filters)
        return (
            f"{head}    fields = st.fixed_dictionaries(\n        {{\n{inner}        }}\n    )\n"
            f"    valid = fields.filter(lambda given: {holds})\n"
            f"    return valid.map(lambda given: {name}(**given))\n"
        )

    def _on_fields(self, clause: Clause, entity: Entity) -> str:
        names = {name: f'given["{name}"]' for name in entity.fields}
        condition = to_python(clause.expression, names=names)
        self.imports.add_needs(condition.needs)
        return condition.text

    def strategy(self, type_ref: TypeRef, limits: Constraints, *, entries: int = _ENTRIES) -> str:
        """Python text of a strategy; `entries` is the reach of collections without a limit."""
        match type_ref:
            case OptionalType(inner):
                return f"st.none() | {self.strategy(inner, limits, entries=entries)}"
            case EnumType():
                self.imports.add([(f"shared.{self.lattice.generated_module}", type_ref.name)])
                return f"st.sampled_from({type_ref.name})"
            case EntityType(name):
                if _is_recursive(name, self.lattice):
                    return f"st.deferred({_function(name)})"
                return f"{_function(name)}()"
            case ListType(item):
                return self._list(item, limits, entries)
            case DictType(value):
                keys = f"st.text(max_size={_TEXT})"
                values = self._inner(value)
                return f"st.dictionaries({keys}, {values}, {self._entries(value, limits, entries)})"
            case ScalarType(name):
                return self._with_constants(self._scalar(name, limits), type_ref, limits)

    def _list(self, item: TypeRef, limits: Constraints, entries: int) -> str:
        unique = ", unique_by=repr" if limits.unique_items else ""
        return f"st.lists({self._inner(item)}, {self._entries(item, limits, entries)}{unique})"

    def _inner(self, type_ref: TypeRef) -> str:
        return self.strategy(type_ref, Constraints(), entries=_INNER_ENTRIES)

    def _entries(self, type_ref: TypeRef, limits: Constraints, entries: int) -> str:
        recursive = isinstance(type_ref, EntityType) and _is_recursive(type_ref.name, self.lattice)
        return _sizes(limits, _RECURSIVE_ENTRIES if recursive else entries)

    def _scalar(self, name: ScalarName, limits: Constraints) -> str:
        if name is ScalarName.DECIMAL:
            self.imports.add([("decimal", "Decimal")])
        match name:
            case ScalarName.DATE:
                return self._dates(limits)
            case ScalarName.DATETIME:
                return self._datetimes(limits)
            case ScalarName.TIMEDELTA:
                return self._timedeltas(limits)
            case _:
                return _PLAIN[name](limits)

    def _dates(self, limits: Constraints) -> str:
        self.imports.add([("datetime", "date")])
        low, high = _inclusive(limits, timedelta(days=1))
        return f"st.dates({self._range(low, high, ScalarName.DATE)})"

    def _datetimes(self, limits: Constraints) -> str:
        self.imports.add([("datetime", "UTC"), ("datetime", "datetime")])
        low, high = _inclusive(limits, timedelta(microseconds=1))
        naive = [
            one.astimezone(UTC).replace(tzinfo=None) if isinstance(one, datetime) else None
            for one in (low, high)
        ]
        between = self._range(naive[0], naive[1], ScalarName.DATETIME)
        return f"st.datetimes({between + ', ' if between else ''}timezones=st.just(UTC))"

    def _timedeltas(self, limits: Constraints) -> str:
        self.imports.add([("datetime", "timedelta")])
        low, high = _inclusive(limits, timedelta(microseconds=1))
        reach = timedelta(days=_DAYS)
        first = low if isinstance(low, timedelta) else None
        last = high if isinstance(high, timedelta) else None
        start = first if first is not None else (last or timedelta()) - reach
        end = last if last is not None else (first or timedelta()) + reach
        return f"st.timedeltas({self._range(start, end, ScalarName.TIMEDELTA)})"

    def _range(self, low: Bound | None, high: Bound | None, name: ScalarName) -> str:
        limits = (("min_value", low), ("max_value", high))
        given = ((key, limit) for key, limit in limits if limit is not None)
        return ", ".join(f"{key}={literal(one, ScalarType(name), {})}" for key, one in given)

    def _with_constants(self, base: str, type_ref: ScalarType, limits: Constraints) -> str:
        fitting = _fitting(self.constants, type_ref.name, limits)
        if not fitting:
            return base
        texts = ", ".join(literal(one, type_ref, {}) for one in fitting)
        return f"st.sampled_from([{texts}]) | {base}"


def _function(entity: str) -> str:
    return f"{snake_case(entity)}_values"


def _is_recursive(entity: str, lattice: Lattice) -> bool:
    pending, seen = [entity], set()
    while pending:
        for field in lattice.entities[pending.pop()].fields.values():
            inner = field.type
            while isinstance(inner, ListType | DictType | OptionalType):
                inner = _content(inner)
            if isinstance(inner, EntityType) and inner.name not in seen:
                seen.add(inner.name)
                pending.append(inner.name)
    return entity in seen


def _content(type_ref: ListType | DictType | OptionalType) -> TypeRef:
    match type_ref:
        case ListType(inner) | DictType(inner) | OptionalType(inner):
            return inner


# Ranges ------------------------------------------------------------------------------------------


def _sizes(limits: Constraints, reach: int) -> str:
    low = limits.min_length or 0
    high = limits.max_length if limits.max_length is not None else low + reach
    return f"min_size={low}, max_size={high}" if low else f"max_size={high}"


def _numbers(limits: Constraints, step: Decimal) -> tuple[Decimal, Decimal]:
    """Smallest and largest multiple of `step` within the limits."""
    low, high = (
        None if one is None else Decimal(str(one)) for one in _inclusive_numbers(limits, step)
    )
    if low is None and high is None:
        return Decimal(-_REACH), Decimal(_REACH)
    if low is None:
        low = min(Decimal(-_REACH), high - _REACH) if high is not None else Decimal(-_REACH)
    if high is None:
        high = max(Decimal(_REACH), low + _REACH)
    return low, high


def _inclusive_numbers(limits: Constraints, step: Decimal) -> tuple[Decimal | None, Decimal | None]:
    lows, highs = [], []
    if isinstance(limits.ge, Decimal):
        lows.append((limits.ge / step).to_integral_value(ROUND_CEILING) * step)
    if isinstance(limits.gt, Decimal):
        lows.append(((limits.gt / step).to_integral_value(ROUND_FLOOR) + 1) * step)
    if isinstance(limits.le, Decimal):
        highs.append((limits.le / step).to_integral_value(ROUND_FLOOR) * step)
    if isinstance(limits.lt, Decimal):
        highs.append(((limits.lt / step).to_integral_value(ROUND_CEILING) - 1) * step)
    if limits.precision is not None:
        digits = limits.precision - (limits.scale or 0)
        largest = Decimal(10) ** digits - step
        lows.append(-largest)
        highs.append(largest)
    return max(lows, default=None), min(highs, default=None)


def _inclusive(limits: Constraints, step: timedelta) -> tuple[Bound | None, Bound | None]:
    low, high = limits.ge, limits.le
    if isinstance(limits.gt, date | timedelta):
        low = limits.gt + step
    if isinstance(limits.lt, date | timedelta):
        high = limits.lt - step
    return low, high


def _integers(limits: Constraints) -> str:
    step = limits.multiple_of or Decimal(1)
    low, high = _numbers(limits, step)
    if step == 1:
        return f"st.integers(min_value={int(low)}, max_value={int(high)})"
    first, last = int(low / step), int(high / step)
    return f"st.integers(min_value={first}, max_value={last}).map(lambda n: n * {int(step)})"


def _decimals(limits: Constraints) -> str:
    if limits.precision is not None and limits.scale is None and limits.multiple_of is None:
        # The digits may stand on either side of the point.
        scales = (replace(limits, scale=scale) for scale in (0, limits.precision))
        ranges = [(one, *_numbers(one, Decimal(1).scaleb(-(one.scale or 0)))) for one in scales]
        possible = [one for one, low, high in ranges if low <= high]
        return " | ".join(map(_decimals, possible))
    exponents = (
        -int(limit.as_tuple().exponent)
        for limit in (limits.gt, limits.ge, limits.lt, limits.le)
        if isinstance(limit, Decimal)
    )
    places = limits.scale if limits.scale is not None else max(_PLACES, *exponents, 0)
    step = limits.multiple_of or Decimal(1).scaleb(-places)
    low, high = _numbers(limits, step)
    if limits.multiple_of is not None:
        first, last = int(low / step), int(high / step)
        number = f"st.integers(min_value={first}, max_value={last})"
        return f'{number}.map(lambda n: n * Decimal("{step}"))'
    return (
        f'st.decimals(min_value=Decimal("{low:f}"), max_value=Decimal("{high:f}"), places={places})'
    )


def _floats(limits: Constraints) -> str:
    low = limits.ge if limits.ge is not None else limits.gt
    high = limits.le if limits.le is not None else limits.lt
    first = float(low) if isinstance(low, Decimal) else None
    last = float(high) if isinstance(high, Decimal) else None
    start = first if first is not None else min(-_REACH, (last or 0.0) - _REACH)
    end = last if last is not None else max(_REACH, (first or 0.0) + _REACH)
    text = f"min_value={float(start)!r}, max_value={float(end)!r}"
    if limits.ge is None and limits.gt is not None:
        text += ", exclude_min=True"
    if limits.le is None and limits.lt is not None:
        text += ", exclude_max=True"
    return f"st.floats({text})"


def _texts(limits: Constraints) -> str:
    if limits.pattern is None:
        return f"st.text({_sizes(limits, _TEXT)})"
    text = f"st.from_regex({quoted(limits.pattern)}, fullmatch=True)"
    low, high = limits.min_length, limits.max_length
    if low is None and high is None:
        return text
    within = f"{low or 0} <= len(text)" + (f" <= {high}" if high is not None else "")
    return f"{text}.filter(lambda text: {within})"


def _binary(limits: Constraints) -> str:
    return f"st.binary({_sizes(limits, _TEXT)})"


def _json(_: Constraints) -> str:
    leaves = f"st.none() | st.booleans() | st.integers() | st.text(max_size={_TEXT})"
    children = (
        "lambda inner: st.lists(inner, max_size=3)"
        " | st.dictionaries(st.text(max_size=5), inner, max_size=3)"
    )
    return f"st.recursive({leaves}, {children}, max_leaves=5)"


_PLAIN: dict[ScalarName, Callable[[Constraints], str]] = {
    ScalarName.INT: _integers,
    ScalarName.DECIMAL: _decimals,
    ScalarName.FLOAT: _floats,
    ScalarName.BOOL: lambda _: "st.booleans()",
    ScalarName.STR: _texts,
    ScalarName.BYTES: _binary,
    ScalarName.UUID: lambda _: "st.uuids()",
    ScalarName.JSON: _json,
}


# Conditions as limits ----------------------------------------------------------------------------


def narrow(
    clause: Clause, limits: Mapping[str, Constraints]
) -> tuple[dict[str, Constraints], bool]:
    """Limits tightened by what a condition says of single names.

    Returns:
        The new limits by name, and whether they express the whole condition.
    """
    narrowed = dict(limits)
    complete = True
    for part in _conjuncts(clause.expression.tree):
        found = _comparison(part)
        if found is None or found[0] not in narrowed:
            complete = False
            continue
        name, limit_name, value = found
        narrowed[name] = _tightened(narrowed[name], limit_name, value)
    return narrowed, complete


def _conjuncts(tree: ast.expr) -> Iterable[ast.expr]:
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        for part in tree.values:
            yield from _conjuncts(part)
    elif isinstance(tree, ast.Compare) and len(tree.ops) > 1:
        operands = [tree.left, *tree.comparators]
        for left, operator, right in zip(operands, tree.ops, operands[1:], strict=False):
            yield ast.Compare(left=left, ops=[operator], comparators=[right])
    else:
        yield tree


def _comparison(tree: ast.expr) -> tuple[str, str, Decimal] | None:
    """Name, limit and number of a condition such as `quantity > 0`."""
    if not isinstance(tree, ast.Compare) or type(tree.ops[0]) not in _LIMIT_NAMES:
        return None
    left, operator, right = tree.left, type(tree.ops[0]), tree.comparators[0]
    if not isinstance(left, ast.Name):
        left, operator, right = right, _FLIPPED[operator], left
    number = _number(right)
    if not isinstance(left, ast.Name) or number is None:
        return None
    return left.id, _LIMIT_NAMES[operator], number


def _number(tree: ast.expr) -> Decimal | None:
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        inner = _number(tree.operand)
        return None if inner is None else -inner
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int | float | Decimal):
        return None if isinstance(tree.value, bool) else Decimal(str(tree.value))
    return None


def _tightened(limits: Constraints, name: str, value: Decimal) -> Constraints:
    old = getattr(limits, name)
    if isinstance(old, Decimal):
        value = max(old, value) if name in {"gt", "ge"} else min(old, value)
    change: dict[str, Any] = {name: value}
    return replace(limits, **change)


def _fitting(constants: Iterable[object], name: ScalarName, limits: Constraints) -> list[object]:
    """Constants of conditions, and their neighbours, that are valid values of a type."""
    if name is ScalarName.STR and limits.pattern is None:
        shortest, longest = limits.min_length or 0, limits.max_length
        texts = (one for one in constants if isinstance(one, str) and len(one) >= shortest)
        return [one for one in texts if longest is None or len(one) <= longest]
    if name not in {ScalarName.INT, ScalarName.DECIMAL}:
        return []
    step = Decimal(1)
    if name is ScalarName.DECIMAL:
        step = Decimal(1).scaleb(-(limits.scale if limits.scale is not None else _PLACES))
    low, high = _inclusive_numbers(limits, limits.multiple_of or step)
    fitting: dict[Decimal, None] = {}
    for one in constants:
        if isinstance(one, Decimal | int) and not isinstance(one, bool):
            for value in (Decimal(one) - step, Decimal(one), Decimal(one) + step):
                whole = value % (limits.multiple_of or step) == 0
                if whole and (low is None or low <= value) and (high is None or value <= high):
                    fitting[value] = None
    return list(fitting)
