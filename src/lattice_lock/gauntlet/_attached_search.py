"""Search inputs that break a contract: telling ones first, then random ones, then huge ones.

What was found is made smaller for as long as the same condition breaks. Time is counted in
processor time, so that a busy machine finds what an idle one finds.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from typing_extensions import override

from lattice_lock.gauntlet._attached_contracts import Broken, TooLargeError
from lattice_lock.gauntlet._attached_inputs import (
    Made,
    Plan,
    UnfitError,
    Value,
    build,
    extent,
    render,
    render_all,
    smaller,
    smaller_all,
)
from lattice_lock.gauntlet._attached_values import ANYWHERE, Context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from lattice_lock.gauntlet._attached_callees import Callee
    from lattice_lock.gauntlet._attached_constants import Constants
    from lattice_lock.gauntlet._attached_objects import ObjectClass

__all__ = [
    "Call",
    "CallTrial",
    "ConstructionTrial",
    "Effort",
    "Finding",
    "MethodTrial",
    "SequenceTrial",
    "search",
]

Call: TypeAlias = "tuple[Callee, Mapping[str, Plan], dict[str, Value]]"

_HUGE: Final = (10**6, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**31), -(2**63), 10**18)
_ORDINARY: Final = 10_000
_SMALL: Final = 200
_MOST_SLOW: Final = 2
_REPEAT_S: Final = 0.05
_LONGEST_SEQUENCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How hard to search.

    Attributes:
        edges: most inputs put together from telling values.
        draws: random inputs.
        search_s: seconds of processor time for all inputs of one function.
        shrink_s: seconds of processor time for making a counterexample smaller.
        call_s: seconds of processor time for one input.
        wall_s: seconds after which the search ends even if it only waited.
        huge: whether to try huge numbers too.
    """

    edges: int = 1500
    draws: int = 1500
    search_s: float = 1.2
    shrink_s: float = 0.6
    call_s: float = 0.5
    wall_s: float = 8.0
    huge: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How a search ended.

    Attributes:
        examples: inputs that met the preconditions.
        tried: all inputs that were made.
        broken: what was wrong, None when nothing was found.
        counterexample: the smallest input that breaks it, None without one.
        slow: an ordinary input that took too long, None without one.
        large_slow: a huge input that took too long, None without one.
    """

    examples: int
    tried: int
    broken: Broken | None = None
    counterexample: str | None = None
    slow: str | None = None
    large_slow: str | None = None


class _TimeUpError(BaseException):
    """An input took too long; no `except Exception` may stop it."""


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise _TimeUpError

    signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _REPEAT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


class Trial(Protocol):
    """One contract and how to try it."""

    def edges(self, context: Context, most: int) -> Iterator[Any]:
        """Examples put together from telling values."""

    def draw(self, context: Context) -> Value:
        """A random example."""

    def attempt(self, example: Value) -> Broken | None:
        """What is wrong with what happens; `UnfitError` when nothing may happen."""

    def smaller(self, example: Value) -> Iterator[Any]:
        """Simpler examples."""

    def render(self, example: Value) -> str:
        """The example in Python notation."""

    def extent(self, example: Value) -> int:
        """How large it is."""

    def huge(self, example: Value, value: int) -> Value | None:
        """The example with a huge number in it; None where there is no place for one."""


class CallTrial:
    """A function, called once.

    Args:
        callee: the function.
    """

    def __init__(self, callee: Callee) -> None:
        self._callee = callee

    def edges(self, context: Context, most: int) -> Iterator[Mapping[str, Plan]]:
        return self._callee.edges(context, most)

    def draw(self, context: Context) -> Mapping[str, Plan]:
        return self._callee.draw(context)

    def attempt(self, example: Mapping[str, Plan]) -> Broken | None:
        return self._callee.check(example)[0]

    def call_of(self, example: Mapping[str, Plan]) -> Call:
        """What is called, with what, and what it is called on."""
        return self._callee, example, {}

    def smaller(self, example: Mapping[str, Plan]) -> Iterator[Mapping[str, Plan]]:
        return smaller_all(example)

    def render(self, example: Mapping[str, Plan]) -> str:
        return render_all(example)

    def extent(self, example: Mapping[str, Plan]) -> int:
        return sum(map(extent, example.values()))

    def huge(self, example: Mapping[str, Plan], value: int) -> Mapping[str, Plan] | None:
        places = [name for name, plan in example.items() if type(plan) is int]
        return {**example, places[value % len(places)]: value} if places else None


class ConstructionTrial(CallTrial):
    """A constructor, and the invariants of what it makes.

    Args:
        described: the class.
    """

    def __init__(self, described: ObjectClass) -> None:
        super().__init__(described.new)
        self._described = described

    @override
    def attempt(self, example: Mapping[str, Plan]) -> Broken | None:
        broken, made = self._callee.check(example)
        return broken or self._described.broken_invariant(made)


class MethodTrial:
    """A method, called on objects with a past.

    Args:
        described: the class.
        callee: the method.

    Attributes:
        described: the class.
    """

    def __init__(self, described: ObjectClass, callee: Callee) -> None:
        self.described = described
        self._callee = callee

    def edges(self, context: Context, most: int) -> Iterator[tuple[Made, Mapping[str, Plan]]]:
        objects = list(itertools.islice(self.described.edges(context, ANYWHERE), 14))
        for made in objects:
            target = {"self": build(made)}
            each = max(12, most // (4 * len(objects)))
            for arguments in self._callee.edges(context, each, target):
                yield made, arguments

    def draw(self, context: Context) -> tuple[Made, Mapping[str, Plan]]:
        made = self.described.draw(context, ANYWHERE)
        return made, self._callee.draw(context, {"self": build(made)})

    def attempt(self, example: tuple[Made, Mapping[str, Plan]]) -> Broken | None:
        made, arguments = example
        target = build(made)
        broken, _ = self._callee.check(arguments, {"self": target})
        return broken or self.described.broken_invariant(target)

    def call_of(self, example: tuple[Made, Mapping[str, Plan]]) -> Call:
        """What is called, with what, and what it is called on."""
        made, arguments = example
        return self._callee, arguments, {"self": build(made)}

    def smaller(
        self, example: tuple[Made, Mapping[str, Plan]]
    ) -> Iterator[tuple[Made, Mapping[str, Plan]]]:
        made, arguments = example
        yield from ((less, arguments) for less in smaller(made))
        yield from ((made, less) for less in smaller_all(arguments))

    def render(self, example: tuple[Made, Mapping[str, Plan]]) -> str:
        made, arguments = example
        return ", ".join(filter(None, [f"self={render(made)}", render_all(arguments)]))

    def extent(self, example: tuple[Made, Mapping[str, Plan]]) -> int:
        made, arguments = example
        return extent(made) + sum(map(extent, arguments.values()))

    def huge(
        self, example: tuple[Made, Mapping[str, Plan]], value: int
    ) -> tuple[Made, Mapping[str, Plan]] | None:
        made, arguments = example
        places = [name for name, plan in arguments.items() if type(plan) is int]
        return (made, {**arguments, places[value % len(places)]: value}) if places else None


class SequenceTrial:
    """An object and a sequence of calls, after each of which the invariants hold.

    Exceptions of methods without a contract end a sequence and are no finding.

    Args:
        described: the class.
    """

    def __init__(self, described: ObjectClass) -> None:
        self._described = described

    def edges(self, context: Context, most: int) -> Iterator[Made]:
        for arguments in self._described.new.edges(context, min(most, 200)):
            made = Made(self._described, arguments)
            yield made
            yield from self._one_call(made, context)

    def _one_call(self, made: Made, context: Context) -> Iterator[Made]:
        try:
            target = build(made)
        except UnfitError:
            return
        for name in self._described.public:
            for arguments in self._described.methods[name].edges(context, 12, {"self": target}):
                yield Made(made.maker, made.arguments, ((name, arguments),))

    def draw(self, context: Context) -> Made:
        described = self._described
        arguments = described.new.draw(context)
        made = Made(described, arguments)
        target = build(made)
        calls: list[tuple[str, Mapping[str, Plan]]] = []
        for _ in range(context.random.randint(1, _LONGEST_SEQUENCE)):
            if not described.public:
                break
            name = context.random.choice(described.public)
            try:
                chosen = described.methods[name].draw(context, {"self": target})
                calls.append((name, chosen))
                described.follow(target, name, {n: build(plan) for n, plan in chosen.items()})
            except UnfitError:
                break  # judged when the sequence is tried
        return Made(described, arguments, tuple(calls))

    def attempt(self, example: Made) -> Broken | None:
        described = self._described
        broken, target = described.new.check(example.arguments)
        if broken is not None:
            if broken.clause is None or described.is_guarded:
                raise UnfitError("the constructor refuses this")
            return broken
        if (found := described.broken_invariant(target)) is not None:
            if described.is_guarded:
                raise UnfitError("the invariants refuse this")
            return found
        for name, arguments in example.calls:
            try:
                broken, _ = described.methods[name].check(arguments, {"self": target})
            except UnfitError:
                continue
            if broken is not None and broken.clause is None:
                return None
            found = broken or described.broken_invariant(target)
            if found is not None:
                return Broken(found.key, found.clause, f"`{name}` {found.message}")
        return None

    def smaller(self, example: Made) -> Iterator[Made]:
        return smaller(example)

    def render(self, example: Made) -> str:
        return render(example)

    def extent(self, example: Made) -> int:
        return extent(example)

    def huge(self, example: Made, value: int) -> Made | None:  # noqa: ARG002  # the protocol
        return None


def search(trial: Trial, constants: Constants, *, seed: int, effort: Effort) -> Finding:
    """Try a contract until it is refuted or the effort is spent."""
    return _Search(trial, constants, seed=seed, effort=effort).run()


class _Search:
    def __init__(self, trial: Trial, constants: Constants, *, seed: int, effort: Effort) -> None:
        self._trial = trial
        self._effort = effort
        self._context = Context(random.Random(seed), constants)  # noqa: S311  # not for secrets
        self._examples = 0
        self._tried = 0
        self._slow: list[Any] = []
        self._largest = 10**30
        self._ends = time.monotonic() + effort.wall_s
        self._cpu_ends = time.process_time() + effort.search_s

    def run(self) -> Finding:
        for example in self._candidates():
            broken = self._try(example)
            if broken is not None:
                smallest, broken = self._shrink(example, broken)
                return self._finding(broken, self._trial.render(smallest))
            if self._is_spent():
                break
        return self._finding(None, None)

    def _is_spent(self) -> bool:
        return (
            time.process_time() > self._cpu_ends
            or time.monotonic() > self._ends
            or len(self._slow) >= _MOST_SLOW
        )

    def _candidates(self) -> Iterator[Any]:
        context, effort = self._context, self._effort
        # A share of random inputs comes early, for functions with so many telling ones that the
        # time is spent before they are through.
        edges = self._edges()
        for _ in range(0, effort.edges, 10):
            batch = list(itertools.islice(edges, 10))
            yield from batch
            if len(batch) < 10:  # noqa: PLR2004  # the telling ones are used up
                break
            yield from self._draws(3)
        last: list[Any] = []
        for number in range(effort.draws):
            context.size = number / effort.draws
            for example in self._draws(1):
                last = [*last[-6:], example]
                yield example
        for example in last if effort.huge else ():
            for value in _HUGE:
                changed = self._trial.huge(example, value)
                if changed is not None:
                    yield changed

    def _edges(self) -> Iterator[Any]:
        try:
            with_limit = self._trial.edges(self._context, self._effort.edges)
            yield from with_limit
        except UnfitError:
            return

    def _draws(self, number: int) -> Iterator[Any]:
        for _ in range(number):
            if self._is_spent():
                return
            try:
                with _limited(self._effort.call_s):
                    example = self._trial.draw(self._context)
            except UnfitError:
                self._tried += 1
                continue
            except _TimeUpError:
                self._tried += 1
                continue
            yield example

    def _try(self, example: Value) -> Broken | None:
        size = self._trial.extent(example)
        if size > self._largest:
            return None
        self._tried += 1
        try:
            broken = self._attempt(example, size)
        except UnfitError:
            return None
        except _TimeUpError:
            # Where time grows fast with size, what is half as large is done in time.
            self._slow.append(example)
            self._largest = min(size // 2 + 1, self._largest)
            self._cpu_ends += self._effort.call_s
            return None
        self._examples += 1
        return broken

    def _attempt(self, example: Value, size: int) -> Broken | None:
        try:
            with _limited(self._effort.call_s):
                return self._trial.attempt(example)
        except TooLargeError as error:
            if size > _SMALL or "MemoryError" in str(error):
                raise
            return Broken("raised for a small input", None, str(error))

    def _shrink(self, example: Value, broken: Broken) -> tuple[Any, Broken]:
        ends = time.process_time() + self._effort.shrink_s
        improved = True
        while improved and time.process_time() < ends:
            improved = False
            for less in self._trial.smaller(example):
                if time.process_time() > ends:
                    break
                try:
                    found = self._attempt(less, self._trial.extent(less))
                except (UnfitError, _TimeUpError):
                    continue
                if found is not None and found.key == broken.key:
                    example, broken, improved = less, found, True
                    break
        return example, self._confirmed(example, broken)

    def _confirmed(self, example: Value, broken: Broken) -> Broken:
        try:
            again = self._attempt(example, self._trial.extent(example))
        except (UnfitError, _TimeUpError):
            again = None
        if again is not None:
            return again
        message = f"{broken.message}\n  though not at every call with the same input"
        return Broken(broken.key, broken.clause, message)

    def _finding(self, broken: Broken | None, counterexample: str | None) -> Finding:
        slow = min(self._slow, key=self._trial.extent, default=None)
        ordinary = slow is not None and self._trial.extent(slow) <= _ORDINARY
        return Finding(
            examples=self._examples,
            tried=self._tried,
            broken=broken,
            counterexample=counterexample,
            slow=self._trial.render(slow) if slow is not None and ordinary else None,
            large_slow=self._trial.render(slow) if slow is not None and not ordinary else None,
        )
