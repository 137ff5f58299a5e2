"""Which way a field, a value or a list of clauses moved, read from the texts of elements.

The texts are those of `elements.describe_elements`: a type, then `constraints=`, `default=` and
what else a field has, in that order.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum, auto
from fractions import Fraction
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "Direction",
    "Shift",
    "clause_shifts",
    "field_shifts",
    "listed",
    "parse_field",
    "value_shifts",
]


class Direction(Enum):
    """Which way something moved."""

    NARROWER = auto()
    """Fewer values than before."""
    WIDER = auto()
    """More values than before."""
    NULLABLE = auto()
    """Wider by null, which code must expect."""
    OTHER = auto()
    """Other values than before."""
    UNKNOWN = auto()
    """Not decidable from the texts."""
    AMONG_OTHERS = auto()
    """A value is held against those of other entities."""
    OPTIONAL = auto()
    """May be left out."""
    DEFAULT = auto()
    """Means something else where it is left out."""
    SAME = auto()
    """The same values, told or kept in another way."""


@dataclass(frozen=True, slots=True)
class Shift:
    """One move: the direction, what moved as a phrase, and the texts around it."""

    direction: Direction
    reason: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedField:
    """Parts of a field's text; None where there is none."""

    type: str
    constraints: Mapping[str, str]
    default: str | None
    flags: frozenset[str]
    references: str | None
    renamed_from: str | None


_FIELD = re.compile(
    r"(?P<type>.*?)(?: constraints=(?P<constraints>.*?))?(?: default=(?P<default>.*?))?"
    r"(?P<flags>(?: (?:primary_key|unique|index)=True)*)"
    r"(?: references=(?P<references>\w+\.\w+))?(?: renamed_from=(?P<renamed_from>\w+))?"
    r"(?: backfill=(?P<backfill>.*))?",
    re.DOTALL,
)
_CONSTRAINT = re.compile(
    r"(?:^|,)(gt|ge|lt|le|multiple_of|precision|scale|min_length|max_length|pattern|unique_items):"
)


def parse_field(text: str) -> ParsedField:
    """The parts of a field's, a parameter's or a result's text."""
    found = cast("re.Match[str]", _FIELD.fullmatch(text))  # a type may be any text
    return ParsedField(
        type=found["type"],
        constraints=_constraints(found["constraints"] or ""),
        default=found["default"],
        flags=frozenset(re.findall(r"\w+(?==True)", found["flags"])),
        references=found["references"],
        renamed_from=found["renamed_from"],
    )


def _constraints(text: str) -> dict[str, str]:
    rest, _, pattern = text.partition("pattern:")
    found: dict[str, str] = {}
    if pattern:
        kept = pattern.removesuffix(",unique_items:True")
        found["pattern"] = kept
        rest = rest.rstrip(",")
    _, *pieces = _CONSTRAINT.split(rest)
    return {**dict(zip(pieces[::2], pieces[1::2], strict=True)), **found}


def listed(text: str) -> list[str]:
    """Members of a text such as `[a, b]`."""
    inner = text.removeprefix("[").removesuffix("]")
    return inner.split(", ") if inner else []


def field_shifts(before: str, after: str) -> Iterator[Shift]:
    """Every move of a field of an entity."""
    yield from value_shifts(before, after)
    old, new = parse_field(before), parse_field(after)
    for direction, reason in _field_moves(old, new):
        yield Shift(direction, reason, before, after)


def _field_moves(old: ParsedField, new: ParsedField) -> Iterator[tuple[Direction, str]]:
    if old.default != new.default:
        if new.default is None:
            yield Direction.NARROWER, "required, without a default"
        elif old.default is None:
            yield Direction.OPTIONAL, "may be left out"
        else:
            yield Direction.DEFAULT, "another default"
    for flag in ("primary_key", "unique"):
        if flag in new.flags - old.flags:
            yield Direction.AMONG_OTHERS, f"now {flag.replace('_', ' ')}"
        elif flag in old.flags - new.flags:
            yield Direction.WIDER, f"no longer {flag.replace('_', ' ')}"
    if "index" in old.flags ^ new.flags:
        yield Direction.SAME, "another index"
    if old.references != new.references:
        if new.references is None:
            yield Direction.WIDER, "refers to nothing"
        else:
            yield Direction.AMONG_OTHERS, f"refers to {new.references}"


def value_shifts(before: str, after: str) -> Iterator[Shift]:
    """Every move of a type with its constraints."""
    old, new = parse_field(before), parse_field(after)
    for direction, reason in _type_moves(old.type, new.type):
        yield Shift(direction, reason, before, after)
        if direction is Direction.OTHER:
            return  # constraints of another type say something else
    for direction, reason in _constraint_moves(old.constraints, new.constraints):
        yield Shift(direction, reason, before, after)


def _type_moves(old: str, new: str) -> Iterator[tuple[Direction, str]]:
    was_nullable, is_nullable = old.endswith(" | null"), new.endswith(" | null")
    old, new = old.removesuffix(" | null"), new.removesuffix(" | null")
    if is_nullable and not was_nullable:
        yield Direction.NULLABLE, "may be null"
    if was_nullable and not is_nullable:
        yield Direction.NARROWER, "null is refused"
    if old == new:
        return
    for shape in (r"list\[(.*)\]", r"dict\[str, (.*)\]"):
        inner = [re.fullmatch(shape, one) for one in (old, new)]
        if inner[0] and inner[1]:
            yield from _type_moves(inner[0][1], inner[1][1])
            return
    values = [re.fullmatch(r"(?!list\[|dict\[)\w+(\[.*\])", one) for one in (old, new)]
    if values[0] and values[1]:
        gone, come = _difference(listed(values[0][1]), listed(values[1][1]))
        if gone:
            yield Direction.NARROWER, f"without {', '.join(gone)}"
        if come:
            yield Direction.WIDER, f"also {', '.join(come)}"
        if not gone and not come:
            yield Direction.SAME, "another order of values"
        return
    yield Direction.OTHER, "another type"


def _difference(old: Sequence[str], new: Sequence[str]) -> tuple[list[str], list[str]]:
    return [one for one in old if one not in new], [one for one in new if one not in old]


def _constraint_moves(
    old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[tuple[Direction, str]]:
    yield from _bound_moves(old, new, ("gt", "ge"), 1)
    yield from _bound_moves(old, new, ("lt", "le"), -1)
    for name, sign in (("scale", -1), ("min_length", 1), ("max_length", -1)):
        yield from _tighter(name, old.get(name), new.get(name), sign)
    before, after = old.get("precision"), new.get("precision")
    if ("scale" in old) == ("scale" in new):  # otherwise one side counts all digits alike
        before, after = _whole_digits(old), _whole_digits(new)
    yield from _tighter("precision", before, after, -1)
    yield from _step_moves(old.get("multiple_of"), new.get("multiple_of"))
    for name in ("pattern", "unique_items"):
        if old.get(name) == new.get(name):
            continue
        words = name.replace("_", " ")
        if name not in old:
            yield Direction.NARROWER, f"a new {words}"
        elif name not in new:
            yield Direction.WIDER, f"no {words} any more"
        else:
            yield Direction.UNKNOWN, f"another {words}"


def _whole_digits(limits: Mapping[str, str]) -> str | None:
    """Digits before the point that `precision` leaves: places of `scale` are reserved."""
    precision, scale = _measure(limits.get("precision", "")), _measure(limits.get("scale", "0"))
    if precision is None or scale is None:
        return limits.get("precision")
    return str(precision - scale)


def _tighter(
    name: str, old: str | None, new: str | None, sign: int
) -> Iterator[tuple[Direction, str]]:
    """Whether a limit came closer; `sign` is 1 where more is tighter."""
    if old == new:
        return
    if old is None or new is None:
        yield (Direction.NARROWER if old is None else Direction.WIDER), f"another {name}"
        return
    order = _order(old, new)
    if order is None:
        yield Direction.UNKNOWN, f"another {name}"
    elif order * sign > 0:
        yield Direction.NARROWER, f"a tighter {name}"
    elif order * sign < 0:
        yield Direction.WIDER, f"a looser {name}"
    else:
        yield Direction.SAME, f"{name} written in another way"


def _bound_moves(
    old: Mapping[str, str], new: Mapping[str, str], names: tuple[str, str], sign: int
) -> Iterator[tuple[Direction, str]]:
    strict, wide = names
    before, after = (side.get(strict, side.get(wide)) for side in (old, new))
    if before == after and (strict in old) == (strict in new):
        return
    what = "lower bound" if sign > 0 else "upper bound"
    if before == after:
        stricter = strict in new
        yield (Direction.NARROWER if stricter else Direction.WIDER), f"another {what}"
        return
    yield from _tighter(what, before, after, sign)


def _order(old: str, new: str) -> int | None:
    """1 where `new` is the greater value, -1 where it is the smaller, None where nobody knows."""
    first, last = _measure(old), _measure(new)
    return None if first is None or last is None else int(last > first) - int(last < first)


_LENGTH = re.compile(r"(?:(-?\d+) days?, )?(\d+):(\d\d):(\d\d)(?:\.(\d{6}))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST_EXPONENT = 400  # the loader's; a lock that was edited may say anything


def _measure(text: str) -> Decimal | None:
    """A number as it is, a moment and a duration as microseconds; all as `str` writes them."""
    with contextlib.suppress(InvalidOperation):
        number = Decimal(text)
        usual = number.is_finite() and abs(number.adjusted()) <= _LARGEST_EXPONENT
        return number if usual else None
    with contextlib.suppress(ValueError, OverflowError):
        if found := _LENGTH.fullmatch(text):
            days, hours, minutes, seconds, rest = (int(part or 0) for part in found.groups())
            length = timedelta(days, seconds, rest, minutes=minutes, hours=hours)
            return Decimal(length // _MICROSECOND)
        moment = datetime.fromisoformat(text)
        known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return Decimal((known - _EPOCH) // _MICROSECOND)
    return None


def _step_moves(old: str | None, new: str | None) -> Iterator[tuple[Direction, str]]:
    if old == new:
        return
    first, last = _measure(old or ""), _measure(new or "")
    if old is None or (first and last and Fraction(last) % Fraction(first) == 0):
        yield Direction.NARROWER, "a coarser multiple_of"
    elif new is None or (first and last and Fraction(first) % Fraction(last) == 0):
        yield Direction.WIDER, "a finer multiple_of"
    else:
        yield Direction.OTHER, "another multiple_of"


_LABEL = re.compile(r"[A-Za-z_][\w -]*: ")
_COMPARISON = re.compile(r"(?P<what>[^<>=]+?) (?P<sign><=?|>=?) (?P<limit>-?\d+(?:\.\d+)?)")
_LOGIC = re.compile(r"\b(?:and|or|if|not|in|is)\b")
_NAMES = {">": "gt", ">=": "ge", "<": "lt", "<=": "le"}


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A clause that holds something against a number."""

    what: str
    name: str
    limit: str


def _comparison(clause: str) -> _Comparison | None:
    found = _COMPARISON.fullmatch(clause)
    if found is None or _LOGIC.search(found["what"]):
        return None
    return _Comparison(found["what"], _NAMES[found["sign"]], found["limit"])


def clause_shifts(before: Sequence[str], after: Sequence[str]) -> Iterator[Shift]:
    """Every move between two lists of clauses, all of which hold; their order means nothing.

    A comparison with a number is followed as such. Beyond that, a clause in the place of another
    may be anything.
    """
    old, new = ([_LABEL.sub("", one, count=1) for one in side] for side in (before, after))
    gone = list((Counter(old) - Counter(new)).elements())
    come = list((Counter(new) - Counter(old)).elements())
    if not gone and not come:
        if sorted(before) != sorted(after):
            yield Shift(Direction.SAME, "other names", "; ".join(before), "; ".join(after))
        return
    for earlier in tuple(gone):
        for clause in come:
            shift = _comparison_shift(earlier, clause)
            if shift is not None:
                yield shift
                gone.remove(earlier)
                come.remove(clause)
                break
    for earlier, clause in zip(gone, come, strict=False):
        yield Shift(Direction.UNKNOWN, "another condition", earlier, clause)
    for earlier in gone[len(come) :]:
        yield Shift(Direction.WIDER, "a condition less", earlier, None)
    for clause in come[len(gone) :]:
        yield Shift(Direction.NARROWER, "a condition more", None, clause)


def _comparison_shift(before: str, after: str) -> Shift | None:
    """How the same comparison with another number moved, None where it is not the same."""
    old, new = _comparison(before), _comparison(after)
    if old is None or new is None or (old.what, old.name[0]) != (new.what, new.name[0]):
        return None
    names, sign = (("gt", "ge"), 1) if old.name[0] == "g" else (("lt", "le"), -1)
    moves = _bound_moves({old.name: old.limit}, {new.name: new.limit}, names, sign)
    direction, reason = next(moves)
    return Shift(direction, reason, before, after)
