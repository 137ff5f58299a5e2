"""The clauses of a function, from our decorators and from icontract's, and what breaks them."""

from __future__ import annotations

import builtins
import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lattice_lock.gauntlet._attached_conditions import (
    RECORD,
    Capture,
    Clause,
    Compiled,
    compile_condition,
    condition_text,
    condition_tree,
    copied,
)
from lattice_lock.gauntlet._attached_inputs import UnfitError, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "Broken",
    "Contract",
    "Promise",
    "TooLargeError",
    "UntestableError",
    "captured",
    "collect",
    "documented",
    "evaluated",
    "judge",
    "of_icontract",
    "shown",
    "told",
    "violated",
]

_LONGEST_TEXT: Final = 400
_FOREIGN: Final = ("/lattice_lock/gauntlet/", "<", "/lib/python", "site-packages", "/icontract/")
_DECLARED: Final = re.compile(r":raises?\s+([\w.]+)\s*:")
_RAISES_SECTION: Final = re.compile(r"^( *)Raises:\s*\n((?:(?:\1 +.*)?\n)+)", re.MULTILINE)


class UntestableError(Exception):
    """A function cannot be checked; the message says why."""


@dataclass(frozen=True, slots=True)
class Broken:
    """What was wrong in one call.

    Attributes:
        key: what stays the same while the input is made smaller.
        clause: the broken condition, None where there is none.
        message: for whoever mends the code.
    """

    key: str
    clause: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Promise:
    """What `raises` said; without `when` the exception may always come."""

    kinds: tuple[type[BaseException], ...]
    when: Compiled | None


@dataclass(slots=True)
class Contract:
    """The clauses of one function.

    Attributes:
        groups: alternative lists of preconditions, of which one must hold in full.
        ensures: postconditions.
        promises: declared exceptions.
        captures: computed before the call, for `ensures`.
    """

    groups: list[list[Compiled]] = field(default_factory=list)
    ensures: list[Compiled] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    conditions: list[tuple[Value, Value]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.groups or self.ensures or self.promises)

    def meets(self, values: Mapping[str, object]) -> bool:
        """Whether the preconditions hold; one that raises does not."""
        if not self.groups:
            return True
        return any(all(_quietly(one, values) for one in group) for group in self.groups)


def _quietly(condition: Compiled, values: Mapping[str, object]) -> bool:
    try:
        return condition.holds(values)
    except Exception:  # noqa: BLE001  # process boundary: the condition is untrusted
        return False


class TooLargeError(UnfitError):
    """The input was too much for the machine, which small inputs never are."""


def judge(
    condition: Compiled,
    values: Mapping[str, object],
    result: object,
    *,
    is_loose: bool = False,
) -> Broken | None:
    """What is wrong with a condition after a call, None when it holds.

    Args:
        condition: a postcondition or an invariant.
        values: what it speaks of.
        result: what was returned, for the message.
        is_loose: whether a wrong type may come from the input.
    """
    try:
        if condition.holds(values):
            return None
        message = f"broke `{condition.text}`; returned {shown(result)}"
    except (MemoryError, OverflowError, RecursionError) as error:
        raise TooLargeError(told(error)) from error
    except Exception as error:  # process boundary: the condition is untrusted
        if is_loose and result is not None and isinstance(error, TypeError | AttributeError):
            raise UnfitError("a type that nobody has excluded") from error
        message = f"`{condition.text}` has no value: {told(error)}; returned {shown(result)}"
    return Broken(condition.text, condition.text, message)


def evaluated(condition: Compiled, values: Mapping[str, object]) -> bool:
    captured = {one.name: _capture(one, values) for one in condition.captures}
    return _quietly(condition, {**values, **captured})


def captured(condition: Compiled, values: Mapping[str, object]) -> dict[str, object]:
    return {one.name: _capture(one, values) for one in condition.captures}


def _capture(capture: Capture, values: Mapping[str, object]) -> object:
    try:
        return copied(
            capture.function(**{name: values[name] for name in capture.names if name in values})
        )
    except Exception as error:  # process boundary: the condition is untrusted
        raise UnfitError(f"`old` has no value: {error}") from error


def shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  # process boundary: `__repr__` is untrusted
        return f"an object whose repr raises {type(error).__name__}"
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def told(error: BaseException) -> str:
    """An exception with the place where the program raised it."""
    traceback, place = error.__traceback__, ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not any(part in code.co_filename for part in _FOREIGN):
            name = code.co_filename.rpartition("/")[2]
            place = f", at {name}:{traceback.tb_lineno} in {code.co_name}"
        traceback = traceback.tb_next
    return f"raised {type(error).__name__}: {_text_of(error)}{place}"


def violated(error: Exception) -> Broken | None:
    """What icontract itself, where it is installed, found in this call or in one inside it."""
    if not any(
        cls.__name__ == "ViolationError" and cls.__module__.startswith("icontract")
        for cls in type(error).__mro__
    ):
        return None
    place, _, rest = _text_of(error).partition("\n")
    condition = (rest or place).partition("\n")[0].rstrip(":")
    return Broken(condition, condition, f"broke `{condition}`\n  {place}".rstrip(":"))


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST_TEXT]
    except Exception as failure:  # noqa: BLE001  # process boundary: `__str__` is untrusted
        return f"(its message raised {type(failure).__name__})"


def collect(function: Callable[..., Value], names: tuple[str, ...], into: Contract) -> None:
    """Take the clauses of our decorators and of icontract's."""
    plain = inspect.unwrap(function)
    scope = getattr(plain, "__globals__", {})
    group: list[Compiled] = []
    for clause in getattr(function, RECORD, ()):
        _take_clause(clause, plain, scope, group, into)
    snapshots = list(getattr(function, "__postcondition_snapshots__", ()))
    groups = [[of_icontract(one, names, ()) for one in many] for many in _groups(function)]
    for many in _groups(function):
        for one in many:
            _add_tree(one.condition, into)
    into.groups += [each for each in (group, *groups) if each]
    for one in getattr(function, "__postconditions__", ()):
        into.ensures.append(of_icontract(one, names, snapshots))


def _groups(function: Callable[..., Value]) -> list[list[Value]]:
    return [list(group) for group in getattr(function, "__preconditions__", ()) if group]


def _take_clause(
    clause: Clause,
    plain: Callable[..., Value],
    scope: dict[str, Value],
    group: list[Compiled],
    into: Contract,
) -> None:
    compiled = None if clause.condition is None else compile_condition(clause.condition, plain)
    if clause.kind == "requires" and compiled is not None:
        group.append(compiled)
        _add_tree(clause.condition, into, scope)
    elif clause.kind == "ensures" and compiled is not None:
        into.ensures.append(compiled)
    elif clause.exception is not None:
        kinds = clause.exception if isinstance(clause.exception, tuple) else (clause.exception,)
        into.promises.append(Promise(kinds, compiled))


def _add_tree(condition: Value, into: Contract, scope: dict[str, Value] | None = None) -> None:
    tree = condition_tree(condition)
    if tree is not None:
        names = scope if scope is not None else dict(getattr(condition, "__globals__", {}))
        closed = (
            inspect.getclosurevars(condition).nonlocals if inspect.isfunction(condition) else {}
        )
        into.conditions.append((tree, {**names, **closed} if closed else names))


def of_icontract(contract: Value, names: tuple[str, ...], snapshots: Iterable[Value]) -> Compiled:
    condition = contract.condition
    known = {*names, "result", "OLD"}
    wanted = inspect.signature(condition).parameters
    if "_ARGS" in wanted or "_KWARGS" in wanted:
        raise UntestableError("a condition speaks of `_ARGS` or `_KWARGS`, which is not supported")
    for name, parameter in wanted.items():
        if name not in known and parameter.default is parameter.empty:
            raise UntestableError(f"a condition speaks of `{name}`, which is no parameter")
    captures: tuple[Capture, ...] = ()
    if "OLD" in wanted:
        captures = (Capture(name="OLD", function=_old_of(list(snapshots)), names=names),)
    return Compiled(
        text=condition_text(condition),
        function=condition,
        names=tuple(name for name in wanted if name in known),
        captures=captures,
    )


class _Old:
    """Snapshots as attributes."""

    def __init__(self, values: Mapping[str, object]) -> None:
        vars(self).update(values)


def _old_of(snapshots: list[Value]) -> Callable[..., object]:
    def capture(**values: object) -> _Old:
        taken = {}
        for snapshot in snapshots:
            wanted = inspect.signature(snapshot.capture).parameters
            arguments = {name: values[name] for name in wanted if name in values}
            taken[snapshot.name] = snapshot.capture(**arguments)
        return _Old(taken)

    return capture


def documented(function: Callable[..., Value], scope: Mapping[str, Value]) -> Iterator[Value]:
    """Exceptions that a docstring declares, in the style of Sphinx or of Google."""
    text = inspect.cleandoc(inspect.unwrap(function).__doc__ or "") + "\n"
    names = _DECLARED.findall(text)
    for section in _RAISES_SECTION.finditer(text):
        names += re.findall(r"^ +`?([\w.]+)`?\s*:", section[2], re.MULTILINE)
    for name in names:
        found = scope.get(name.rpartition(".")[2]) or vars(builtins).get(name)
        if isinstance(found, type) and issubclass(found, BaseException):
            yield found
