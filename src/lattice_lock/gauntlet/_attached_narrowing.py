"""What single phrases of a precondition do to a fence."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lattice_lock.gauntlet._attached_fences import Fence
    from lattice_lock.gauntlet._attached_inputs import Value

__all__ = [
    "CHARACTER_CLASSES",
    "narrow_by",
    "narrow_class",
    "narrow_contains",
    "narrow_empty",
    "narrow_kind",
    "narrow_lacks",
    "narrow_not_kind",
    "narrow_order",
    "narrow_pattern",
    "narrow_prefix",
    "narrow_rows",
    "narrow_subset",
    "narrow_suffix",
    "narrow_truthy",
    "narrow_unique",
]

CHARACTER_CLASSES: Final = {
    "isdigit": "0123456789",
    "isdecimal": "0123456789",
    "isnumeric": "0123456789",
    "isalpha": "abcxyzABCXYZ",
    "isalnum": "abzABZ019",
    "islower": "abcxyz",
    "isupper": "ABCXYZ",
    "isspace": " \t\n",
    "isascii": "abAB01 .,-_",
    "isidentifier": "abAB_",
    "isprintable": "abAB01 .,-_",
}
_MAY_BE_EMPTY: Final = frozenset({"isascii", "isprintable"})


def narrow_by(operator: str, fence: Fence, value: Value) -> None:
    if isinstance(value, float) and math.isnan(value):
        return
    fence.apply(operator, value)


def narrow_kind(fence: Fence, kind: Value) -> None:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    fence.kinds = tuple(each for each in kinds if isinstance(each, type))


def narrow_not_kind(fence: Fence, kind: Value) -> None:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    fence.not_kinds += tuple(each for each in kinds if isinstance(each, type))


def narrow_empty(fence: Fence, _: Value) -> None:
    fence.at(("length",)).apply("<=", 0)


def narrow_truthy(fence: Fence, _: Value) -> None:
    fence.at(("length",)).apply(">=", 1)
    fence.excluded += [0, None, ""]


def narrow_contains(fence: Fence, part: Value) -> None:
    fence.parts.append(part)


def narrow_lacks(fence: Fence, part: Value) -> None:
    if isinstance(part, str):
        fence.forbidden.append(part)
    fence.at(("items",)).excluded.append(part)


def narrow_subset(fence: Fence, container: Value) -> None:
    fence.apply("in", container)


def narrow_order(order: int, fence: Fence, _: Value) -> None:
    if abs(order) >= abs(fence.order):
        fence.order = order


def narrow_unique(fence: Fence, _: Value) -> None:
    fence.unique = True


def narrow_rows(rows: str, fence: Fence, _: Value) -> None:
    if fence.rows != "square":
        fence.rows = rows


def narrow_class(fence: Fence, name: Value) -> None:
    allowed = CHARACTER_CLASSES[name]
    present = fence.alphabet
    both = None if present is None else "".join(c for c in present if c in allowed)
    fence.alphabet = both or allowed
    if name not in _MAY_BE_EMPTY:
        fence.at(("length",)).apply(">=", 1)


def narrow_prefix(fence: Fence, text: Value) -> None:
    fence.prefix = text if isinstance(text, str) else text[0]


def narrow_suffix(fence: Fence, text: Value) -> None:
    fence.suffix = text if isinstance(text, str) else text[0]


def narrow_pattern(fence: Fence, found: tuple[Value, int, str]) -> None:
    pattern, flags, how = found
    if isinstance(pattern, re.Pattern):
        pattern, flags = pattern.pattern, pattern.flags
    fence.patterns.append((pattern, int(flags), how == "fullmatch"))
