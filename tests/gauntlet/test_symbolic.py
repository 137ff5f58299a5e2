"""The symbolic engine: it finds what chance does not, and only what is confirmed counts."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.exceptions import UsageError
from lattice_lock.gauntlet import symbolic
from lattice_lock.gauntlet.attached import find_contract_files, replay_input
from lattice_lock.gauntlet.symbolic import ensure_engine, judge_files_symbolically
from lattice_lock.gauntlet.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lattice_lock.gauntlet.verdict import TestVerdict

pytestmark = pytest.mark.sandbox

_needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("crosshair") is None, reason="the extra `symbolic` is not installed"
)
_CODE = """\
from lattice_lock.gauntlet.decorators import ensures, requires


@requires("x > 5")
@ensures("result == x")
def hidden(x: int) -> int:
    return 0 if x * 31 + 7 == 124000007 else x


class Meter:
    def __init__(self, start: int) -> None:
        self.start = start

    @ensures("result >= 0")
    def read(self, step: int) -> int:
        return -1 if self.start * 17 - step * 3 == 7654321 and step > 5000 else 0


@ensures("result == len(text)")
def right(text: str) -> int:
    return len(text)


@ensures("result is meter")
def foreign(meter: Meter) -> Meter:
    return meter
"""


def _judge(path: Path) -> Mapping[tuple[str, str], TestVerdict]:
    judging = judge_files_symbolically(find_contract_files(path), seed=0, explore_s=2.0)
    (report,) = asyncio.run(judging).values()
    return {(one.method, one.test): one for one in report.verdicts}


@_needs_engine
def test_what_chance_does_not_find_is_found_and_confirmed(tmp_path: Path) -> None:
    """Inputs that solve an equation are found; the ordinary verdicts stay beside them."""
    path = tmp_path / "code.py"
    path.write_text(_CODE)
    found = _judge(path)
    ordinary = {one.outcome for (_, test), one in found.items() if test != "symbolic"}
    assert ordinary == {Outcome.PASSED}
    hidden = found["hidden", "symbolic"]
    assert (hidden.outcome, hidden.counterexample) == (Outcome.REFUTED, "x=4000000")
    assert (hidden.clause, hidden.message) == ("result == x", "broke `result == x`; returned 0")
    meter = found["Meter.read", "symbolic"]
    assert meter.outcome is Outcome.REFUTED
    assert meter.counterexample is not None
    assert meter.counterexample.startswith("self=Meter(start=")
    assert ("right", "symbolic") not in found
    assert "symbolic engine: nothing found on" in found["right", "line 20"].message
    assert found["foreign", "line 25"].message == (
        "symbolic engine: there are no symbolic values for `meter` of type `Meter`"
    )


@_needs_engine
def test_a_failing_engine_is_seen_and_hides_nothing(tmp_path: Path) -> None:
    """Code that kills the engine's process gets an error of its own beside its verdict."""
    path = tmp_path / "code.py"
    path.write_text(
        "import sys\n"
        "from lattice_lock.gauntlet.decorators import ensures\n"
        "@ensures('result == n')\n"
        "def f(n: int) -> int:\n"
        "    if 'crosshair' in sys.modules:\n"
        "        __import__('os')._exit(3)\n"
        "    return n\n"
    )
    found = _judge(path)
    assert found["f", "line 4"].outcome is Outcome.PASSED
    failed = found["f", "symbolic"]
    assert failed.outcome is Outcome.ERROR
    assert "the symbolic engine failed: ended its process with exit status 3" in failed.message


async def _propose(*_: object, **__: object) -> Mapping[str, Any]:
    return {"paths": 1, "inputs": ["{'x': 3}", "{'x': 7}", "{'y'", "{'x': [7]}"]}


def test_what_is_not_confirmed_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs against the precondition, fine ones and nonsense never become a refutation."""
    path = tmp_path / "code.py"
    path.write_text(_CODE[: _CODE.index("class Meter")])
    monkeypatch.setattr(symbolic, "ensure_engine", lambda: None)
    monkeypatch.setattr(symbolic, "explore_function", _propose)
    found = _judge(path)
    assert list(found) == [("hidden", "line 6")]
    assert found["hidden", "line 6"].outcome is Outcome.PASSED
    assert found["hidden", "line 6"].message == (
        "symbolic engine: nothing found on 1 paths, 4 proposed inputs not confirmed"
    )


def test_a_proposed_input_is_tried_by_the_ordinary_judge(tmp_path: Path) -> None:
    """Lists, tuples, sets, mappings and arguments of constructors are built from their text."""
    path = tmp_path / "code.py"
    path.write_text(
        "from lattice_lock.gauntlet.decorators import ensures\n"
        "class Box:\n"
        "    def __init__(self, size: int) -> None:\n"
        "        self.size = size\n"
        "    @ensures('result')\n"
        "    def holds(self, a: list[int], b: tuple[int, str], c: set[int], d: dict[str, int],"
        " e: bool) -> bool:\n"
        "        return (self.size, a, b, c, d) != (9, [1], (2, 'x'), {3}, {'k': 4})\n"
    )
    (file,) = find_contract_files(path)
    text = "{'new size': 9, 'a': [1], 'b': (2, 'x'), 'c': {3}, 'd': {'k': 4}, 'e': False}"
    verdict = asyncio.run(replay_input(file, file.targets[0], text, seed=0))
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.counterexample == (
        "self=Box(size=9), a=[1], b=(2, 'x'), c={3}, d={'k': 4}, e=False"
    )


def test_an_absent_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="the symbolic engine is not installed") as caught:
        ensure_engine()
    assert caught.value.hint == (
        "Install the extra `symbolic`: `pip install 'lattice-lock[symbolic]'`."
    )
