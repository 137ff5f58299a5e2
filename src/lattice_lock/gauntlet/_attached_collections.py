"""Values of lists, tuples, sets and mappings."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lattice_lock.gauntlet._attached_fences import Fence
from lattice_lock.gauntlet._attached_inputs import (
    Bag,
    Fixed,
    Given,
    Pairs,
    Plan,
    UnfitError,
    Value,
)
from lattice_lock.gauntlet._attached_values import (
    ANYWHERE,
    RETRIES,
    Context,
    Values,
    fits,
    length_of,
    lengths,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Collections", "Mappings", "Records", "Tuples"]

_MOST_EDGES: Final = 160
_STRICT: Final = 2


def _narrowed_row(fence: Fence, row: int) -> Fence:
    """The fence of items that all have one length."""
    return replace(fence.items or ANYWHERE, length=Fence(choices=[row]))


def _sort_key(plan: Plan) -> Value:
    match plan:
        case list():
            return [_sort_key(item) for item in plan]
        case Fixed():
            return tuple(_sort_key(item) for item in plan.items)
        case Given():
            return plan.value
        case _:
            return plan


class Collections:
    """Lists and what is made from lists.

    Args:
        items: of each item.
        kind: None for a list, otherwise a type such as `set`.
        own: the type that the values have.
    """

    def __init__(self, items: Values, kind: Value = None, own: type = list) -> None:
        self._items = items
        self._kind = kind
        self._own = own
        self._unordered = own in (set, frozenset)

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return fits(self._own, kinds)

    def _plan(self, items: list[Plan]) -> Plan:
        return items if self._kind is None else Bag(self._kind, items)

    def edges(self, context: Context, fence: Fence) -> list[Plan]:
        if fence.choices is not None:
            return [self._taken(value) for value in fence.choices if isinstance(value, self._own)]
        context.depth += 1
        try:
            found = list(itertools.islice(self._edge_lists(context, fence), 4 * _MOST_EDGES))
        finally:
            context.depth -= 1
        found += [
            list(value) for value in context.relatives.get(self._own, ()) if self._kind is None
        ]
        if self._kind is None and self._own is list:
            found += [value[::-1] for value in context.relatives.get(list, ())]
        fitting = []
        seen = set()
        for items in found:
            arranged = self._arranged(items, fence)
            key = repr(arranged)
            if arranged is not None and key not in seen and self._fits(arranged, fence):
                seen.add(key)
                fitting.append(self._plan(arranged))
        return fitting[:_MOST_EDGES]

    def _taken(self, value: Value) -> Plan:
        return self._plan(list(value))

    def _edge_lists(self, context: Context, fence: Fence) -> Iterator[list[Plan]]:
        inner = fence.items or ANYWHERE
        if fence.rows:
            for height in (0, 1, 2, 3):
                for row in (height,) if fence.rows == "square" else (1, 2, 0, 3):
                    same = _narrowed_row(fence, row)
                    try:
                        yield [self._items.draw(context, same) for _ in range(height)]
                    except UnfitError:
                        continue
            return
        yield []
        try:
            items = list(itertools.islice(self._items.edges(context, inner), 24))
        except UnfitError:
            return
        if not items:
            return
        few = items[:4] if context.depth == 1 else items[:2]
        yield from ([item] for item in items[:12])
        for length in (2, 3):
            yield from (list(chosen) for chosen in itertools.product(few, repeat=length))
        # More than three of something: sorted, reversed, all equal, equal ends, alternating.
        run = items[:7]
        yield from (run, run[::-1], [*run, run[0]], [items[0]] * 4, [*run[:2]] * 2)
        yield from ([item, item] for item in items[4:12])
        yield from ([one, other] for one, other in itertools.pairwise(items))
        if context.depth == 1:
            yield from (list(chosen) for chosen in itertools.product(items[:2], repeat=4))
            for length in lengths(context, fence):
                cycled = itertools.islice(itertools.cycle(items), length)
                yield from ([items[0]] * length, list(cycled), [items[-1]] * length)

    def _arranged(self, items: list[Plan], fence: Fence) -> list[Plan] | None:
        """The items in the order, and as often, as the fence wants."""
        if self._unordered or fence.unique or abs(fence.order) == _STRICT:
            items = list({repr(item): item for item in items}.values())
        for part in fence.parts:
            if isinstance(part, int | float | str | bool) and part not in items:
                items = [*items, part]
        if fence.order:
            try:
                items = sorted(items, key=_sort_key, reverse=fence.order < 0)
            except TypeError:
                return None
        return items

    def _fits(self, items: list[Plan], fence: Fence) -> bool:
        return fence.length is None or fence.length.admits(len(items))

    def draw(self, context: Context, fence: Fence) -> Plan:
        random = context.random
        if fence.choices is not None:
            return random.choice(self.edges(context, fence) or [self._plan([])])
        if self._kind is None and context.chance(0.12):
            related = context.relatives.get(self._own)
            if related:
                return self._variation(list(random.choice(related)), context, fence)
        context.depth += 1
        try:
            for _ in range(RETRIES):
                items = self._arranged(self._random(context, fence), fence)
                if items is not None and self._fits(items, fence):
                    return self._plan(items)
        finally:
            context.depth -= 1
        raise UnfitError("no collection lies within the precondition")

    def _variation(self, items: list[Value], context: Context, fence: Fence) -> Plan:
        context.random.shuffle(items)
        cut = items[: context.random.randint(0, len(items))] if context.chance(0.5) else items
        arranged = self._arranged(cut, fence)
        if arranged is None or not self._fits(arranged, fence):
            raise UnfitError("no variation fits")
        return self._plan(arranged)

    def _random(self, context: Context, fence: Fence) -> list[Plan]:
        random = context.random
        length = length_of(context, fence)
        inner = fence.items or ANYWHERE
        if fence.rows:
            row = length if fence.rows == "square" else random.randint(1, 4)
            inner = _narrowed_row(fence, row)
        if context.chance(0.3) and not fence.unique and not self._unordered and length > 1:
            few = [self._items.draw(context, inner) for _ in range(random.randint(1, 3))]
            return [random.choice(few) for _ in range(length)]
        items = [self._items.draw(context, inner) for _ in range(length)]
        if context.chance(0.3) and all(type(item) is str for item in items):
            return _crossed(items, context)
        if context.chance(0.3) and not fence.order:
            try:
                items.sort(key=_sort_key, reverse=context.chance(0.5))
            except TypeError:
                return items
        return items


def _crossed(texts: list[str], context: Context) -> list[str]:
    """Texts that share their beginnings, as lines of one format do."""
    place = context.random.randint(1, 4)
    return [
        context.random.choice(texts)[:place] + text[place:] if context.chance(0.5) else text
        for text in texts
    ]


class Tuples:
    """Tuples of a fixed length.

    Args:
        members: of each place.
        kind: None for a plain tuple, otherwise what makes a value from it.
    """

    def __init__(self, members: Iterable[Values], kind: Value = None) -> None:
        self._members = list(members)
        self._kind = kind

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return fits(tuple, kinds)

    def edges(self, context: Context, fence: Fence) -> list[Plan]:
        inner = fence.items or ANYWHERE
        each = max(2, int(_MOST_EDGES ** (1 / max(1, len(self._members)))))
        pools = [list(itertools.islice(m.edges(context, inner), each)) for m in self._members]
        chosen = itertools.islice(itertools.product(*pools), _MOST_EDGES)
        return [self._plan(items) for items in chosen]

    def draw(self, context: Context, fence: Fence) -> Plan:
        inner = fence.items or ANYWHERE
        items = tuple(member.draw(context, inner) for member in self._members)
        if fence.order:
            items = tuple(sorted(items, key=_sort_key, reverse=fence.order < 0))
        return self._plan(items)

    def _plan(self, items: tuple[Plan, ...]) -> Plan:
        return Fixed(items) if self._kind is None else self._kind(items)


class Mappings:
    """Dictionaries and their kin.

    Args:
        keys: of each key.
        values: of each value.
        kind: what makes the mapping from a dictionary.
    """

    def __init__(self, keys: Values, values: Values, kind: Value = dict) -> None:
        self._keys = keys
        self._values = values
        self._kind = kind

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return fits(dict, kinds)

    def edges(self, context: Context, fence: Fence) -> list[Plan]:
        context.depth += 1
        try:
            keys = list(itertools.islice(self._keys.edges(context, fence.items or ANYWHERE), 5))
            values = list(
                itertools.islice(self._values.edges(context, fence.values or ANYWHERE), 4)
            )
        finally:
            context.depth -= 1
        found: list[list[tuple[Plan, Plan]]] = [[]]
        found += [[(key, value)] for key in keys for value in values]
        for one, other in itertools.combinations(keys[:3], 2):
            found += [
                [(one, first), (other, second)]
                for first, second in itertools.product(values[:3], repeat=2)
            ]
        found.append(list(zip(keys, itertools.cycle(values or [None]))) if values else [])
        return [
            Pairs(self._kind, pairs)
            for pairs in found
            if fence.length is None or fence.length.admits(len(pairs))
        ]

    def draw(self, context: Context, fence: Fence) -> Plan:
        context.depth += 1
        try:
            length = length_of(context, fence)
            pairs = {}
            wanted = list(fence.keys or ())
            wanted += [part for part in fence.parts if isinstance(part, int | str | float)]
            for number in range(max(length, len(wanted))):
                key = (
                    wanted[number]
                    if number < len(wanted)
                    else self._keys.draw(context, fence.items or ANYWHERE)
                )
                pairs[repr(key)] = (key, self._values.draw(context, fence.values or ANYWHERE))
        finally:
            context.depth -= 1
        return Pairs(self._kind, list(pairs.values()))


class Records:
    """Dictionaries with known keys, as a `TypedDict` describes them.

    Args:
        fields: values by key.
        optional: keys that may be missing.
    """

    def __init__(self, fields: Mapping[str, Values], optional: frozenset[str]) -> None:
        self._fields = dict(fields)
        self._optional = optional

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return fits(dict, kinds)

    def edges(self, context: Context, fence: Fence) -> list[Plan]:
        return [self.draw(context, fence) for _ in range(20)]

    def draw(self, context: Context, fence: Fence) -> Plan:  # noqa: ARG002  # the protocol
        pairs = [
            (name, values.draw(context, ANYWHERE))
            for name, values in self._fields.items()
            if name not in self._optional or context.chance(0.7)
        ]
        return Pairs(dict, pairs, fixed=True)
