"""Find an input for which a changed function does something else than the original."""

from __future__ import annotations

import inspect
import json
import warnings
from dataclasses import asdict
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from lattice_lock.gauntlet._attached_checker import CHECKED
from lattice_lock.gauntlet._attached_contracts import Broken, UntestableError
from lattice_lock.gauntlet._attached_inputs import UnfitError, build_all
from lattice_lock.gauntlet._differences import Difference, first_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lattice_lock.gauntlet._attached_callees import Callee
    from lattice_lock.gauntlet._attached_inputs import Plan, Value
    from lattice_lock.gauntlet._attached_search import CallTrial, MethodTrial

__all__ = ["ComparingTrial", "changed_code", "observe", "plain_function"]


def plain_function(holder: object, name: str) -> FunctionType:
    """The function under decorators that has a body of its own.

    Raises:
        UntestableError: there is none.
    """
    found: Any = inspect.getattr_static(holder, name)
    found = found.fget if isinstance(found, property) else found
    found = getattr(found, "__func__", found)
    found = inspect.unwrap(getattr(found, CHECKED, found))
    if not isinstance(found, FunctionType):
        raise UntestableError(f"`{name}` is no plain function")
    return found


def changed_code(function: FunctionType, text: str) -> CodeType:
    """The code of the same function in another text of its module.

    Raises:
        UntestableError: it cannot take the place of the function's own code.
    """
    own = function.__code__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = compile(text, own.co_filename, "exec", dont_inherit=True)
    found = [
        code
        for code in _codes(module)
        if code.co_qualname == own.co_qualname and code.co_firstlineno == own.co_firstlineno
    ]
    if len(found) != 1 or found[0].co_freevars != own.co_freevars:
        raise UntestableError("the changed code does not fit into the function")
    return found[0]


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


class ComparingTrial:
    """A trial whose examples are broken when original and mutant do different things with them.

    Args:
        trial: how examples are made.
        function: what is compared.
        code: its code when it is changed.
    """

    def __init__(
        self, trial: CallTrial | MethodTrial, function: FunctionType, code: CodeType
    ) -> None:
        self._trial: Any = trial
        self._function = function
        self._code = code
        self.edges: Callable[..., Iterator[Any]] = trial.edges
        self.draw: Callable[..., Any] = trial.draw
        self.smaller: Callable[..., Iterator[Any]] = trial.smaller
        self.render: Callable[..., str] = trial.render
        self.extent: Callable[..., int] = trial.extent
        self.huge: Callable[..., Any] = trial.huge

    def attempt(self, example: Value) -> Broken | None:
        """Where the two differ."""
        original = observe(*self._trial.call_of(example))
        call = self._trial.call_of(example)
        own, self._function.__code__ = self._function.__code__, self._code
        try:
            mutant = observe(*call)
        finally:
            self._function.__code__ = own
        found = _first(original, mutant)
        return None if found is None else Broken(found.what, None, json.dumps(asdict(found)))


def observe(
    callee: Callee, plans: Mapping[str, Plan], given: Mapping[str, Value]
) -> dict[str, Value]:
    """What is to be seen of one call, by name: what came of it, and the arguments after it.

    Raises:
        UnfitError: the arguments do not meet the preconditions.
    """
    arguments = build_all(plans)
    seen: dict[str, Value] = {"exception": None}
    try:
        seen["result"] = callee.apply(arguments, given)
    except UnfitError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001  # process boundary: untrusted code ran
        seen["exception"] = type(error).__name__
    return {**seen, **arguments, **given}


def _first(original: Mapping[str, Value], mutant: Mapping[str, Value]) -> Difference | None:
    for name in original:
        found = first_difference(name, original[name], mutant.get(name))
        if found is not None:
            return found
    return None
