"""Try one input that was proposed as text, such as one that a symbolic engine computed."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final

from lattice_lock.gauntlet._attached_contracts import UntestableError
from lattice_lock.gauntlet._attached_inputs import Bag, Fixed, Made, Pairs, Plan
from lattice_lock.gauntlet._attached_search import MethodTrial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lattice_lock.gauntlet._attached_inputs import Value
    from lattice_lock.gauntlet._attached_search import CallTrial

__all__ = ["NEW", "ReplayTrial", "example_of"]

NEW: Final = "new "
"""Before the name of an argument that goes to the constructor of `self`."""


def example_of(trial: CallTrial | MethodTrial, values: Mapping[str, Plan]) -> Plan:
    """Arguments by name, those of the constructor marked `NEW`, as an example of a trial."""
    arguments = {name: plan for name, plan in values.items() if not name.startswith(NEW)}
    if not isinstance(trial, MethodTrial):
        return arguments
    made = {n.removeprefix(NEW): plan for n, plan in values.items() if n.startswith(NEW)}
    return Made(trial.described, made), arguments


def _plan(value: Value) -> Plan:
    match value:
        case list():
            return [_plan(item) for item in value]
        case tuple():
            return Fixed(tuple(_plan(item) for item in value))
        case set():
            return Bag(set, [_plan(item) for item in sorted(value, key=repr)])
        case dict():
            return Pairs(dict, [(_plan(key), _plan(item)) for key, item in value.items()])
        case _:
            return value


class ReplayTrial:
    """A trial with one example.

    Args:
        trial: how the example is tried.
        text: its arguments by name, as a dictionary in Python notation.

    Raises:
        UntestableError: the text is no such dictionary.
    """

    def __init__(self, trial: CallTrial | MethodTrial, text: str) -> None:
        try:
            values = ast.literal_eval(text)
            plans = {str(name): _plan(value) for name, value in values.items()}
        except (AttributeError, ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise UntestableError(f"the proposed input cannot be read: {error}") from error
        self._example = example_of(trial, plans)
        self.attempt: Callable[..., Any] = trial.attempt
        self.draw: Callable[..., Any] = trial.draw
        self.smaller: Callable[..., Iterator[Any]] = trial.smaller
        self.render: Callable[..., str] = trial.render
        self.extent: Callable[..., int] = trial.extent
        self.huge: Callable[..., Any] = trial.huge

    def edges(self, _context: object, _most: int) -> Iterator[Any]:
        """The example."""
        yield self._example
