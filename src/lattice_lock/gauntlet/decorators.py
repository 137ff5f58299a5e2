"""Contracts on code that has no lattice.

    @requires("amount > 0")
    @ensures(lambda self, old: self.balance < old.self.balance)
    @raises(OverdrawnError, "amount > self.balance")
    def withdraw(self, amount: int) -> None: ...

A condition is the text of an expression, or a function (usually a lambda) that takes any of the
function's parameters by name. It may also speak of `result`, what the function returned, and of
the state before the call: `old(expression)` in a text, `old.parameter` in a function that takes
`old` or `OLD`. What a generator returned is the list of all that it yielded.

The decorators only record: the function itself is returned. `lattice-lock gauntlet FILE` searches
for inputs that break what was recorded. `@enforce`, or `LATTICE_LOCK_ENFORCE=1` when the module is
imported, checks every call.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

from lattice_lock.gauntlet._attached_checker import CHECKED, ContractViolationError, checked
from lattice_lock.gauntlet._attached_conditions import RECORD, Clause, Condition

__all__ = ["ContractViolationError", "enforce", "ensures", "raises", "requires"]

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_ENFORCED: Final = os.environ.get("LATTICE_LOCK_ENFORCE", "") not in ("", "0")


def requires(condition: Condition) -> Callable[[_Decorated], _Decorated]:
    """A decorator that says what must be true of the arguments."""
    return _recording(Clause(kind="requires", condition=condition))


def ensures(condition: Condition) -> Callable[[_Decorated], _Decorated]:
    """A decorator that says what is true when the function has returned."""
    return _recording(Clause(kind="ensures", condition=condition))


def raises(
    exception: type[BaseException] | tuple[type[BaseException], ...],
    when: Condition | None = None,
) -> Callable[[_Decorated], _Decorated]:
    """A decorator that says which exception comes if, and only if, `when` is true of the arguments.

    Args:
        exception: the type, or several.
        when: None for an exception that may come at any time.
    """
    return _recording(Clause(kind="raises", condition=when, exception=exception))


def enforce(target: _Decorated) -> _Decorated:
    """The function, or the class with all its methods, checking its contracts at every call.

    Its place among the other decorators does not matter.

    Raises:
        TypeError: a condition does not fit its function.
    """
    if isinstance(target, type):
        for name, member in list(vars(target).items()):
            if hasattr(getattr(member, "__func__", member), RECORD):
                setattr(target, name, _within(member, _enforced))
        return target
    return _within(target, _enforced)


def _enforced(function: Callable[..., Any]) -> Callable[..., Any]:
    return checked(getattr(function, CHECKED, function))


def _recording(clause: Clause) -> Callable[[_Decorated], _Decorated]:
    def record(function: Callable[..., Any]) -> Callable[..., Any]:
        plain = getattr(function, CHECKED, function)
        setattr(plain, RECORD, (clause, *getattr(plain, RECORD, ())))
        return checked(plain) if _ENFORCED or plain is not function else function

    return lambda target: _within(target, record)


def _within(
    target: _Decorated, change: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> _Decorated:
    """Apply a change to the function inside a static or class method."""
    if isinstance(target, staticmethod | classmethod):
        return type(target)(change(target.__func__))
    return change(target)  # type: ignore[return-value]  # the same function or its wrapper
