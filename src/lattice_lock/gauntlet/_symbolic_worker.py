"""The worker that runs a function on symbols: which inputs lead to a broken condition.

Symbolic execution needs the code in the process of the engine, so whatever is said here is as
little to be trusted as the code itself. It is confined like any worker, except that nothing names
what it attempts, for the solver itself calls native code; and it only proposes inputs, which a
worker of the ordinary kind then tries.
"""

from __future__ import annotations

import ast
import collections
import inspect
import os
import sys
import types
import typing
from typing import TYPE_CHECKING, Final

import crosshair.core_and_libs  # noqa: F401  # it registers what is known of built-in types
from crosshair.core import deep_realize, explore_paths
from crosshair.options import DEFAULT_OPTIONS, AnalysisOptionSet
from crosshair.statespace import RootNode

from lattice_lock.gauntlet._attached_callees import type_hints
from lattice_lock.gauntlet._attached_compare import plain_function
from lattice_lock.gauntlet._attached_contracts import UntestableError
from lattice_lock.gauntlet._attached_inputs import UnfitError, Value
from lattice_lock.gauntlet._attached_replay import NEW, example_of
from lattice_lock.gauntlet._attached_search import MethodTrial
from lattice_lock.gauntlet._attached_types import UnknownTypeError
from lattice_lock.gauntlet._attached_worker import Bench
from lattice_lock.gauntlet._channel import ChannelBrokenError, Json
from lattice_lock.gauntlet._confine import Confinement, confine_process
from lattice_lock.gauntlet._worker import _take_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.gauntlet._channel import Channel

__all__ = ["main"]

_MAX_TEXT: Final = 3000
_MOST_INPUTS: Final = 3
_PATH_S: Final = 2.0
_PLAIN: Final = (int, bool, float, str, bytes, type(None))
_NESTED: Final = (list, set, dict, tuple, typing.Union, types.UnionType)


def main() -> None:
    """Run as a process of its own; arguments: the descriptor to write replies to."""
    channel = _take_descriptors(int(sys.argv[1]))
    order = channel.receive()
    sys.dont_write_bytecode = True  # from here on nothing is written
    try:
        confine_process(Confinement(**order["confinement"]))
    except OSError as error:
        channel.send({"unconfined": str(error)})
        os._exit(1)
    try:
        _serve(channel, order)
    except ChannelBrokenError:
        os._exit(0)  # the caller is done, or gone


def _serve(channel: Channel, order: dict[str, Json]) -> None:
    """Import the file, say whether that worked, then look into one function after the other."""
    try:
        bench = Bench(order)
        reply: dict[str, Json] = {"ready": True}
    except BaseException as error:  # noqa: BLE001  # process boundary: untrusted code was imported
        reply = {"failed": f"cannot be imported: {type(error).__name__}: {error}"[:_MAX_TEXT]}
    channel.send({"nonce": order["nonce"], **reply})
    while True:
        request = channel.receive()
        try:
            answer = _explore(bench, request["target"], float(request["explore_s"]))
        except (UnknownTypeError, UntestableError) as error:
            answer = {"unknown": str(error)[:_MAX_TEXT]}
        except BaseException as error:  # noqa: BLE001  # process boundary: untrusted code ran
            answer = {"message": f"{type(error).__name__}: {error}"[:_MAX_TEXT]}
        channel.send({"nonce": request["nonce"], **answer})


def _explore(bench: Bench, target: str, seconds: float) -> dict[str, Json]:
    """Inputs that break a contract, as text, and how many paths were looked at."""
    trial = bench.call_trial(target)
    symbols = dict(_symbols(*bench.holder(target)))
    if isinstance(trial, MethodTrial):
        made = _symbols(trial.described.cls, "__init__")
        symbols |= {f"{NEW}{name}": kind for name, kind in made}
    names = {f"symbol_{number}": name for number, name in enumerate(symbols)}
    signature = inspect.Signature(
        [
            inspect.Parameter(
                symbol, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=symbols[name]
            )
            for symbol, name in names.items()
        ]
    )
    found: list[str] = []

    def run(bound: inspect.BoundArguments) -> str:
        values = {names[symbol]: value for symbol, value in bound.arguments.items()}
        try:
            broken = trial.attempt(example_of(trial, values))
        except UnfitError:
            return "unfit"
        return "fine" if broken is None else "broken"

    def end(_space: object, given: inspect.BoundArguments, *rest: object) -> bool:
        _, returned, _, _ = rest
        if returned == "broken":
            values = {names[symbol]: one for symbol, one in given.arguments.items()}
            text = repr(deep_realize(values))
            if text not in found and _is_literal(text):
                found.append(text)
        return len(found) == _MOST_INPUTS

    options = DEFAULT_OPTIONS.overlay(
        AnalysisOptionSet(per_condition_timeout=seconds, per_path_timeout=_PATH_S)
    )
    options.stats = collections.Counter()
    explore_paths(run, signature, options, RootNode(), end, lambda: None)
    return {"inputs": found, "paths": options.stats["num_paths"]}


def _symbols(holder: Value, name: str) -> Iterator[tuple[str, Value]]:
    """Parameters of a function with their types.

    Raises:
        UntestableError: there are no symbolic values of a type.
    """
    if isinstance(holder, type) and getattr(holder, name) is getattr(object, name, None):
        return
    function = plain_function(holder, name)
    if function.__module__ == "typing":
        return  # the constructor of a protocol
    hints = type_hints(function, function.__globals__)
    is_bound = isinstance(holder, type) and not isinstance(
        inspect.getattr_static(holder, name), staticmethod
    )
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters[is_bound:]:
        if parameter.kind in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}:
            raise UntestableError(f"`{parameter.name}` takes any number of arguments")
        hint = hints.get(parameter.name)
        if parameter.name not in hints or not _has_symbols(hint):
            shown = "without a type" if hint is None else f"of type `{_shown(hint)}`"
            raise UntestableError(f"there are no symbolic values for `{parameter.name}` {shown}")
        yield parameter.name, hint


def _has_symbols(hint: Value) -> bool:
    if hint in _PLAIN:
        return True
    inside = [one for one in typing.get_args(hint) if one is not Ellipsis]
    origin: object = typing.get_origin(hint)
    return origin in _NESTED and bool(inside) and all(map(_has_symbols, inside))


def _shown(hint: Value) -> str:
    return getattr(hint, "__name__", str(hint))


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return True
