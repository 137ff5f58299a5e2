"""The worker for contracts that stand beside the code: import one file, then search, confined.

The conditions are code of the same author as the function, so both run here, and the judge of one
is the other: whoever wants a file to pass can as well remove its contracts. The sandbox protects
the machine, and the caller takes as passed only what this process has said so about.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import linecache
import os
import random
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lattice_lock.gauntlet._attached_checker import CHECKED
from lattice_lock.gauntlet._attached_compare import ComparingTrial, changed_code, plain_function
from lattice_lock.gauntlet._attached_constants import mine
from lattice_lock.gauntlet._attached_contracts import UntestableError
from lattice_lock.gauntlet._attached_icontract import provide_icontract
from lattice_lock.gauntlet._attached_objects import World
from lattice_lock.gauntlet._attached_replay import ReplayTrial
from lattice_lock.gauntlet._attached_search import (
    CallTrial,
    ConstructionTrial,
    Effort,
    MethodTrial,
    SequenceTrial,
    search,
)
from lattice_lock.gauntlet._attached_types import UnknownTypeError
from lattice_lock.gauntlet._audit import watch_attempts
from lattice_lock.gauntlet._channel import ChannelBrokenError, Json
from lattice_lock.gauntlet._confine import Confinement, confine_process
from lattice_lock.gauntlet._modules import use_sources_below
from lattice_lock.gauntlet._worker import _take_descriptors
from lattice_lock.gauntlet.verdict import Outcome

if TYPE_CHECKING:
    from types import ModuleType

    from lattice_lock.gauntlet._attached_search import Finding
    from lattice_lock.gauntlet._channel import Channel

__all__ = ["Bench", "main"]

_MAX_TEXT: Final = 3000
_ROUNDING: Final = frozenset(
    {"float", "round", *(f"math.{name}" for name in ("sqrt", "log", "log2", "log10", "pow", "exp"))}
)


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
    watch_attempts(
        order["confinement"]["readable"], lambda attempt: channel.send({"attempt": attempt})
    )
    try:
        _serve(channel, order)
    except ChannelBrokenError:
        os._exit(0)  # the caller is done, or gone


def _serve(channel: Channel, order: dict[str, Json]) -> None:
    """Import the file, say whether that worked, then search for one function after the other."""
    try:
        bench = Bench(order)
        reply: dict[str, Json] = {"ready": True}
    except BaseException as error:  # noqa: BLE001  # process boundary: untrusted code was imported
        reply = {"failed": f"cannot be imported: {type(error).__name__}: {error}"[:_MAX_TEXT]}
    channel.send({"nonce": order["nonce"], **reply})
    while True:
        request = channel.receive()
        try:
            if "mutant" in request:
                answer = bench.compare(request["target"], request["mutant"])
            elif "input" in request:
                answer = bench.replay(request["target"], request["input"])
            else:
                answer = bench.judge(request["target"])
        except BaseException as error:  # noqa: BLE001  # process boundary: untrusted code ran
            answer = {
                "outcome": Outcome.ERROR.value,
                "message": f"{type(error).__name__}: {error}"[:_MAX_TEXT],
            }
        channel.send({"nonce": request["nonce"], **answer})


class Bench:
    """One imported file and what is searched in it.

    Args:
        order: what to import and how hard to search.
    """

    def __init__(self, order: dict[str, Json]) -> None:
        self._seed: int = order["seed"]
        self._effort = Effort(**order["effort"])
        path = Path(order["file"])
        text: str | None = order["text"]
        self._tree = ast.parse(path.read_bytes() if text is None else text, filename=str(path))
        for folder in order["import_path"]:
            use_sources_below(folder)
        sys.path[:0] = order["import_path"]
        provide_icontract()
        random.seed(self._seed)
        self._module = _import(path, order["module"], text)
        self._world = World()

    def judge(self, target: str) -> dict[str, Json]:
        """The verdict on one function, method or class."""
        random.seed(self._seed)
        node = _node_of(self._tree, target)
        constants = mine([*([node] if node is not None else []), self._tree])
        try:
            trial = self._trial(target)
            effort = replace(self._effort, huge=not _rounds(node or self._tree))
            finding = search(trial, constants, seed=self._seed, effort=effort)
        except (UnknownTypeError, UntestableError) as error:
            return {"outcome": Outcome.ERROR.value, "message": str(error)[:_MAX_TEXT]}
        return _verdict(finding, self._effort)

    def compare(self, target: str, text: str) -> dict[str, Json]:
        """An input for which the function in another text of the module does something else."""
        random.seed(self._seed)
        trees = (self._tree, ast.parse(text))
        nodes = [node for tree in trees if (node := _node_of(tree, target)) is not None]
        try:
            function = plain_function(*self.holder(target))
            comparing = ComparingTrial(
                self.call_trial(target), function, changed_code(function, text)
            )
            effort = replace(self._effort, huge=not any(map(_rounds, nodes)))
            finding = search(comparing, mine([*nodes, *trees]), seed=self._seed, effort=effort)
        except (UnknownTypeError, UntestableError) as error:
            return {"unknown": str(error)[:_MAX_TEXT]}
        if finding.broken is None:
            return {"examples": finding.examples}
        shown = (finding.counterexample or "no arguments")[:_MAX_TEXT]
        return {"difference": json.loads(finding.broken.message), "input": shown}

    def replay(self, target: str, text: str) -> dict[str, Json]:
        """The verdict on one function for one input that somebody proposes, made smaller."""
        random.seed(self._seed)
        try:
            trial = ReplayTrial(self.call_trial(target), text)
            effort = replace(self._effort, draws=0, huge=False)
            finding = search(trial, mine([]), seed=self._seed, effort=effort)
        except (UnknownTypeError, UntestableError) as error:
            return {"outcome": Outcome.ERROR.value, "message": str(error)[:_MAX_TEXT]}
        return _verdict(finding, self._effort)

    def holder(self, target: str) -> tuple[Any, str]:
        """The module or class that a target is in, and its name there."""
        *owners, name = target.split(".")
        holder: Any = self._module
        for owner in owners:
            holder = getattr(holder, owner)
        return holder, name

    def _trial(self, target: str) -> CallTrial | MethodTrial | SequenceTrial:
        holder, name = self.holder(target)
        found = inspect.getattr_static(holder, name)
        if isinstance(found, type):
            return SequenceTrial(self._world.object_class(found))
        return self.call_trial(target)

    def call_trial(self, target: str) -> CallTrial | MethodTrial:
        """How calls of a function, method or constructor are tried."""
        holder, name = self.holder(target)
        found = inspect.getattr_static(holder, name)
        if not isinstance(holder, type):
            return CallTrial(self._world.function(target, getattr(found, CHECKED, found)))
        if name in ("__init__", "__new__"):
            return ConstructionTrial(self._world.object_class(holder))
        callee = self._world.method(holder, name)
        if isinstance(found, staticmethod | classmethod):
            return CallTrial(callee)
        if inspect.isabstract(holder):
            raise UntestableError(f"`{holder.__name__}` is abstract")
        return MethodTrial(self._world.object_class(holder), callee)


def _import(path: Path, name: str, text: str | None) -> ModuleType:
    """Import a file, or a text in its place, under a name that hides no other module."""
    package = name.rpartition(".")[0]
    if package:
        importlib.import_module(package)
    elif name in sys.modules or name in sys.stdlib_module_names:
        name = f"_judged_{name}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"`{path.name}` is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if text is None:
        text = importlib.util.decode_source(path.read_bytes())
    # Conditions are shown as their source says; an entry without a time is never checked again.
    linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(text, str(path), "exec", dont_inherit=True)
    exec(code, vars(module))  # noqa: S102  # what it is for; this process is confined
    return module


def _node_of(tree: ast.Module, target: str) -> ast.AST | None:
    found: ast.AST = tree
    for name in target.split("."):
        inside = [
            node
            for node in ast.walk(found)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and node.name == name
        ]
        if not inside:
            return None
        found = inside[0]
    return found


def _rounds(tree: ast.AST) -> bool:
    """Whether huge numbers would only show the limits of floating point."""
    return any(
        isinstance(node, ast.Div)
        or (isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in _ROUNDING)
        for node in ast.walk(tree)
    )


def _verdict(finding: Finding, effort: Effort) -> dict[str, Json]:
    answer: dict[str, Json] = {"examples": finding.examples, "outcome": Outcome.PASSED.value}
    if finding.broken is not None:
        answer |= {
            "outcome": Outcome.REFUTED.value,
            "message": finding.broken.message[:_MAX_TEXT],
            "clause": finding.broken.clause,
            "counterexample": (finding.counterexample or "no arguments")[:_MAX_TEXT],
        }
    elif finding.slow is not None:
        answer |= {
            "outcome": Outcome.ERROR.value,
            "message": (
                f"took longer than {effort.call_s:g} s with {finding.slow}; "
                f"{finding.examples} other inputs were fine"
            )[:_MAX_TEXT],
        }
    elif not finding.examples:
        answer |= {
            "outcome": Outcome.VACUOUS.value,
            "message": f"none of {finding.tried} inputs met the preconditions",
        }
    elif finding.large_slow is not None:
        answer["message"] = (
            f"large inputs were left out: more than {effort.call_s:g} s with {finding.large_slow}"
        )[:_MAX_TEXT]
    return answer
