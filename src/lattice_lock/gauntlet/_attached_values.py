"""Where values come from: for every kind of type its telling values, and random ones.

`edges` are tried first, in their order: simple ones, limits, neighbours of the program's constants.
`draw` is for the rest. Both keep within a fence as far as they can.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from lattice_lock.gauntlet._attached_fences import Fence
from lattice_lock.gauntlet._attached_inputs import Given, Plan, UnfitError, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from lattice_lock.gauntlet._attached_constants import Constants

__all__ = [
    "ANYWHERE",
    "RETRIES",
    "AnyOf",
    "Booleans",
    "Choices",
    "Context",
    "Floats",
    "Integers",
    "Later",
    "Values",
    "chosen_among",
    "fits",
    "length_of",
    "lengths",
    "whole_bounds",
]

ANYWHERE: Final = Fence()
_DEEPEST: Final = 5
_LONGEST: Final = 300
_LONGEST_CONSTANT: Final = 70
_LONGEST_FIXED: Final = 2000
RETRIES: Final = 20


@dataclass(slots=True)
class Context:
    """What drawing depends on.

    Attributes:
        random: the source of chance.
        constants: of the program.
        size: how long collections and how deep structures are, from 0 to 1.
        depth: how many structures the value is inside of.
        relatives: values of other parameters, worth using again, by type.
    """

    random: Random
    constants: Constants
    size: float = 0.3
    depth: int = 0
    relatives: dict[type, list[Any]] = field(default_factory=dict)

    def chance(self, probability: float) -> bool:
        """True as often as the probability says."""
        return self.random.random() < probability

    def related(self, kind: type, fence: Fence) -> list[Any]:
        """Values of other parameters that fit."""
        return [value for value in self.relatives.get(kind, ()) if fence.admits(value)]


class Values(Protocol):
    """A source of plans for one type."""

    def edges(self, context: Context, fence: Fence) -> Iterable[Plan]:
        """Telling values, the simplest first."""

    def draw(self, context: Context, fence: Fence) -> Plan:
        """A random value; `UnfitError` when there is none."""

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        """Whether its values can be instances of one of these types."""


def fits(own: type, kinds: tuple[type, ...]) -> bool:
    return any(issubclass(own, kind) for kind in kinds)


def _unique(values: Iterable[Any]) -> list[Any]:
    """Without repeats; `1`, `1.0` and `True` are three values, `0.0` and `-0.0` two."""
    return list({(type(value), repr(value)): value for value in values}.values())


def chosen_among(fence: Fence, kind: type | tuple[type, ...]) -> list[Any] | None:
    if fence.choices is None:
        return None
    found = [value for value in fence.choices if isinstance(value, kind) and fence.admits(value)]
    if not found:
        raise UnfitError("no value lies within the precondition")
    return found


class Integers:
    """Values of `int`."""

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return fits(int, kinds)

    def _pool(self, context: Context, fence: Fence) -> list[int]:
        if fence.choices is not None:
            return [
                int(value)
                for value in fence.choices
                if isinstance(value, int | float) and value == int(value) and fence.admits(value)
            ]
        low, high = whole_bounds(fence)
        base: list[int] = [0, 1, 2, -1, 3]
        base += [
            edge + step
            for edge, steps in ((low, (0, 1, 2)), (high, (0, -1, -2)))
            if edge is not None
            for step in steps
        ]
        base += context.related(int, ANYWHERE)
        for constant in context.constants.ints[:40]:
            base += [constant, constant - 1, constant + 1]
        base += [-2, 4, 5, 7, 10, -10, 16, 25, 100, 101]
        for constant in context.constants.ints[:20]:
            base += [-constant, 2 * constant]
        if fence.remainders:
            base += [value - value % d + r for value in base for d, r in fence.remainders if d]
        return [value for value in dict.fromkeys(base) if fence.admits(value)]

    def edges(self, context: Context, fence: Fence) -> list[int]:
        return self._pool(context, fence)

    def draw(self, context: Context, fence: Fence) -> int:
        random = context.random
        if context.chance(0.35) and (related := context.related(int, fence)):
            return int(random.choice(related))
        if fence.choices is not None or context.chance(0.3):
            pool = self._pool(context, fence)
            if pool:
                return random.choice(pool)
            if fence.choices is not None:
                raise UnfitError("no value lies within the precondition")
        low, high = _range(context, *whole_bounds(fence))
        for _ in range(RETRIES):
            value = random.randint(low, high)
            for divisor, rest in fence.remainders:
                value = value - value % divisor + rest if divisor else value
            if fence.admits(value):
                return value
        raise UnfitError("no value lies within the precondition")


def _range(context: Context, low: int | None, high: int | None) -> tuple[int, int]:
    """A range within limits, mostly a short one at either end."""
    spread = context.random.choices((6, 30, 1200), (4, 4, 1))[0]
    if low is None and high is None:
        return -spread, spread
    if low is None:
        assert high is not None  # noqa: S101  # else both were None
        return high - spread, high
    if high is None:
        return low, low + spread
    if low > high:
        raise UnfitError("no value lies between the limits")
    if context.chance(0.4):
        return low, high
    start = low if context.chance(0.6) else max(low, high - spread)
    return start, min(high, start + spread)


def whole_bounds(fence: Fence) -> tuple[int | None, int | None]:
    low = high = None
    if isinstance(fence.low, int | float) and math.isfinite(fence.low):
        low = math.floor(fence.low) + 1 if fence.low_open else math.ceil(fence.low)
    if isinstance(fence.high, int | float) and math.isfinite(fence.high):
        high = math.ceil(fence.high) - 1 if fence.high_open else math.floor(fence.high)
    return low, high


class Floats:
    """Values of `float` that arithmetic treats exactly: quarters of moderate size.

    Rounding breaks many a contract that is right of numbers. Neither infinity nor NaN occurs.
    """

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return fits(float, kinds)

    def edges(self, context: Context, fence: Fence) -> list[float]:
        found = chosen_among(fence, (int, float))
        if found is not None:
            return [float(value) for value in found]
        base: list[float] = [0.0, 1.0, -1.0, 0.5, 2.0, -0.5, 1.5]
        for limit in (fence.low, fence.high):
            if isinstance(limit, int | float) and math.isfinite(limit):
                base += [limit, limit + 0.25, limit - 0.25, limit + 1, limit - 1]
        if all(isinstance(limit, int | float) for limit in (fence.low, fence.high)):
            base.append((fence.low + fence.high) / 2)
        base += context.related(float, ANYWHERE)
        base += context.related(int, ANYWHERE)
        for constant in (*context.constants.floats[:20], *context.constants.ints[:20]):
            base += [constant, constant - 1, constant + 1, constant + 0.25, constant - 0.25]
        base += [3.0, -2.0, 10.0, 100.0, -100.0, 0.25, -0.0]
        return [value for value in _unique(map(float, base)) if fence.admits(value)]

    def draw(self, context: Context, fence: Fence) -> float:
        random = context.random
        pool = self.edges(context, fence)
        if pool and (fence.choices is not None or context.chance(0.4)):
            return random.choice(pool)
        low = fence.low if isinstance(fence.low, int | float) else None
        high = fence.high if isinstance(fence.high, int | float) else None
        spread = random.choice((4.0, 20.0, 500.0))
        if low is None or not math.isfinite(low):
            low = -spread if high is None or not math.isfinite(high) else high - spread
        if high is None or not math.isfinite(high):
            high = low + 2 * spread
        for _ in range(RETRIES):
            value = round((low + random.random() * (high - low)) * 4) / 4
            if not low <= value <= high or not fence.admits(value):
                value = low + random.randint(0, 1024) / 1024 * (high - low)
            if fence.admits(value):
                return float(value)
        raise UnfitError("no value lies within the precondition")


class Booleans:
    """Values of `bool`."""

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return fits(bool, kinds)

    def edges(self, context: Context, fence: Fence) -> list[bool]:  # noqa: ARG002  # the protocol
        return [value for value in (False, True) if fence.admits(value)]

    def draw(self, context: Context, fence: Fence) -> bool:
        values = self.edges(context, fence)
        if not values:
            raise UnfitError("no value lies within the precondition")
        return context.random.choice(values)


class Choices:
    """A handful of values.

    Args:
        values: the values as plans.
    """

    def __init__(self, values: Iterable[Plan]) -> None:
        self._values = list(values)

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return any(isinstance(self._bare(value), kinds) for value in self._values)

    @staticmethod
    def _bare(plan: Plan) -> Value:
        return plan.value if isinstance(plan, Given) else plan

    def edges(self, context: Context, fence: Fence) -> list[Plan]:  # noqa: ARG002  # the protocol
        return [value for value in self._values if fence.admits(self._bare(value))]

    def draw(self, context: Context, fence: Fence) -> Plan:
        values = self.edges(context, fence)
        if not values:
            raise UnfitError("no value lies within the precondition")
        return context.random.choice(values)


class AnyOf:
    """Values of several types.

    Args:
        members: the types, the simplest first.
    """

    def __init__(self, members: Iterable[Values]) -> None:
        self._members = list(members)

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return any(member.accepts(kinds) for member in self._members)

    def _fitting(self, fence: Fence) -> list[Values]:
        if fence.kinds is None:
            return self._members
        return [member for member in self._members if member.accepts(fence.kinds)]

    def edges(self, context: Context, fence: Fence) -> list[Plan]:
        found = []
        for member in self._fitting(fence):
            try:
                found.append(list(member.edges(context, fence)))
            except UnfitError:
                continue
        rounds = itertools.zip_longest(*found, fillvalue=_MISSING)
        return [plan for one in rounds for plan in one if plan is not _MISSING]

    def draw(self, context: Context, fence: Fence) -> Plan:
        members = self._fitting(fence)
        if context.depth > _DEEPEST:
            members = members[:1]
        for member in context.random.sample(members, len(members)):
            try:
                return member.draw(context, fence)
            except UnfitError:
                continue
        raise UnfitError("no value lies within the precondition")


_MISSING: Final = object()


class Later:
    """Values of a type that is worked out when it is first needed, for types inside themselves.

    Args:
        find: works it out.
        kind: the type.
    """

    def __init__(self, find: Callable[[], Values], kind: type) -> None:
        self._find = find
        self._kind = kind
        self._found: Values | None = None

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return fits(self._kind, kinds)

    def _values(self) -> Values:
        if self._found is None:
            self._found = self._find()
        return self._found

    def edges(self, context: Context, fence: Fence) -> list[Plan]:
        if context.depth > 1:
            return []
        context.depth += 1
        try:
            return list(itertools.islice(self._values().edges(context, fence), 40))
        finally:
            context.depth -= 1

    def draw(self, context: Context, fence: Fence) -> Plan:
        if context.depth > _DEEPEST:
            raise UnfitError("too deep")
        context.depth += 1
        try:
            return self._values().draw(context, fence)
        finally:
            context.depth -= 1


def lengths(context: Context, fence: Fence) -> list[int]:
    """Telling lengths: limits and small constants with their neighbours."""
    inside = fence.length or ANYWHERE
    low, high = whole_bounds(inside)
    found = [limit for limit in (low, high) if limit is not None]
    found += [value for value in (inside.choices or ()) if isinstance(value, int)]
    found += [
        c + step
        for c in context.constants.ints
        if 1 < c <= _LONGEST_CONSTANT
        for step in (-1, 0, 1)
    ]
    found += [4, 5, 8]
    return [n for n in dict.fromkeys(found) if 0 <= n <= _LONGEST and inside.admits(n)]


def length_of(context: Context, fence: Fence) -> int:
    """A random length."""
    random = context.random
    inside = fence.length or ANYWHERE
    if inside.choices is not None:
        fitting = [n for n in inside.choices if isinstance(n, int) and 0 <= n <= _LONGEST_FIXED]
        if not fitting:
            raise UnfitError("no length lies within the precondition")
        return random.choice(fitting)
    low, high = whole_bounds(inside)
    low = max(low or 0, 0)
    if high is not None and high < low:
        raise UnfitError("no length lies within the precondition")
    if context.depth <= 1 and context.chance(0.08):
        telling = lengths(context, fence)
        if telling:
            return random.choice(telling)
    most = low + max(1, int(3 + 9 * context.size) >> context.depth)
    most = most if high is None else min(most, high)
    for _ in range(RETRIES):
        length = random.randint(low, most)
        for divisor, rest in inside.remainders:
            length = length - length % divisor + rest if divisor else length
        if inside.admits(length):
            return length
    raise UnfitError("no length lies within the precondition")
