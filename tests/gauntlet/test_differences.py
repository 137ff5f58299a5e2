"""Where two values differ."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from lattice_lock.gauntlet._differences import first_difference


@dataclass
class Line:
    """A value with parts."""

    price: Decimal
    tags: list[str] = field(default_factory=list)


class Slotted:
    """A value without a dictionary."""

    __slots__ = ("left", "right")

    def __init__(self, left: int, right: int) -> None:
        self.left = left
        self.right = right


Pair = namedtuple("Pair", "a b")  # noqa: PYI024  # without types on purpose


@pytest.mark.parametrize(
    ("original", "mutant", "what"),
    [
        (1, 2, "it"),
        (1, True, "it"),
        (0.0, -0.0, "it"),
        ([1, 2], [1], "len(it)"),
        ([1, 2], [1, 3], "it[1]"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "it['a']['b']"),
        ({"a": 1}, {"b": 1}, "list(it)"),
        ({1}, {2}, "it"),
        (Decimal(1), Decimal(2), "it"),
        (Line(Decimal(1)), Line(Decimal(2)), "it.price"),
        ([Line(Decimal(1), ["a"])], [Line(Decimal(1), ["b"])], "it[0].tags[0]"),
        (Slotted(1, 2), Slotted(1, 3), "it.right"),
        (Pair(1, 2), Pair(1, 3), "it[1]"),
        (Line(Decimal(1)), None, "it"),
    ],
)
def test_the_first_difference_is_named(original: object, mutant: object, what: str) -> None:
    """The name leads to the part that differs, whatever the parts are."""
    found = first_difference("it", original, mutant)
    assert found is not None
    assert found.what == what


@pytest.mark.parametrize(
    "make",
    [
        lambda: float("nan"),
        lambda: [1, {"a": (2, {3})}],
        lambda: Line(Decimal("1.0"), ["a"]),
        lambda: Slotted(1, 2),
        object,
    ],
)
def test_equal_values_do_not_differ(make: object) -> None:
    """Two values that were made alike do not differ, even where `==` says so."""
    assert callable(make)
    assert first_difference("it", make(), make()) is None


def test_values_that_hold_themselves_come_to_an_end() -> None:
    """A list inside itself is compared down to a limit."""
    first: list[object] = [1]
    second: list[object] = [1]
    first.append(first)
    second.append(second)
    assert first_difference("it", first, second) is None
