"""A stand-in for icontract where that is not installed: it records, in the places icontract does.

Source: https://icontract.readthedocs.io/en/latest/api.html
"""

from __future__ import annotations

import abc
import importlib.util
import inspect
import sys
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.gauntlet._attached_inputs import Value

__all__ = ["provide_icontract"]


@dataclass(frozen=True, slots=True)
class _Contract:
    """A condition; the attributes are named as in icontract."""

    condition: Callable[..., Value]
    description: str | None
    error: Value


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A capture; the attributes are named as in icontract."""

    capture: Callable[..., Value]
    name: str


class ViolationError(AssertionError):
    """What icontract raises when a condition does not hold."""


class _DbcMeta(abc.ABCMeta):
    """The metaclass that marks classes that inherit contracts."""


class _Dbc(metaclass=_DbcMeta):
    """Base of classes that inherit contracts."""


def _plain(target: Value) -> Value:
    return getattr(target, "__func__", target)


def _require(
    condition: Callable[..., Value],
    description: str | None = None,
    a_repr: Value = None,  # noqa: ARG001  # icontract's signature
    enabled: bool = True,  # noqa: FBT001, FBT002  # icontract's signature
    error: Value = None,
) -> Callable[[Value], Value]:
    contract = _Contract(condition, description, error)

    def decorate(target: Value) -> Value:
        if enabled:
            (group,) = _plain(target).__dict__.setdefault("__preconditions__", [[]])
            group.insert(0, contract)
        return target

    return decorate


def _ensure(
    condition: Callable[..., Value],
    description: str | None = None,
    a_repr: Value = None,  # noqa: ARG001  # icontract's signature
    enabled: bool = True,  # noqa: FBT001, FBT002  # icontract's signature
    error: Value = None,
) -> Callable[[Value], Value]:
    contract = _Contract(condition, description, error)

    def decorate(target: Value) -> Value:
        if enabled:
            _plain(target).__dict__.setdefault("__postconditions__", []).insert(0, contract)
        return target

    return decorate


def _snapshot(
    capture: Callable[..., Value],
    name: str | None = None,
    enabled: bool = True,  # noqa: FBT001, FBT002  # icontract's signature
) -> Callable[[Value], Value]:
    called = name if name is not None else next(iter(inspect.signature(capture).parameters))

    def decorate(target: Value) -> Value:
        if enabled:
            snapshots = _plain(target).__dict__.setdefault("__postcondition_snapshots__", [])
            snapshots.insert(0, _Snapshot(capture, called))
        return target

    return decorate


def _invariant(  # noqa: PLR0917  # icontract's signature
    condition: Callable[..., Value],
    description: str | None = None,
    a_repr: Value = None,  # noqa: ARG001  # icontract's signature
    enabled: bool = True,  # noqa: FBT001, FBT002  # icontract's signature
    error: Value = None,
    check_on: Value = None,  # noqa: ARG001  # icontract's signature
) -> Callable[[type], type]:
    contract = _Contract(condition, description, error)

    def decorate(cls: type) -> type:
        if enabled:
            cls.__invariants__ = [contract, *vars(cls).get("__invariants__", ())]  # type: ignore[attr-defined]  # icontract's place
        return cls

    return decorate


def provide_icontract() -> None:
    """Make `import icontract` work, by the installed package or by the stand-in."""
    if "icontract" in sys.modules or importlib.util.find_spec("icontract") is not None:
        return
    module = types.ModuleType("icontract")
    errors = types.ModuleType("icontract.errors")
    vars(errors)["ViolationError"] = ViolationError
    vars(module).update(
        DBC=_Dbc,
        DBCMeta=_DbcMeta,
        InvariantCheckEvent=types.SimpleNamespace(ALL=3, CALL=1, SETATTR=2),
        SLOW=True,
        ViolationError=ViolationError,
        __path__=[],
        aRepr=None,
        ensure=_ensure,
        errors=errors,
        invariant=_invariant,
        require=_require,
        snapshot=_snapshot,
    )
    sys.modules |= {"icontract": module, "icontract.errors": errors}
