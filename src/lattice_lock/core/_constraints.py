"""Reads the constraints of a field, a parameter or a return value."""

from __future__ import annotations

import re
import warnings
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from lattice_lock.core._character_sets import after_set
from lattice_lock.core._constraint_checks import contradiction, without_null
from lattice_lock.core._literals import FORMATS
from lattice_lock.core._section import describe
from lattice_lock.core._values import scalar_value
from lattice_lock.core._yaml_tree import ScalarNode
from lattice_lock.core.schema import Bound, Constraints
from lattice_lock.core.type_refs import DictType, ListType, ScalarName, ScalarType

if TYPE_CHECKING:
    from lattice_lock.core._section import Section
    from lattice_lock.core._yaml_tree import Node
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["CONSTRAINT_HINTS", "CONSTRAINT_KEYS", "read_constraints"]

_BOUNDS = ("gt", "ge", "lt", "le")
_COUNTS = ("precision", "scale", "min_length", "max_length")
CONSTRAINT_KEYS = (*_BOUNDS, "multiple_of", *_COUNTS, "pattern", "unique_items")

CONSTRAINT_HINTS = {
    "gte": "Write `ge`.",
    "lte": "Write `le`.",
    "min": "Write `ge` (at least) or `gt` (more than).",
    "max": "Write `le` (at most) or `lt` (less than).",
    "minimum": "Write `ge`.",
    "maximum": "Write `le`.",
    "regex": "Write `pattern`.",
    "decimal_places": "Write `scale`.",
    "max_digits": "Write `precision`.",
    "unique_values": "Write `unique_items`.",
    "min_items": "Write `min_length`.",
    "max_items": "Write `max_length`.",
    "nullable": "Write the type as `T | null`.",
    "optional": "Write the type as `T | null`.",
    "required": "A field is required unless it has a `default`.",
}
"""What to write instead of a key that other formats use."""

_NUMBERS = frozenset({ScalarName.INT, ScalarName.DECIMAL, ScalarName.FLOAT})
_ORDERED = _NUMBERS | {ScalarName.DATE, ScalarName.DATETIME, ScalarName.TIMEDELTA}
_EXACT = frozenset({ScalarName.INT, ScalarName.DECIMAL})
_DECIMAL = frozenset({ScalarName.DECIMAL})
_SIZED = frozenset({ScalarName.STR, ScalarName.BYTES})
_STR = frozenset({ScalarName.STR})
_NONE: frozenset[ScalarName] = frozenset()

_APPLIES = {
    **dict.fromkeys(_BOUNDS, _ORDERED),
    "multiple_of": _EXACT,
    "precision": _DECIMAL,
    "scale": _DECIMAL,
    "min_length": _SIZED,
    "max_length": _SIZED,
    "pattern": _STR,
    "unique_items": _NONE,
}

_LARGEST_LENGTH = 1_000_000
_MOST_DIGITS = 100
_LONGEST_PATTERN = 500
_MOST_REPEATS = 1_000
_REPEAT = re.compile(r"[*+]|\{(\d*),(\d*)\}|\{(\d+)\}")


def read_constraints(section: Section, kind: TypeRef) -> Constraints:
    """The constraints among the keys of a section, checked against the type they limit."""
    found: dict[str, object] = {}
    for key in CONSTRAINT_KEYS:
        node = section.get(key)
        if node is None:
            continue
        if not _applies(key, kind):
            section.findings.add(
                section.key_location(key),
                f"`{key}` does not apply to {kind}.",
                _applies_to(key),
            )
            continue
        value = _read_one(section, key, node, kind)
        if value is not None:
            found[key] = value
    for strict, wide in (("gt", "ge"), ("lt", "le")):
        if strict in found and wide in found:
            section.findings.add(
                section.key_location(wide),
                f"{section.what} has both `{strict}` and `{wide}`.",
                "Keep the narrower one.",
            )
            del found[wide]
    constraints = Constraints(**found)  # type: ignore[arg-type]  # each key was read to its type
    why = contradiction(kind, constraints)
    if why is not None:
        first = min(
            (section.key_location(key) for key in found), key=lambda at: (at.line, at.column)
        )
        section.findings.add(first, f"{section.what} can have no value: {why}", "Mend the limits.")
        return Constraints()
    return constraints


def _applies(key: str, kind: TypeRef) -> bool:
    kind = without_null(kind)
    if isinstance(kind, ListType):
        return key in {"min_length", "max_length", "unique_items"}
    if isinstance(kind, DictType):
        return key in {"min_length", "max_length"}
    return isinstance(kind, ScalarType) and kind.name in _APPLIES[key]


def _applies_to(key: str) -> str:
    if key == "unique_items":
        return "It applies to lists."
    kinds: list[str] = sorted(_APPLIES[key])
    if key in {"min_length", "max_length"}:
        kinds += ["list", "dict"]
    return f"It applies to {', '.join(kinds)}."


def _read_one(section: Section, key: str, node: Node, kind: TypeRef) -> object:
    if key == "unique_items":
        return section.flag(key)
    if key == "pattern":
        return _read_pattern(section, node)
    if key in _COUNTS:
        return _read_count(section, key, node)
    inner = cast("ScalarType", without_null(kind))
    return _read_bound(section, key, node, inner.name)


def _read_bound(section: Section, key: str, node: Node, name: ScalarName) -> Bound | None:
    exact = ScalarName.DECIMAL if name in _NUMBERS else name
    try:
        value = scalar_value(node, exact)
        whole = not isinstance(value, Decimal) or value == value.to_integral_value()
        if name is ScalarName.INT and not whole:
            raise ValueError("not an int")  # noqa: TRY301 -- one place says what is wrong
        if name is ScalarName.FLOAT:
            scalar_value(node, name)  # a bound that no float reaches
        if key == "multiple_of" and value <= 0:  # type: ignore[operator]  # a Decimal
            raise ValueError("not positive")  # noqa: TRY301 -- as above
    except (ValueError, ArithmeticError):
        expected = f"`{key}` of {section.what} must be {_article(name)} {name}"
        if key == "multiple_of":
            expected += " greater than 0"
        hint = f"Write it as {FORMATS[name]}." if name in FORMATS else None
        section.findings.add(node.location, f"{expected}, this is {describe(node)}.", hint)
        return None
    return cast("Bound", value)


def _article(name: ScalarName) -> str:
    return "an" if name is ScalarName.INT else "a"


def _read_count(section: Section, key: str, node: Node) -> int | None:
    value = node.resolve() if isinstance(node, ScalarNode) else None
    largest = _MOST_DIGITS if key in {"precision", "scale"} else _LARGEST_LENGTH
    lowest = 1 if key == "precision" else 0
    if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= largest:
        return value
    section.findings.add(
        node.location,
        f"`{key}` of {section.what} must be a whole number from {lowest} to {largest}, this is"
        f" {describe(node)}.",
    )
    return None


def _read_pattern(section: Section, node: Node) -> str | None:
    text = section.text("pattern")
    if text is None:
        return None
    fault = _pattern_fault(text)
    if fault is None:
        return text
    section.findings.add(node.location, f"`pattern` of {section.what} {fault[0]}.", fault[1])
    return None


def _pattern_fault(text: str) -> tuple[str, str | None] | None:
    if len(text) > _LONGEST_PATTERN:
        return f"has {len(text)} characters; {_LONGEST_PATTERN} are allowed", None
    try:
        with warnings.catch_warnings():
            # A possible nested set and the like only warn; a contract must not rest on them.
            warnings.simplefilter("error")
            re.compile(text)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}", None
    return _slow_pattern(text)


def _slow_pattern(text: str) -> tuple[str, str | None] | None:
    """Whether matching could take exponential time: a repeat of something that repeats."""
    # One entry per open group: whether an unbounded repeat stands in it.
    repeats = [False]
    closed = False
    place = 0
    while place < len(text):
        character = text[place]
        if character == "\\":
            place, closed = place + 2, False
            continue
        if character == "[":
            place, closed = after_set(text, place), False
            continue
        repeat = _REPEAT.match(text, place)
        if repeat is not None:
            if max((int(count) for count in repeat.groups() if count), default=0) > _MOST_REPEATS:
                return f"repeats something more than {_MOST_REPEATS} times", None
            unbounded = repeat[0] in ("*", "+") or (repeat[2] == "" and repeat[3] is None)
            if unbounded and closed:
                return (
                    "repeats a group that itself repeats, which can take exponential time",
                    "Write it without the inner `*` or `+`.",
                )
            repeats[-1] = repeats[-1] or unbounded
            place, closed = repeat.end(), False
            continue
        closed = False
        if character == "(":
            repeats.append(False)
        elif character == ")" and len(repeats) > 1:
            closed = repeats.pop()
            repeats[-1] = repeats[-1] or closed
        place += 1
    return None
