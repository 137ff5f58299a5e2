"""Conditions of a database as constraints of fields and clauses of entities."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from lattice_lock.core._literals import parse_decimal
from lattice_lock.core.emitters._field_checks import field_checks
from lattice_lock.core.importers._described import element_type
from lattice_lock.core.importers._ecma_pattern import whole_pattern
from lattice_lock.core.importers._sql_syntax import (
    Call,
    Column,
    Constant,
    Nested,
    Operation,
    SqlSyntaxError,
    parse_condition,
)
from lattice_lock.core.importers.draft import DraftClause, enum_of, literal, nullable
from lattice_lock.core.schema import Constraints, Field
from lattice_lock.core.type_refs import (
    JSON,
    STR,
    DictType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
    TypeRef,
)
from lattice_lock.exceptions import Problem, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.importers.draft import DraftEntity, Element

__all__ = ["CheckReader", "duration_text"]

_BOUNDS: Final[Mapping[str, str]] = {">": "gt", ">=": "ge", "<": "lt", "<=": "le"}
_MIRRORED: Final[Mapping[str, str]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPPOSITE: Final[Mapping[str, str]] = {
    "==": "!=",
    "!=": "==",
    "<": ">=",
    ">=": "<",
    ">": "<=",
    "<=": ">",
}
_LENGTHS = frozenset(
    {"length", "char_length", "character_length", "octet_length", "json_array_length", "len"}
)
_METHODS: Final[Mapping[str, str]] = {
    "lower": "lower",
    "upper": "upper",
    "trim": "strip",
    "btrim": "strip",
}
_LARGEST = Decimal(2**63 - 1)
_LARGEST_FLOAT = Decimal("1.7e308")
_DIVISION_DIGITS = 28
_ORDERED = frozenset(
    {
        ScalarName.INT,
        ScalarName.DECIMAL,
        ScalarName.FLOAT,
        ScalarName.DATE,
        ScalarName.DATETIME,
        ScalarName.TIMEDELTA,
    }
)
_NUMBERS = frozenset({ScalarName.INT, ScalarName.DECIMAL, ScalarName.FLOAT})
_OWN_NAME = re.compile(r"ck_(?P<rest>.+)_[0-9a-f]{8}")
_OWN_KINDS: tuple[TypeRef, ...] = (
    *(ScalarType(one) for one in ScalarName),
    ListType(JSON),
    DictType(JSON),
)
_NOWHERE = SourceLocation(file="", line=1, column=1)


class CheckReader:
    """Reads the conditions of one table into its entity.

    Args:
        entity: receives constraints and clauses.
        columns: the field of each column.
        table: name of the table.
    """

    def __init__(self, entity: DraftEntity, columns: Mapping[str, str], table: str) -> None:
        self._entity = entity
        self._columns = {name.lower(): field for name, field in columns.items()}
        self._table = table

    def learn_types(self, texts: list[str]) -> None:
        """Take the types of fields from conditions that Lattice Lock wrote, which say them.

        SQLite knows fewer types than a lattice.
        """
        trees = [tree for text in texts if (tree := _parsed(text)) is not None]
        for name, field in self._columns.items():
            element = self._entity.fields[field]
            for kind in _OWN_KINDS:
                own = _own_checks(name, kind)
                if any(tree in own for tree in trees) and _is_told(element.kind, kind):
                    null = isinstance(element.kind, OptionalType)
                    element.kind = nullable(kind) if null else kind
                    element.constraints.pop("max_length", None)

    def read(self, text: str, name: str | None) -> str | None:
        """Carry a condition over; why it cannot be, None where it was."""
        try:
            tree = parse_condition(text)
        except SqlSyntaxError as error:
            return f"{error}"
        label = self._label(name)
        parts = _conjuncts(tree)
        kept = [part for part in parts if not self._is_storage(part, parts)]
        if label is not None:
            return self._clause(kept, label)
        if self._is_precision(kept):
            return None
        rest = [part for part in kept if not self._constrain(part)]
        return self._clause(rest, None) if rest else None

    def _label(self, name: str | None) -> str | None:
        """The name that an author gave to a clause of a lattice."""
        found = _OWN_NAME.fullmatch(name or "")
        if found is None or not found["rest"].startswith(f"{self._table}_"):
            return None
        label = found["rest"].removeprefix(f"{self._table}_")
        return None if label == "invariant" or label in self._columns else label

    def _field(self, node: Nested) -> tuple[str, Element] | None:
        if isinstance(node, Column):
            field = self._columns.get(node.name.lower())
            if field is not None:
                return field, self._entity.fields[field]
        return None

    # What needs no saying -----------------------------------------------------------------------

    def _is_storage(self, part: Nested, parts: list[Nested]) -> bool:
        """Whether a condition says only what a type says already."""
        match part:
            case Operation("or", (Operation("is null", (Column() as one,)), rest)) if (
                self._is_storage(rest, parts)
            ):
                return True
            case Operation("and", inside):
                return all(self._is_storage(one, parts) for one in inside)
            case Operation("==", (Operation("-", (left, right)), Constant(zero))):
                return left == right and isinstance(left, Column) and zero == 0
            case Operation((">=" | "<=" | ">" | "<") as sign, (Column() as one, Constant(limit))):
                return self._is_whole_range(one, sign, limit, parts)
        found = _columns_in(part)
        if len(found) != 1:
            return False
        name = next(iter(found))
        field = self._columns.get(name.lower())
        if field is None:
            return False
        kind = element_type(self._entity.fields[field].kind)
        return part in _own_checks(name, kind) or any(
            part in _parts(own) for own in _own_checks(name, kind)
        )

    def _is_whole_range(
        self, column: Column, sign: str, limit: object, parts: list[Nested]
    ) -> bool:
        found = self._field(column)
        kind = None if found is None else element_type(found[1].kind)
        if not isinstance(kind, ScalarType):
            return False
        if kind.name in (ScalarName.DATE, ScalarName.DATETIME):
            return str(limit).startswith(("0001-01-01", "9999-12-31"))
        number = _as_number(limit)
        if number is None:
            return False
        if kind.name in (ScalarName.INT, ScalarName.TIMEDELTA):
            return abs(number) == _LARGEST and sign in (">=", "<=")
        if kind.name is ScalarName.FLOAT:
            return abs(number) > _LARGEST_FLOAT
        steps = (self._step(part) for part in parts)
        return any(
            step is not None and abs(number) == step.scaleb(_DIVISION_DIGITS) for step in steps
        )

    def _step(self, part: Nested) -> Decimal | None:
        """The number of which a condition wants a multiple."""
        match part:
            case Operation("==", (Operation("%", (Column(), Constant(step))), Constant(zero))) if (
                _as_number(zero) == 0
            ):
                return _as_number(step)
            case Call("is_multiple", (Column(), Constant(step))):
                return _as_number(step)
            case Operation("==", (Call("mod", (Column(), Constant(step))), Constant(zero))) if (
                _as_number(zero) == 0
            ):
                return _as_number(step)
        return None

    # Constraints --------------------------------------------------------------------------------

    def _is_precision(self, parts: list[Nested]) -> bool:
        """Take two bounds at powers of ten, beside a `scale`, for the digits that they leave."""
        match parts:
            case [
                Operation(">", (Column(one), Constant(low))),
                Operation("<", (Column(other), Constant(high))),
            ] if one == other:
                found = self._field(Column(one))
                bottom, top = _as_number(low), _as_number(high)
                if found is None or bottom is None or top is None or bottom != -top:
                    return False
                limits = found[1].constraints
                scale = limits.get("scale")
                if not isinstance(scale, int) or top != Decimal(1).scaleb(top.adjusted()):
                    return False
                limits["precision"] = top.adjusted() + scale
                return True
        return False

    def _constrain(self, part: Nested) -> bool:  # noqa: C901  # a table: one case for each form
        """Turn a condition on one column into a constraint, where there is one for it."""
        if self._own_limit(part):
            return True
        match part:
            case Operation("or", (Operation("is null", (Column() as one,)), rest)):
                return _columns_in(rest) == {one.name} and self._constrain(rest)
            case Operation("and", inside):
                before = {name: dict(two.constraints) for name, two in self._entity.fields.items()}
                if all(self._constrain(one) for one in inside):
                    return True
                for name, limits in before.items():
                    self._entity.fields[name].constraints = limits
                return False
            case Operation("is not null", (one,)) if (found := self._field(one)) is not None:
                found[1].kind = element_type(found[1].kind)
                return True
            case Operation("in", (one, *values)) if (found := self._field(one)) is not None:
                return self._choices(found[1], values)
            case Operation("~", (one, Constant(str() as pattern))) if (
                found := self._field(one)
            ) is not None and element_type(found[1].kind) == STR:
                return _set(found[1], "pattern", whole_pattern(pattern, ascii_classes=False))
            case Operation(sign, (left, right)) if sign in _BOUNDS:
                return self._bound(sign, left, right)
            case Operation(
                "==", (Column() as one, Call("round" | "trunc", (two, Constant(places))))
            ):
                found = self._field(one)
                number = _as_number(places)
                return (
                    one == two
                    and found is not None
                    and number is not None
                    and _set(found[1], "scale", int(number))
                )
        step = self._step(part)
        if step is not None:
            found = self._field(Column(next(iter(_columns_in(part)))))
            return found is not None and _set(found[1], "multiple_of", _plain(step))
        return False

    def _own_limit(self, part: Nested) -> bool:
        """Digits as Lattice Lock counts them, where a database has no function for it."""
        columns = _columns_in(part)
        match part:
            case Operation("<=", (Call("length"), Constant(Decimal() as limit))) if (
                len(columns) == 1
            ):
                column = next(iter(columns))
                found = self._field(Column(column))
                if found is None or element_type(found[1].kind) != ScalarType(ScalarName.DECIMAL):
                    return False
                for key in ("scale", "precision"):
                    own = _own_checks(column, element_type(found[1].kind), **{key: int(limit)})
                    if part in own:
                        return _set(found[1], key, int(limit))
        return False

    def _choices(self, element: Element, values: list[Nested]) -> bool:
        kind = element_type(element.kind)
        texts = [one.value for one in values if isinstance(one, Constant)]
        if len(texts) < len(values) or not all(isinstance(one, str) and one for one in texts):
            return False
        if isinstance(kind, EnumType):
            return set(texts) == set(kind.values)
        if kind != STR:
            return False
        enum = enum_of([str(one) for one in dict.fromkeys(texts)])
        element.kind = nullable(enum) if isinstance(element.kind, OptionalType) else enum
        for key in ("min_length", "max_length", "pattern"):
            element.constraints.pop(key, None)
        return True

    def _bound(self, sign: str, left: Nested, right: Nested) -> bool:
        if isinstance(left, Constant):
            sign, left, right = _MIRRORED[sign], right, left
        if not isinstance(right, Constant):
            return False
        match left:
            case Call(name, (Column() as one,)) if name in _LENGTHS:
                found = self._field(one)
                return found is not None and _length(found[1], sign, right.value)
            case Call("decimal_cmp", (Column() as one, Constant() as bound)) if (
                _as_number(right.value) == 0
            ):
                return self._bound(sign, one, bound)
        found = self._field(left)
        if found is None:
            return False
        element = found[1]
        kind = element_type(element.kind)
        if not isinstance(kind, ScalarType) or kind.name not in _ORDERED:
            return False
        limit = limit_value(right.value, kind.name)
        return limit is not None and _set(element, _BOUNDS[sign], limit)

    # Clauses ------------------------------------------------------------------------------------

    def _clause(self, parts: list[Nested], name: str | None) -> str | None:
        texts = []
        for part in parts:
            try:
                texts.append(self._text(part))
            except SqlSyntaxError as error:
                return str(error)
        place = self._entity.place
        if name is not None and texts:
            self._entity.ensures.append(
                DraftClause(text=" and ".join(texts), place=place, name=name)
            )
        else:
            self._entity.ensures += [DraftClause(text=text, place=place) for text in texts]
        return None

    def _text(self, node: Nested, *, inner: bool = False) -> str:
        """A condition; where a column may be null, null satisfies it, as it does in SQL.

        That holds for each comparison by itself as long as nothing negates it.
        """
        match node:
            case Operation(("and" | "or") as sign, parts):
                text = f" {sign} ".join(self._text(part, inner=True) for part in parts)
                return f"({text})" if inner else text
            case Operation("not", (Operation(sign, operands),)) if sign in _OPPOSITE:
                return self._text(Operation(_OPPOSITE[sign], operands), inner=inner)
            case Operation("not", (Operation("in", operands),)):
                return self._guarded(Operation("not in", operands), inner=inner)
            case Operation(("is null" | "is not null") as sign, (one,)):
                field = self._name(one)
                return f"{field} is None" if sign == "is null" else f"{field} is not None"
            case _:
                return self._guarded(node, inner=inner)

    def _guarded(self, node: Nested, *, inner: bool) -> str:
        text = self._comparison(node)
        fields = [self._name(Column(name)) for name in sorted(_columns_in(node))]
        empty = [
            f"{one} is None"
            for one in fields
            if isinstance(self._entity.fields[one].kind, OptionalType)
        ]
        whole = " or ".join([*empty, text])
        return f"({whole})" if inner and empty else whole

    def _comparison(self, node: Nested) -> str:
        match node:
            case Operation(sign, (left, right)) if sign in _OPPOSITE:
                match left:
                    case Call("decimal_cmp", (one, other)):
                        left, right = _numeric(one), _numeric(other)
                near = next((one for one in (left, right) if isinstance(one, Column)), None)
                return f"{self._operand(left, near)} {sign} {self._operand(right, near)}"
            case Operation(("in" | "not in") as sign, (one, *values)):
                near = one if isinstance(one, Column) else None
                shown = ", ".join(self._operand(value, near) for value in values)
                return f"{self._operand(one, None)} {sign} [{shown}]"
            case Operation("like", (one, Constant(str() as pattern))):
                return self._like(self._operand(one, None), pattern)
            case Column():
                field = self._field(node)
                if field is not None and element_type(field[1].kind) == ScalarType(ScalarName.BOOL):
                    return field[0]
            case Operation("not", (Column() as one,)):
                return f"not {self._comparison(one)}"
        raise SqlSyntaxError("it is no simple comparison")

    @staticmethod
    def _like(text: str, pattern: str) -> str:
        body = pattern.strip("%")
        if "_" in body or "%" in body or "\\" in body:
            raise SqlSyntaxError("`LIKE` of such a pattern is not read")
        match pattern.startswith("%"), pattern.endswith("%"):
            case True, True:
                return f"{body!r} in {text}"
            case True, False:
                return f"{text}.endswith({body!r})"
            case False, True:
                return f"{text}.startswith({body!r})"
        return f"{text} == {body!r}"

    def _name(self, node: Nested) -> str:
        found = self._field(node)
        if found is None:
            raise SqlSyntaxError("it speaks of more than columns of the table")
        return found[0]

    def _operand(self, node: Nested, near: Column | None) -> str:
        """A value of a comparison; `near` is the column that it is compared with."""
        match node:
            case Column():
                return self._name(node)
            case Constant(value):
                return self._literal(value, near)
            case Call(name, (one,)) if name in _LENGTHS:
                return f"len({self._operand(one, None)})"
            case Call(name, (one,)) if name in _METHODS:
                return f"{self._operand(one, None)}.{_METHODS[name]}()"
            case Call("abs", (one,)):
                return f"abs({self._operand(one, None)})"
            case Call("decimal_add" | "decimal_sub" | "decimal_mul", (left, right)):
                sign = {"add": "+", "sub": "-", "mul": "*"}[node.name[-3:]]
                return self._operand(Operation(sign, (_numeric(left), _numeric(right))), near)
            case Operation(("+" | "-" | "*" | "/" | "%") as sign, (left, right)):
                if sign == "/" and not self._is_exact(left):
                    raise SqlSyntaxError("`/` of whole numbers is another one in SQL")
                parts = []
                for place, one in enumerate((left, right)):
                    text = self._operand(one, None)
                    looser = isinstance(one, Operation) and (
                        sign in ("*", "/", "%") or (sign == "-" and place == 1)
                    )
                    parts.append(f"({text})" if looser else text)
                return f" {sign} ".join(parts)
        raise SqlSyntaxError("it is no simple comparison")

    def _is_exact(self, node: Nested) -> bool:
        found = self._field(node)
        return found is not None and element_type(found[1].kind) == ScalarType(ScalarName.DECIMAL)

    def _literal(self, value: object, near: Column | None) -> str:
        found = None if near is None else self._field(near)
        kind = None if found is None else element_type(found[1].kind)
        if isinstance(kind, ScalarType) and kind.name in _ORDERED and not isinstance(value, bool):
            limit = limit_value(value, kind.name)
            return literal(limit if limit is not None else value)
        return literal(_plain(value) if isinstance(value, Decimal) else value)


def _parsed(text: str) -> Nested | None:
    try:
        return parse_condition(text)
    except SqlSyntaxError:
        return None


def _is_told(known: TypeRef, told: TypeRef) -> bool:
    """Whether a condition tells a type that the database does not know by itself."""
    kind = element_type(known)
    if told == ScalarType(ScalarName.JSON):
        return kind == STR
    if isinstance(told, ListType | DictType):
        return kind in (STR, JSON)
    texts = (ScalarName.DECIMAL, ScalarName.UUID, ScalarName.STR)
    return kind == STR and isinstance(told, ScalarType) and told.name in texts


def _own_checks(column: str, kind: TypeRef, **limits: int) -> list[Nested]:
    """The trees of what Lattice Lock has a database check of a column."""
    problems: list[Problem] = []
    found: list[Nested] = []
    for one in (kind, nullable(kind)):
        field = Field(
            name=column,
            type=one,
            location=_NOWHERE,
            constraints=Constraints(**limits),  # type: ignore[arg-type]  # counts of digits
        )
        for check in field_checks(field, problems):
            for text in (check.postgresql, check.sqlite):
                tree = _parsed(text) if text else None
                if tree is not None:
                    found.append(tree)
    return found


def _conjuncts(node: Nested) -> list[Nested]:
    """Conditions that hold together, each by itself."""
    if isinstance(node, Operation) and node.sign == "and":
        return [one for part in node.operands for one in _conjuncts(part)]
    return [node]


def _parts(node: Nested) -> tuple[Nested, ...]:
    return node.operands if isinstance(node, Operation) and node.sign == "and" else ()


def _columns_in(node: Nested) -> set[str]:
    found: set[str] = set()
    todo = [node]
    while todo:
        one = todo.pop()
        if isinstance(one, Column):
            found.add(one.name)
        elif isinstance(one, Operation):
            todo += one.operands
        elif isinstance(one, Call):
            todo += one.arguments
    return found


def _as_number(value: object) -> Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, Decimal | int):
        return Decimal(value)
    try:
        return parse_decimal(str(value))
    except ValueError:
        return None


def _numeric(node: Nested) -> Nested:
    """A number that SQLite is given as text, as the number."""
    number = _as_number(node.value) if isinstance(node, Constant) else None
    return node if number is None else Constant(number)


def _plain(number: Decimal) -> int | Decimal:
    return int(number) if number == number.to_integral_value() else number


def limit_value(value: object, kind: ScalarName) -> object:
    """A literal of SQL as a value of a type; None where it is none."""
    if kind in _NUMBERS:
        number = _as_number(value)
        return None if number is None else _plain(number)
    if kind is ScalarName.TIMEDELTA:
        number = _as_number(value)
        return None if number is None else duration_text(timedelta(microseconds=int(number)))
    if not isinstance(value, str):
        return None
    if kind is ScalarName.DATETIME:
        return _moment(value)
    return value if re.fullmatch(r"\d{4}-\d\d-\d\d", value) else None


def _moment(text: str) -> str | None:
    """A timestamp as databases write it, in ISO 8601; without an offset it is UTC."""
    found = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d(?::?\d\d)?)?", text
    )
    if found is None:
        return None
    day, time, fraction, offset = found.groups()
    digits = (fraction or "").rstrip("0")
    offset = "Z" if offset in (None, "Z", "+00", "+00:00", "-00") else offset
    offset = f"{offset}:00" if re.fullmatch(r"[+-]\d\d", offset) else offset
    return f"{day}T{time or '00:00:00'}{'.' + digits if digits else ''}{offset}"


def duration_text(value: timedelta) -> str:
    """A duration in ISO 8601, as `PT1H30M`."""
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    exact = f"{seconds}.{value.microseconds:06}".rstrip("0").rstrip(".")
    parts = ((hours, f"{hours}H"), (minutes, f"{minutes}M"), (exact != "0", f"{exact}S"))
    time = "".join(text for given, text in parts if given)
    days = f"{value.days}D" if value.days else ""
    if not days and not time:
        time = "0S"
    return f"{sign}P{days}{'T' + time if time else ''}"


def _set(element: Element, key: str, value: object) -> bool:
    """Add a constraint; of two bounds the narrower counts."""
    limits = element.constraints
    kind = element_type(element.kind)
    if key in ("scale", "multiple_of") and isinstance(kind, ScalarType):
        if kind.name not in (ScalarName.DECIMAL, ScalarName.INT):
            return False
        if key == "scale" and kind.name is ScalarName.INT:
            return True
    before = limits.get(key)
    if before is not None and before != value:
        if key not in ("gt", "ge", "lt", "le", "min_length", "max_length"):
            return False
        lower = key in ("gt", "ge", "min_length")
        narrower = max if lower else min
        value = narrower(before, value)  # type: ignore[call-overload]  # of one type
    other = {"gt": "ge", "ge": "gt", "lt": "le", "le": "lt"}.get(key)
    if other is not None and other in limits:
        return False
    limits[key] = value
    return True


def _length(element: Element, sign: str, value: object) -> bool:
    number = _as_number(value)
    kind = element_type(element.kind)
    sized = kind in (STR, ScalarType(ScalarName.BYTES)) or isinstance(kind, ListType)
    if number is None or number != int(number) or not sized:
        return False
    size = int(number) + {">": 1, "<": -1}.get(sign, 0)
    return _set(element, "min_length" if sign in (">", ">=") else "max_length", max(size, 0))
