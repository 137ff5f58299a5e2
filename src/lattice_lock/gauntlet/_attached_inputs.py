"""Inputs as plans: how to make a value anew for every call, write it down, and make it smaller.

A plan is a scalar, a list of plans, or one of the classes below. Values are built from it afresh,
so that a function that changes its arguments changes nothing that is used again.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "OMITTED",
    "Bag",
    "Fixed",
    "Given",
    "Made",
    "Maker",
    "Pairs",
    "Plan",
    "UnfitError",
    "Value",
    "build",
    "build_all",
    "extent",
    "render",
    "render_all",
    "smaller",
    "smaller_all",
]

Value: TypeAlias = Any
"""Whatever a program under test passes around."""

Plan: TypeAlias = Any
"""A scalar as itself, a list of plans, `Bag`, `Fixed`, `Given`, `Made` or `Pairs`."""


class UnfitError(Exception):
    """A plan leads to no value that a function may be given."""


class Maker(Protocol):
    """What makes an object from arguments, and what is then done with it."""

    @property
    def label(self) -> str:
        """How it is written."""

    def make(self, arguments: Mapping[str, object]) -> object:
        """The object; `UnfitError` when these arguments give none."""

    def follow(self, target: object, name: str, arguments: Mapping[str, object]) -> None:
        """Call a method of an object that was made."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value that is used as it is, such as a member of an enumeration."""

    value: object
    text: str


OMITTED = Given(object(), "...")
"""Stands for an argument that is not passed, so that the parameter's own default is used."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A tuple whose length belongs to its type."""

    items: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class Bag:
    """A collection made from a list by a type or function: `set`, `tuple`, `iter`."""

    kind: Callable[[list[object]], object]
    items: list[Plan]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A mapping; with `fixed` keys it is a `TypedDict`."""

    kind: Callable[[dict[Any, Any]], object]
    pairs: list[tuple[Plan, Plan]]
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """An object made by a class, then changed by calls of its methods."""

    maker: Maker
    arguments: Mapping[str, Plan]
    calls: tuple[tuple[str, Mapping[str, Plan]], ...] = ()


def build(plan: Plan) -> Value:
    """The value that a plan describes, new every time.

    Raises:
        UnfitError: there is none.
    """
    match plan:
        case list():
            return [build(item) for item in plan]
        case Given():
            return plan.value
        case Fixed():
            return tuple(build(item) for item in plan.items)
        case Bag():
            return _hashed(plan.kind, [build(item) for item in plan.items])
        case Pairs():
            pairs = [(build(key), build(value)) for key, value in plan.pairs]
            return _hashed(lambda items: plan.kind(dict(items)), pairs)
        case Made():
            target = plan.maker.make(build_all(plan.arguments))
            for name, arguments in plan.calls:
                plan.maker.follow(target, name, build_all(arguments))
            return target
        case _:
            return plan


def _hashed(kind: Callable[[Any], object], items: list[Any]) -> object:
    try:
        return kind(items)
    except TypeError as error:
        raise UnfitError(str(error)) from error


def build_all(plans: Mapping[str, Plan]) -> dict[str, object]:
    """The values of several plans, by name."""
    return {name: build(plan) for name, plan in plans.items()}


def render(plan: Plan) -> str:
    """The plan in Python notation."""
    match plan:
        case list():
            return f"[{', '.join(map(render, plan))}]"
        case Given():
            return plan.text
        case Fixed():
            comma = "," if len(plan.items) == 1 else ""
            return f"({', '.join(map(render, plan.items))}{comma})"
        case Bag():
            return _render_bag(plan)
        case Pairs():
            inside = ", ".join(f"{render(key)}: {render(value)}" for key, value in plan.pairs)
            text = f"{{{inside}}}"
            return text if plan.kind is dict else f"{_name(plan.kind)}({text})"
        case Made():
            text = f"{plan.maker.label}({render_all(plan.arguments)})"
            for name, arguments in plan.calls:
                text += f" after .{name}({render_all(arguments)})"
            return text
        case _:
            return repr(plan)


def _render_bag(bag: Bag) -> str:
    inside = ", ".join(map(render, bag.items))
    if bag.kind is set and bag.items:
        return f"{{{inside}}}"
    if bag.kind is tuple:
        return f"({inside}{',' if len(bag.items) == 1 else ''})"
    return f"{_name(bag.kind)}([{inside}])" if bag.items else f"{_name(bag.kind)}()"


def _name(kind: object) -> str:
    return getattr(kind, "__name__", repr(kind))


def render_all(plans: Mapping[str, Plan]) -> str:
    """Several plans as keyword arguments."""
    return ", ".join(
        f"{name}={render(plan)}" for name, plan in plans.items() if plan is not OMITTED
    )


def extent(plan: Plan) -> int:
    """How large a plan is: lengths and magnitudes added up, for telling ordinary from huge."""
    match plan:
        case bool() | None | Given():
            return 1
        case int():
            return min(abs(plan), 10**12)
        case float():
            return int(min(abs(plan), 10**12)) if plan == plan else 1  # noqa: PLR0124  # NaN
        case str() | bytes():
            return len(plan)
        case list():
            return sum(map(extent, plan)) + len(plan)
        case Fixed() | Bag():
            return sum(map(extent, plan.items)) + len(plan.items)
        case Pairs():
            return sum(extent(key) + extent(value) + 1 for key, value in plan.pairs)
        case Made():
            calls = sum(sum(map(extent, each.values())) + 1 for _, each in plan.calls)
            return sum(map(extent, plan.arguments.values())) + calls + 1
        case _:
            return 1


def smaller(plan: Plan) -> Iterator[Plan]:  # noqa: C901  # a table of plans
    """Simpler plans of the same type, the boldest first."""
    match plan:
        case bool():
            yield from [False] if plan else []
        case int():
            yield from _smaller_int(plan)
        case float():
            yield from _smaller_float(plan)
        case str() | bytes():
            yield from _smaller_text(plan)
        case list():
            yield from _smaller_list(plan)
        case Fixed():
            for items in _each_smaller(list(plan.items)):
                yield Fixed(tuple(items))
        case Bag():
            for items in _smaller_list(plan.items):
                yield replace(plan, items=items)
        case Pairs():
            yield from _smaller_pairs(plan)
        case Made():
            yield from _smaller_made(plan)
        case _:
            return


def smaller_all(plans: Mapping[str, Plan]) -> Iterator[Mapping[str, Plan]]:
    """Variants in which one of several plans is simpler."""
    for name, plan in plans.items():
        for less in smaller(plan):
            yield {**plans, name: less}
    for one, other in itertools.combinations(plans, 2):
        # What has to stay equal, or one apart, can only become smaller together.
        pair = plans[one], plans[other]
        if all(type(plan) is int and plan > 0 for plan in pair):
            for step in (min(pair), 1):
                yield {**plans, one: pair[0] - step, other: pair[1] - step}


def _smaller_int(value: int) -> Iterator[int]:
    if value == 0:
        return
    yield 0
    if value < 0:
        yield -value
    sign = 1 if value > 0 else -1
    step = abs(value) // 2
    while step:
        yield value - sign * step
        step //= 2


def _smaller_float(value: float) -> Iterator[float]:
    if value != 0 and abs(value) < 2**53:
        yield 0.0
        if value < 0:
            yield -value
        if value != int(value):
            yield float(int(value))
        yield from (float(less) for less in _smaller_int(int(value)) if value == int(value))


def _smaller_text(text: Value) -> Iterator[Any]:
    length = len(text)
    if not length:
        return
    yield text[:0]
    size = length // 2
    while size:
        for start in range(0, length, size):
            yield text[:start] + text[start + size :]
        size //= 2
    if isinstance(text, str):
        for place, character in enumerate(text):
            for plain in "a0 ":
                if character == plain:
                    break
                yield text[:place] + plain + text[place + 1 :]


def _smaller_list(items: list[Plan]) -> Iterator[list[Plan]]:
    length = len(items)
    if not length:
        return
    yield []
    size = length // 2
    while size:
        for start in range(0, length, size):
            yield items[:start] + items[start + size :]
        size //= 2
    if length == 1:
        yield []
    yield from _each_smaller(items)
    if all(isinstance(item, int | float | str) for item in items):
        for one, other in itertools.combinations(range(min(length, 8)), 2):
            if items[one] != items[other]:
                yield [items[one] if place == other else item for place, item in enumerate(items)]


def _each_smaller(items: list[Plan]) -> Iterator[list[Plan]]:
    for place, item in enumerate(items):
        for less in smaller(item):
            yield [*items[:place], less, *items[place + 1 :]]


def _smaller_pairs(plan: Pairs) -> Iterator[Pairs]:
    if not plan.fixed:
        for place in range(len(plan.pairs)):
            yield replace(plan, pairs=plan.pairs[:place] + plan.pairs[place + 1 :])
    for place, (key, value) in enumerate(plan.pairs):
        for less in () if plan.fixed else smaller(key):
            pairs = [*plan.pairs[:place], (less, value), *plan.pairs[place + 1 :]]
            yield replace(plan, pairs=pairs)
        for less in smaller(value):
            pairs = [*plan.pairs[:place], (key, less), *plan.pairs[place + 1 :]]
            yield replace(plan, pairs=pairs)


def _smaller_made(plan: Made) -> Iterator[Made]:
    for place in range(len(plan.calls)):
        yield replace(plan, calls=plan.calls[:place] + plan.calls[place + 1 :])
    for arguments in smaller_all(plan.arguments):
        yield replace(plan, arguments=arguments)
    for place, (name, arguments) in enumerate(plan.calls):
        for less in smaller_all(arguments):
            calls = (*plan.calls[:place], (name, less), *plan.calls[place + 1 :])
            yield replace(plan, calls=calls)
