"""Contracts as decorators: what they record, and what `enforce` checks."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.gauntlet.decorators import (
    ContractViolationError,
    enforce,
    ensures,
    raises,
    requires,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@enforce
@requires("amount > 0")
@requires(lambda amount, limit: amount <= limit)
@ensures("result == old(amount) * 2")
def doubled(amount: int, /, limit: int = 100, *rest: int, wrong: bool = False, **more: int) -> int:
    """A function with every kind of parameter."""
    assert limit
    assert len(rest) < 9
    assert len(more) < 9
    return amount * 2 + wrong


@enforce
class Account:
    """A class whose methods are all checked."""

    def __init__(self) -> None:
        self.balance = 0

    @requires("amount > 0")
    @ensures(lambda self, amount, old: self.balance == old.self.balance + amount)
    def deposit(self, amount: int) -> None:
        """Add, but never more than a thousand."""
        self.balance += min(amount, 1000)

    @raises(ValueError, "amount > self.balance")
    @raises(TypeError)
    def withdraw(self, amount: int) -> int:
        """Take, with two mistakes."""
        if amount == 66:
            raise TypeError
        if amount > self.balance and amount != 77:
            raise ValueError
        if amount == 7:
            raise ValueError
        return amount

    @staticmethod
    @requires("n > 0")
    def one(n: int) -> int:
        """A static method."""
        return n

    @requires("n > 0")
    @classmethod
    def two(cls, n: int) -> type:
        """A class method, decorated from outside."""
        assert n
        return cls


def test_decorators_only_record() -> None:
    """Without `enforce` the function itself comes back, and nothing is checked."""

    def plain(x: int) -> int:
        return x

    assert ensures("result > 1000")(requires("x > 0")(plain)) is plain
    assert plain(-1) == -1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((0,), "`doubled` was called against its precondition `amount > 0`; with amount=0"),
        ((5, 4), "`doubled` was called against its precondition `amount <= limit`"),
    ],
)
def test_a_call_against_a_precondition_is_named(arguments: tuple[int, ...], told: str) -> None:
    """The error names function, condition and values."""
    with pytest.raises(ContractViolationError) as caught:
        doubled(*arguments)
    assert str(caught.value).startswith(told)
    assert caught.value.kind == "requires"


def test_a_broken_postcondition_is_named() -> None:
    """The error tells what was returned, and survives pickling."""
    assert doubled(3, 4, 5, more=6) == 6
    with pytest.raises(ContractViolationError) as caught:
        doubled(3, wrong=True)
    assert str(caught.value).startswith("`doubled` broke its postcondition `result == old(amount)")
    assert caught.value.values == {"result": "7"}
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # made a line above
    assert (str(again), again.condition) == (str(caught.value), caught.value.condition)


def test_an_enforced_function_looks_the_same() -> None:
    """Name, docstring and signature stay."""
    assert doubled.__name__ == "doubled"
    assert doubled.__doc__ == "A function with every kind of parameter."
    assert list(inspect.signature(doubled).parameters) == [
        "amount",
        "limit",
        "rest",
        "wrong",
        "more",
    ]


def test_methods_are_compared_with_the_state_before() -> None:
    """`old` has a copy of what the method then changed."""
    account = Account()
    account.deposit(5)
    assert account.balance == 5
    with pytest.raises(ContractViolationError, match="broke its postcondition"):
        account.deposit(2000)


@pytest.mark.parametrize("call", [Account.one, Account.two, Account().one, Account().two])
def test_static_and_class_methods_are_checked(call: object) -> None:
    """Whether decorated inside or outside of `staticmethod` and `classmethod`."""
    assert callable(call)
    assert call(1) in (1, Account)
    with pytest.raises(ContractViolationError, match="n > 0"):
        call(0)


def test_declared_exceptions_pass_and_others_are_told() -> None:
    """`raises` means: when, and only when; without a condition: at any time."""
    account = Account()
    account.deposit(50)
    assert account.withdraw(5) == 5
    with pytest.raises(ValueError, match=r"^$"):
        account.withdraw(51)
    with pytest.raises(TypeError):
        account.withdraw(66)
    with pytest.raises(ContractViolationError, match="did not raise `ValueError`, though"):
        account.withdraw(77)
    with pytest.raises(ContractViolationError, match="raised `ValueError`, though not"):
        account.withdraw(7)


async def test_a_coroutine_is_checked_when_it_is_awaited() -> None:
    """Its result is what it returns."""

    @enforce
    @requires("n != 1")
    @ensures("result == n")
    async def echo(n: int) -> int:
        await asyncio.sleep(0)
        return n if n != 2 else 3

    assert await echo(0) == 0
    for wrong in (1, 2):
        with pytest.raises(ContractViolationError):
            await echo(wrong)


def test_a_generator_is_checked_when_it_is_exhausted() -> None:
    """Its result is the list of what it yielded; preconditions are checked at the call."""

    @enforce
    @requires("n >= 0")
    @ensures("result == list(range(n))")
    def count(n: int) -> Iterator[int]:
        yield from range(n if n != 3 else 2)

    assert list(count(2)) == [0, 1]
    with pytest.raises(ContractViolationError, match="precondition"):
        count(-1)
    wrong = count(3)
    assert (next(wrong), next(wrong)) == (0, 1)
    with pytest.raises(ContractViolationError, match="postcondition"):
        next(wrong)


def test_what_cannot_be_checked_is_refused() -> None:
    """Postconditions of asynchronous generators, unknown names, texts that are no expression."""

    async def stream(n: int) -> AsyncIterator[int]:
        yield n

    def plain(n: int) -> int:
        return n

    def unlucky(result: int) -> int:
        return result

    with pytest.raises(TypeError, match="asynchronous generator"):
        enforce(ensures("result")(stream))
    with pytest.raises(TypeError, match="speaks of `m`; it can speak of `n`, `result`, `old`"):
        enforce(requires(lambda m: m)(plain))
    with pytest.raises(TypeError, match="Rename the parameter"):
        enforce(requires("result > 0")(unlucky))
    with pytest.raises(TypeError, match="is no expression: `n >`"):
        enforce(requires("n >")(lambda n: n))


def test_the_place_of_enforce_does_not_matter() -> None:
    """Decorators above `enforce` are checked too."""

    @requires("x > 0")
    @enforce
    @ensures("result == 1")
    def one(x: int) -> int:
        return 1 if x < 5 else 2

    assert one(1) == 1
    for wrong in (0, 5):
        with pytest.raises(ContractViolationError):
            one(wrong)


def test_methods_of_dataclasses_are_checked() -> None:
    """`enforce` goes well with `dataclass`."""

    @enforce
    @dataclass(frozen=True)
    class Span:
        low: int
        high: int

        @ensures("result >= 0")
        def length(self) -> int:
            return self.high - self.low

    assert Span(1, 3).length() == 2
    with pytest.raises(ContractViolationError, match="result=-1"):
        Span(1, 0).length()


@pytest.mark.parametrize(("value", "printed"), [("1", "checked"), ("0", "free"), ("", "free")])
def test_a_variable_enforces_everything(value: str, printed: str) -> None:
    """`LATTICE_LOCK_ENFORCE` turns checking on for every decorated function of the process."""
    program = (
        "from lattice_lock.gauntlet.decorators import requires, ensures\n"
        "@requires('x > 0')\n@ensures('result')\ndef f(x): return x\n"
        "try: f(-1)\nexcept AssertionError: print('checked')\nelse: print('free')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"LATTICE_LOCK_ENFORCE": value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == printed


def test_the_examples_of_the_documentation_run(root: Path) -> None:
    """What the how-to page shows works, one block after the other."""
    page = (root / "docs/how-to/contracts-on-existing-code.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "page", "exec"), names)  # noqa: S102  # our own page
    assert names["chunks"]([1, 2, 3], 2) == [[1, 2], [3]]
    assert names["ratio"](-5, 2) == -3
