"""Every deliberate error is documented, unambiguous and survives a process boundary."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import TYPE_CHECKING

import pytest

from lattice_lock import exceptions
from lattice_lock.exceptions import (
    AllProvidersFailedError,
    APIClientError,
    ChainStepError,
    LatticeLockError,
    PolicyViolationError,
    Problem,
    RateLimitError,
    SourceLocation,
    VacuousContractError,
    _LocatedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_ERRORS = [
    cls
    for cls in vars(exceptions).values()
    if inspect.isclass(cls)
    and issubclass(cls, LatticeLockError)
    and not cls.__name__.startswith("_")
]
_PROBLEM = Problem(
    location=SourceLocation(file="lattice.yaml", line=3, column=5),
    message="Unknown type `strng`.",
    hint="Write `str`.",
)


def _drawn_tree() -> Iterator[tuple[str, str, str | None]]:
    """Name, code and parent of every line of the tree in the module's docstring."""
    parents: dict[int, str] = {}
    for line in (exceptions.__doc__ or "").splitlines():
        match = re.match(r"^ {4}( *)(?:[-+*] )?(\w+Error) +(LL-\d{3})", line)
        if match:
            depth = len(match[1]) + (2 if re.match(r"^ +[-+*]", line) else 0)
            above = [parents[d] for d in sorted(parents) if d < depth]
            yield match[2], match[3], above[-1] if above else None
            parents = {d: name for d, name in parents.items() if d < depth} | {depth: match[2]}


def _make(cls: type[LatticeLockError]) -> LatticeLockError:
    if issubclass(cls, _LocatedError):
        return cls([_PROBLEM], hint="Mend it.")
    if issubclass(cls, ChainStepError):
        return cls("Failed.", step="a", item=2, hint="Mend it.")
    if issubclass(cls, PolicyViolationError):
        return cls("Refused.", policy="no-pii", rule="email", hint="Mend it.")
    if issubclass(cls, AllProvidersFailedError):
        return cls("All failed.", [RateLimitError("Slow.", provider="local")], hint="Wait.")
    if issubclass(cls, APIClientError):
        error = cls(
            "Failed.",
            provider="local",
            model="m",
            request_id="r-1",
            status=429,
            provider_code="slow",
            attempt=2,
            retry_after_s=1.5,
            hint="Wait.",
        )
        for name in ("successor", "parameter"):
            if hasattr(error, name):
                setattr(error, name, "x")
        return error
    return cls("Failed.", hint="Mend it.")


def test_tree_is_complete() -> None:
    """The docstring's tree shows every class with its code and its parent, and nothing else."""
    actual = {
        (
            cls.__name__,
            cls.code,
            None if cls is LatticeLockError else _public_parent(cls).__name__,
        )
        for cls in _ERRORS
    }
    assert set(_drawn_tree()) == actual


def _public_parent(cls: type[LatticeLockError]) -> type[LatticeLockError]:
    return next(base for base in cls.__mro__[1:] if base in _ERRORS)


def test_codes_are_unique() -> None:
    """No two errors share a code."""
    codes = [cls.code for cls in _ERRORS]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("cls", _ERRORS)
def test_code_is_own(cls: type[LatticeLockError]) -> None:
    """Every error states its own code in the documented form, and an exit code that exists."""
    assert "code" in vars(cls)
    assert re.fullmatch(r"LL-\d{3}", cls.code)
    assert cls.exit_code in {1, 2, 3}
    assert cls.http_status in range(400, 600)


@pytest.mark.parametrize("cls", _ERRORS)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_survives_pickling(cls: type[LatticeLockError], protocol: int) -> None:
    """An error keeps its type, its text and every context field through pickle and copy."""
    error = _make(cls)
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):  # noqa: S301  # our own bytes
        assert type(again) is cls
        assert str(again) == str(error)
        assert {k: repr(v) for k, v in vars(again).items()} == {
            k: repr(v) for k, v in vars(error).items()
        }


@pytest.mark.parametrize("cls", _ERRORS)
def test_text_carries_code_message_and_hint(cls: type[LatticeLockError]) -> None:
    """What a person reads holds the code, what was wrong and what to do."""
    error = _make(cls)
    assert str(error).startswith(f"[{cls.code}] {error.message}")
    assert error.hint is not None
    assert error.hint in str(error)


def test_located_errors_name_every_place() -> None:
    """An error about an input lists file, line, column, message and hint of each problem."""
    error = VacuousContractError([_PROBLEM, _PROBLEM])
    assert str(error).count("lattice.yaml:3:5: Unknown type `strng`. Write `str`.") == 2


def test_group_keeps_causes_when_split() -> None:
    """A group of failures stays one when it is split by cause, hint included."""
    group = AllProvidersFailedError(
        "All failed.",
        [RateLimitError("Slow.", provider="a"), APIClientError("Bad.", provider="b")],
        hint="Wait.",
    )
    matched, rest = group.split(RateLimitError)
    assert isinstance(matched, AllProvidersFailedError)
    assert isinstance(rest, AllProvidersFailedError)
    assert (matched.hint, len(matched.exceptions), len(rest.exceptions)) == ("Wait.", 1, 1)


def test_all_is_complete() -> None:
    """`__all__` names every public class of the module."""
    public = {
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value)
        and value.__module__ == exceptions.__name__
        and not name.startswith("_")
    }
    assert set(exceptions.__all__) == public
