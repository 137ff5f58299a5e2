"""Generated tests are tested by mutation: of right bodies, and of the contracts themselves."""

from __future__ import annotations

import ast
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis.errors import HypothesisException

from compiled_modules import imported_modules
from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import parse_lattice
from lattice_lock.gauntlet._mutants import make_mutants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_MOST_MUTANTS = 6

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/core/golden"
QUICKSTART = ROOT / "docs/examples/quickstart"

CLOCK = """
class Clock:
    def seconds_between(self, start, end):
        return int((end - start).total_seconds())
"""

EXECUTION = """
from shared.types_v2 import LimitOrderStatus, SideResult


class ExecutionService:
    def __init__(self, clock):
        self._clock = clock

    def fill(self, order, qty):
        if qty > order.quantity:
            raise ValueError("too much")
        left = order.quantity - qty
        return order.model_copy(update={"quantity": left, "status": LimitOrderStatus.FILLED})

    def fee(self, amount, vip):
        return amount * 0 if vip else amount / 4

    def side(self, order):
        return SideResult.SELL if order.quantity > 10 else SideResult.BUY

    def forget(self, orders):
        if not orders:
            raise KeyError("nothing")
"""

ORDERS = """
class Orders:
    def __init__(self):
        self._rows = {}

    def add(self, order):
        self._rows[order.number] = order
        return order

    def get(self, number):
        return self._rows.get(number)

    def list_orders(self):
        return [self._rows[number] for number in sorted(self._rows)]

    def update(self, order):
        if order.number not in self._rows:
            return False
        self._rows[order.number] = order
        return True

    def delete(self, number):
        return self._rows.pop(number, None) is not None

    def cancel(self, number):
        if number > 100:
            raise LookupError("no such order")
"""


@dataclass(frozen=True)
class Subject:
    """One right implementation, and how large a share of its mutants has to be found."""

    lattice: Path
    module: str
    contract: str
    text: str
    share: float
    sequences: int = 40


SUBJECTS = {
    "quickstart": Subject(
        QUICKSTART / "lattice.yaml",
        "services.pricing_service",
        "test_i_pricing_service",
        (QUICKSTART / "src/services/pricing_service.py").read_text(encoding="utf-8"),
        1.0,
    ),
    "exchange": Subject(
        GOLDEN / "exchange/lattice.yaml",
        "services.execution_service",
        "test_i_execution_service",
        EXECUTION,
        0.85,  # what `side` answers is settled for few orders only
        sequences=10,
    ),
    "tables": Subject(
        GOLDEN / "tables/lattice.yaml", "services.orders", "test_i_orders", ORDERS, 0.9
    ),
}


class _Bench:
    """Runs the tests of a lattice against implementation texts, in this process."""

    def __init__(
        self, subject: Subject, modules: Mapping[str, types.ModuleType], source: str
    ) -> None:
        self._subject = subject
        self._modules = modules
        # No shrinking: whether a test fails is all that is asked.
        head = "from hypothesis import Phase\ncontract = settings(max_examples=15, database=None,"
        head += " derandomize=True,"
        head += " phases=(Phase.explicit, Phase.generate),"
        assert "max_examples=40" in source
        source = source.replace("max_examples=40", f"max_examples={subject.sequences}")
        self._contract = source.replace("contract = settings(", head)

    def failing(self, text: str) -> str | None:
        """Name of the first test that fails, None where all pass."""
        module = self._modules[self._subject.module]
        exec(compile(text, self._subject.module, "exec"), vars(module))  # noqa: S102 -- our own text
        contract = types.ModuleType(self._subject.contract)
        sys.modules[contract.__name__] = contract
        exec(compile(self._contract, contract.__name__, "exec"), vars(contract))  # noqa: S102 -- too
        for name, test in vars(contract).items():
            if name.startswith("test_") and not _passes(test):
                return name
        return None


def _passes(test: Callable[[], None]) -> bool:
    try:
        test()
    except HypothesisException:
        raise  # of a test that is wrong itself
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        ExceptionGroup,
        LookupError,
        NameError,
        RuntimeError,
        TypeError,
        ValueError,
    ):
        return False
    return True


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[tuple[Subject, _Bench]]:
    """The subject that the test names, ready to be tried."""
    subject = SUBJECTS[request.param]
    text = subject.lattice.read_text(encoding="utf-8")
    with imported_modules(text) as modules:
        if "services.clock" in modules:
            exec(compile(CLOCK, "services.clock", "exec"), vars(modules["services.clock"]))  # noqa: S102 -- our own text
        yield subject, _Bench(subject, modules, _contract_text(text, subject))


def _contract_text(lattice: str, subject: Subject) -> str:
    compilation = compile_lattice(parse_lattice(lattice, file="lattice.yaml"))
    return compilation.generated[f"tests/contracts/{subject.contract}.py"]


@pytest.mark.parametrize("bench", list(SUBJECTS), indirect=True)
def test_compiled_tests_find_mutants_of_right_bodies(bench: tuple[Subject, _Bench]) -> None:
    """The right bodies pass, and the stated share of their mutants does not."""
    subject, judge = bench
    assert judge.failing(subject.text) is None
    (cls,) = (node for node in ast.parse(subject.text).body if isinstance(node, ast.ClassDef))
    methods = [node.name for node in cls.body if isinstance(node, ast.FunctionDef)]
    survivors, found = [], 0
    for method in methods:
        for mutant in make_mutants(subject.text, f"{cls.name}.{method}", most=_MOST_MUTANTS).chosen:
            if judge.failing(mutant.text) is None:
                survivors.append(mutant.diff)
            else:
                found += 1
    assert found >= 10
    assert found / (found + len(survivors)) >= subject.share, "\n".join(survivors)


CLAUSES = {
    "result == unit_price * quantity": "result == unit_price + quantity",
    "result == sum(line.unit_price * line.quantity for line in lines)": "result == len(lines)",
    "result - net == net * rate": "result - net == net * rate + 1",
    "result == stock - sold": "result == sold - stock",
    'ValueError: "sold > stock"': 'ValueError: "sold >= stock"',
    "result == sorted(result)": "len(result) == len(names)",
    "len(result) == len(set(result))": "len(result) < len(set(result))",
    "result == total // 10": "result == total // 11",
}


@pytest.mark.parametrize("clause", list(CLAUSES))
def test_another_contract_gives_another_verdict(clause: str) -> None:
    """The same right bodies do not pass the tests of a lattice in which one clause is wrong."""
    subject = SUBJECTS["quickstart"]
    lattice = subject.lattice.read_text(encoding="utf-8")
    assert lattice.count(clause) == 1
    changed = lattice.replace(clause, CLAUSES[clause])
    with imported_modules(lattice) as modules:
        judge = _Bench(subject, modules, _contract_text(changed, subject))
        assert judge.failing(subject.text) is not None
