"""How strong contracts are: real mutants in the real sandbox, of decorated code and lattices."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.workspace import open_workspace
from lattice_lock.exceptions import UsageError
from lattice_lock.gauntlet._strength_lattice import LatticeSubject, functions_of_project
from lattice_lock.gauntlet.attached import find_contract_files, select
from lattice_lock.gauntlet.strength import (
    Fate,
    StrengthOptions,
    is_too_slow,
    measure_files,
    measure_project,
)
from lattice_lock.gauntlet.verdict import Outcome

if TYPE_CHECKING:
    from lattice_lock.core.workspace import Workspace
    from lattice_lock.gauntlet.strength import FunctionStrength, JudgedMutant, StrengthReport

pytestmark = pytest.mark.sandbox

_SHOP = """\
from dataclasses import dataclass
from lattice_lock.gauntlet.decorators import ensures, raises, requires


@dataclass
class Order:
    price: int
    quantity: int


@requires("by > 0")
@ensures("result.price == order.price")
def scaled(order: Order, by: int) -> Order:
    return Order(order.price, order.quantity * by)


@requires("n >= 0")
@ensures("result == 2 * n")
def doubled(n: int) -> int:
    if n < 0:
        return 0
    return n + n


@ensures("result == n")
def broken(n: int) -> int:
    return n + 1


class Till:
    def __init__(self) -> None:
        self.amount = 0
        self.log: list[int] = []

    @requires("n > 0")
    @ensures("self.amount == old(self.amount) + n")
    @raises(ValueError)
    def put(self, n: int) -> None:
        if n > 5000:
            raise ValueError("too much")
        self.amount += n
        self.log.append(n)
"""

_LATTICE = """\
version: v1.0
generated_module: types_v1
entities:
  Line:
    fields:
      price: {type: int, ge: 0}
      quantity: {type: int, ge: 1}
interfaces:
  IShop:
    file: src/services/shop.py
    methods:
      halve:
        params: {line: Line}
        returns: Line
        requires: ["line.quantity > 1"]
        ensures: ["result.price == line.price"]
  ITill:
    file: src/services/till.py
    methods:
      less:
        params: {total: {type: int, ge: 0, le: 1000000}}
        returns: int
        ensures: ["result <= total"]
  IDesk:
    file: src/services/desk.py
    depends_on: [ITill]
    methods:
      ask:
        params: {total: {type: int, ge: 0, le: 1000000}}
        returns: int
        ensures: ["result <= total + 1"]
"""
_HALVE = """\
from __future__ import annotations
from shared.types_v1 import Line
from shared.types_v1_interfaces import IShop


class Shop(IShop):
    def halve(self, line: Line) -> Line:
        return line.model_copy(update={"quantity": line.quantity // 2})
"""
_LESS = """\
from shared.types_v1_interfaces import ITill


class Till(ITill):
    def less(self, total: int) -> int:
        while total < 0:
            pass
        return total - 100 if total > 5432 else total
"""
_ASK = """\
from shared.types_v1_interfaces import IDesk, ITill


class Desk(IDesk):
    def __init__(self, till: ITill) -> None:
        self._till = till

    def ask(self, total: int) -> int:
        left = self._till.less(total)
        return left + 1
"""


def _by_name(report: StrengthReport) -> dict[str, FunctionStrength]:
    return {one.name.rpartition(":")[2]: one for one in report.functions}


def _with(found: FunctionStrength, line: str) -> JudgedMutant:
    """The mutant that puts this line into the file."""
    (mutant,) = [one for one in found.mutants if f"+{line}" in one.diff.split("\n")]
    return mutant


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StrengthReport, list[str]]:
    """The decorated shop, its measurement, and what was said meanwhile."""
    path = tmp_path_factory.mktemp("shop") / "shop.py"
    path.write_text(_SHOP)
    said: list[str] = []
    measuring = measure_files(
        find_contract_files(path), StrengthOptions(max_examples=40), notify=said.append
    )
    return path, asyncio.run(measuring), said


def test_survivors_say_what_no_clause_speaks_of(
    shop: tuple[Path, StrengthReport, list[str]],
) -> None:
    """A survivor has its change, the place, an input, what differs, and the missing clause."""
    path, report, said = shop
    scaled = _by_name(report)["scaled"]
    mutant = _with(scaled, "    return Order(order.price, order.quantity)")
    assert (mutant.fate, mutant.file, mutant.line) == (Fate.SURVIVED, str(path), 14)
    assert mutant.diff.split("\n")[0] == "-    return Order(order.price, order.quantity * by)"
    assert mutant.reason == "No clause of `scaled` speaks of `result.quantity`."
    assert mutant.difference is not None
    assert mutant.difference.what == "result.quantity"
    assert (mutant.difference.original, mutant.difference.mutant) == ("2", "1")
    assert mutant.counterexample == "order=Order(price=0, quantity=1), by=2"
    assert _with(scaled, "    return Order(order.quantity * by, order.price)").fate is Fate.KILLED
    assert said[0].startswith("10 mutants judged, ")
    assert path.read_text() == _SHOP
    assert [one.name for one in path.parent.iterdir()] == ["shop.py"]


def test_a_strong_contract_kills_all_that_differ(
    shop: tuple[Path, StrengthReport, list[str]],
) -> None:
    """What differs is killed by a clause; what does the same does not count."""
    doubled = _by_name(shop[1])["doubled"]
    assert doubled.survived == 0
    assert _with(doubled, "    if False:").fate is Fate.EQUIVALENT
    assert _with(doubled, "    return n - n").reason.startswith("broke `result == 2 * n`")
    assert doubled.killed + doubled.count(Fate.EQUIVALENT) == len(doubled.mutants)


def test_a_mutant_without_end_is_killed_by_its_time(tmp_path: Path) -> None:
    """A loop that the change made endless counts as killed, and is told apart."""
    path = tmp_path / "loop.py"
    path.write_text(
        "from lattice_lock.gauntlet.decorators import ensures\n"
        "@ensures('result == 0')\n"
        "def f(n: int) -> int:\n"
        "    while n != n:\n"
        "        pass\n"
        "    return 0\n"
    )
    options = StrengthOptions(max_examples=10, most=2)
    report = asyncio.run(measure_files(find_contract_files(path), options, notify=lambda _: None))
    mutant = _with(report.functions[0], "    while n == n:")
    assert mutant.fate is Fate.TIMED_OUT
    assert mutant.reason.startswith("took longer than 0.5 s with n=")


def test_methods_are_observed_through_their_object(
    shop: tuple[Path, StrengthReport, list[str]],
) -> None:
    """What a method leaves in its object and whether it raises are told as what differs."""
    put = _by_name(shop[1])["Till.put"]
    log = [one for one in put.mutants if one.line == 42 and one.operator == "dropped statement"]
    assert [one.reason for one in log] == ["No clause of `Till.put` speaks of `len(self.log)`."]
    assert _with(put, "        if n >= 5000:").counterexample == "self=Till(), n=5000"
    assert _with(put, "        if n >= 5000:").reason == (
        "No clause of `Till.put` says when 'ValueError' comes, and when it does not."
    )


def test_what_does_not_pass_is_not_measured(shop: tuple[Path, StrengthReport, list[str]]) -> None:
    """Mutants of a wrong function tell nothing, and the report is not complete."""
    _, report, _ = shop
    broken = _by_name(report)["broken"]
    assert (broken.mutants, report.is_complete) == ((), False)
    assert broken.unmeasured.startswith("it is refuted as it is: broke `result == n`")
    measured = [one for one in report.functions if not one.unmeasured]
    killed = sum(one.killed for one in measured)
    survived = sum(one.survived for one in measured)
    assert report.score == killed / (killed + survived)


async def test_cancelling_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whoever interrupts a measurement finds no process and no folder of it."""
    path = tmp_path / "shop.py"
    path.write_text(_SHOP)
    before = await asyncio.to_thread(_traces)
    started = asyncio.Event()
    files = select(await asyncio.to_thread(find_contract_files, path), ["Till.put"])
    options = StrengthOptions(most=12, max_examples=20)
    measuring = asyncio.create_task(measure_files(files, options, notify=lambda _: started.set()))
    await started.wait()
    measuring.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await measuring
    assert measuring.cancelled()
    assert await asyncio.to_thread(_traces) == before


def _traces() -> tuple[set[str], set[str]]:
    """Folders of the Gauntlet and children of this process."""
    folders = {
        one.name for one in Path(tempfile.gettempdir()).glob(f"lattice-lock-*{os.getpid()}*")
    }
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return folders, set(children)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A lattice with weak contracts, and right bodies."""
    root = tmp_path_factory.mktemp("project")
    (root / "lattice.yaml").write_text(_LATTICE)
    (root / "src" / "services").mkdir(parents=True)
    for name, text in {"shop": _HALVE, "till": _LESS, "desk": _ASK}.items():
        (root / "src" / "services" / f"{name}.py").write_text(text)
    return open_workspace(root)


def _subject(project: Workspace, name: str) -> LatticeSubject:
    (subject,) = functions_of_project(project, [name], StrengthOptions(max_examples=50))
    return subject


def test_an_entity_that_no_clause_speaks_of_is_found(project: Workspace) -> None:
    """Mutants of a method that pass are told with the field that no clause speaks of."""
    options = StrengthOptions(most=3, max_examples=20)
    (halve,) = asyncio.run(
        measure_project(project, ["IShop.halve"], options, notify=lambda _: None)
    ).functions
    survivors = [one for one in halve.mutants if one.fate is Fate.SURVIVED]
    assert survivors
    for one in survivors:
        assert one.reason == "No clause of `Shop.halve` speaks of `result.quantity`."
        assert (one.file, one.line) == ("src/services/shop.py", 8)
        assert one.counterexample is not None
        assert one.counterexample.startswith("line=Line(price=0, quantity=")
    assert project.project.read_text("src/services/shop.py") == _HALVE


def test_limits_in_the_code_are_tried_where_mutants_differ(project: Workspace) -> None:
    """A boundary that only the code knows tells a mutant from the original."""
    subject = _subject(project, "ITill.less")
    found = asyncio.run(subject.compare(_LESS.replace("> 5432", ">= 5432")))
    assert (found.shown_input, found.unknown) == ("total=5432", "")
    assert found.difference is not None
    assert (found.difference.original, found.difference.mutant) == ("5432", "5332")


def test_a_mutant_that_hangs_is_killed_by_its_timeout(project: Workspace) -> None:
    """A loop without end in an implementation is no survivor."""
    subject = _subject(project, "ITill.less")
    mutant = _LESS.replace("while total < 0", "while total >= 0")
    (verdict,) = asyncio.run(subject.judge(mutant, 20.0))
    assert verdict.outcome is Outcome.REFUTED
    assert is_too_slow(verdict)


def test_the_method_of_a_dependent_is_compared_with_the_same_answers(project: Workspace) -> None:
    """Original and mutant get copies of one stand-in, so they differ by themselves only."""
    subject = _subject(project, "IDesk.ask")
    same = asyncio.run(subject.compare(_ASK.replace("left + 1", "1 + left")))
    assert (same.difference, same.unknown) == (None, "")
    other = asyncio.run(subject.compare(_ASK.replace("left + 1", "left + 2")))
    assert other.difference is not None
    assert other.difference.what == "result"


def test_a_missing_implementation_is_told(project: Workspace, tmp_path: Path) -> None:
    """Without a file there is nothing to change, and the message says what to run."""
    (tmp_path / "lattice.yaml").write_text(_LATTICE)
    options = StrengthOptions()
    with pytest.raises(UsageError, match=r"there is no `src/services/shop\.py`"):
        asyncio.run(measure_project(open_workspace(tmp_path), (), options, notify=print))
    with pytest.raises(UsageError, match=r"the lattice declares no `IShop\.other`"):
        asyncio.run(measure_project(project, ["IShop.other"], options, notify=print))
