"""Where values of one parameter may lie, as far as its preconditions were understood."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lattice_lock.gauntlet._attached_inputs import Value

__all__ = ["Bound", "Fence"]


@dataclass(slots=True)
class Fence:
    """Where values of one parameter may lie, as far as that was understood.

    Attributes:
        low: least value, with `low_open` whether it is itself excluded.
        high: greatest value, with `high_open` whether it is itself excluded.
        excluded: values that are not allowed.
        choices: the only values allowed, None for all.
        remainders: (divisor, remainder) pairs.
        kinds: types that a value may have, None for all.
        not_kinds: types that a value may not have.
        length: of a collection or text, None where nothing was said.
        items: of a collection, None where nothing was said.
        values: of a mapping, whose `items` are its keys.
        order: 1 ascending, -1 descending, 2 and -2 strictly so, 0 not ordered.
        unique: whether items differ from each other.
        rows: "equal" when all items have one length, "square" when it is that of the whole.
        patterns: (regular expression, flags, whether the whole text must match).
        alphabet: the only characters of a text, None for all.
        keys: the keys of a mapping, as far as they are settled, None where they are not.
        forbidden: texts that a text may not contain.
        parts: what a text or collection must contain.
        prefix: how a text begins.
        suffix: how a text ends.
    """

    low: Value = None
    low_open: bool = False
    high: Value = None
    high_open: bool = False
    excluded: list[Value] = field(default_factory=list)
    choices: list[Value] | None = None
    remainders: list[tuple[int, int]] = field(default_factory=list)
    kinds: tuple[type, ...] | None = None
    not_kinds: tuple[type, ...] = ()
    length: Fence | None = None
    items: Fence | None = None
    values: Fence | None = None
    order: int = 0
    unique: bool = False
    rows: str = ""
    patterns: list[tuple[str, int, bool]] = field(default_factory=list)
    alphabet: str | None = None
    keys: list[Value] | None = None
    forbidden: list[str] = field(default_factory=list)
    parts: list[Value] = field(default_factory=list)
    prefix: str = ""
    suffix: str = ""

    def at(self, path: tuple[str, ...]) -> Fence:
        """The fence of a part: its `length`, its `items`, their parts."""
        fence = self
        for step in path:
            inner: Fence | None = getattr(fence, step)
            if inner is None:
                inner = Fence()
                setattr(fence, step, inner)
            fence = inner
        return fence

    def admits(self, value: Value) -> bool:
        """Whether a scalar lies within; True where that cannot be told."""
        try:
            return self._admits(value)
        except (TypeError, ValueError, ArithmeticError):
            return True

    def _admits(self, value: Value) -> bool:
        if self.choices is not None and value not in self.choices:
            return False
        if value in self.excluded:
            return False
        if self.low is not None and (value < self.low or (self.low_open and value == self.low)):
            return False
        if self.high is not None and (value > self.high or (self.high_open and value == self.high)):
            return False
        return all(value % divisor == rest for divisor, rest in self.remainders if divisor)

    def apply(self, operator: str, value: Value) -> None:
        """Narrow by a comparison of the value with something.

        Raises:
            TypeError: the two cannot be compared.
        """
        match operator:
            case ">" | ">=":
                if self.low is None or value > self.low or (value == self.low and operator == ">"):
                    self.low, self.low_open = value, operator == ">"
            case "<" | "<=":
                if (
                    self.high is None
                    or value < self.high
                    or (value == self.high and operator == "<")
                ):
                    self.high, self.high_open = value, operator == "<"
            case "==":
                self.choices = [value]
            case "!=":
                self.excluded.append(value)
            case "in":
                self._apply_in(value)
            case "not in":
                self.excluded += list(value)
            case "%":
                self.remainders.append(value)
            case _:
                raise AssertionError(operator)

    def _apply_in(self, container: Value) -> None:
        if isinstance(container, range) and abs(container.step) == 1 and len(container) > 0:
            self.apply(">=", min(container))
            self.apply("<=", max(container))
            return
        if isinstance(container, str):
            self.alphabet = container
        listed = list(itertools.islice(container, 200))
        self.choices = [one for one in listed if self.choices is None or one in self.choices]


@dataclass(frozen=True, slots=True)
class Bound:
    """One comparison of a part of a parameter with something that can be worked out.

    Attributes:
        name: the parameter.
        path: which part, see `Fence.at`.
        narrow: narrows a fence, given the value of `other`.
        needs: parameters that must have a value first.
        other: computes what is compared with, from the parameters.
    """

    name: str
    path: tuple[str, ...]
    narrow: Callable[[Fence, Value], None]
    needs: frozenset[str]
    other: Callable[[Mapping[str, object]], Value]
