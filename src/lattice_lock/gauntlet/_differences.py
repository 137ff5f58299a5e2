"""The first place in which two values differ, as an expression such as `result.lines[0].price`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = ["COMPARISON_MARK", "Difference", "first_difference", "shown"]

_Value: TypeAlias = Any
"""Whatever a program under test passes around."""

COMPARISON_MARK: Final = "original and mutant differ: "
"""What the message of a comparing test begins with; a difference as JSON follows."""

_DEEPEST: Final = 12
_LONGEST: Final = 200
_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where two values differ, and how each is shown there."""

    what: str
    original: str
    mutant: str


def first_difference(what: str, original: object, mutant: object) -> Difference | None:
    """Where `mutant` differs from `original`, which is called `what`; None where it does not."""
    return _difference(what, original, mutant, _DEEPEST)


def shown(value: object) -> str:
    """A value as a person reads it, cut off where it is long."""
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return f"<{type(value).__name__} too large to show>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _difference(what: str, original: _Value, mutant: _Value, depth: int) -> Difference | None:
    if original is mutant or not depth:
        return None
    if type(original) is not type(mutant) or isinstance(original, _PLAIN):
        same = type(original) is type(mutant) and shown(original) == shown(mutant)
        return None if same else _differ(what, original, mutant)
    if isinstance(original, Mapping):
        return _in_parts(what, original, mutant, list(original), list(mutant), depth)
    if isinstance(original, Sequence):
        if len(original) != len(mutant):
            return _differ(f"len({what})", len(original), len(mutant))
        indices = list(range(len(original)))
        return _in_parts(what, original, mutant, indices, indices, depth)
    if isinstance(original, AbstractSet):
        return None if original == mutant else _differ(what, original, mutant)
    return _in_objects(what, original, mutant, depth)


def _differ(what: str, original: object, mutant: object) -> Difference:
    return Difference(what=what, original=shown(original), mutant=shown(mutant))


def _in_parts(  # noqa: PLR0917  # two values, twice
    what: str, original: _Value, mutant: _Value, keys: list[Any], others: list[Any], depth: int
) -> Difference | None:
    if keys != others:
        return _differ(f"list({what})", keys, others)
    for key in keys:
        found = _difference(f"{what}[{key!r}]", original[key], mutant[key], depth - 1)
        if found is not None:
            return found
    return None


def _in_objects(what: str, original: _Value, mutant: _Value, depth: int) -> Difference | None:
    names = [name for name in _attributes(original) if not name.startswith("__")]
    for name in names:
        before, after = getattr(original, name, None), getattr(mutant, name, None)
        found = (
            None if callable(before) else _difference(f"{what}.{name}", before, after, depth - 1)
        )
        if found is not None:
            return found
    if names or not _compares(original) or original == mutant:
        return None
    return _differ(what, original, mutant)


def _attributes(value: object) -> list[str]:
    own = getattr(value, "__dict__", {})
    found: dict[str, None] = {}
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ())
        found |= dict.fromkeys([slots] if isinstance(slots, str) else slots)
    return [*(name for name in found if name not in own), *own]


def _compares(value: object) -> bool:
    """Whether its class says what is equal."""
    return any("__eq__" in vars(cls) for cls in type(value).__mro__[:-1])
