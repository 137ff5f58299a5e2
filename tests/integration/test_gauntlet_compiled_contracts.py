"""From the text of a lattice to verdicts: loader, compiler and Gauntlet together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import parse_lattice
from lattice_lock.gauntlet.runner import GauntletRequest, run_contracts
from lattice_lock.gauntlet.verdict import ANY_METHOD, GauntletReport, Outcome

if TYPE_CHECKING:
    from pathlib import Path

LATTICE = """
version: v1.0
generated_module: types_v1
config: {source_root: src}
entities:
  OrderLine:
    fields:
      price: {type: decimal, gt: 0, scale: 2}
      quantity: {type: int, ge: 1, le: 1000}
      status: {enum: [open, closed], default: open}
interfaces:
  IRates:
    file: src/services/rates.py
    methods:
      percent:
        returns: int
        ensures: ["result >= 0"]
  IPricing:
    file: src/services/pricing.py
    depends_on: [IRates]
    methods:
      line_total:
        params: {line: OrderLine}
        returns: decimal
        ensures: ["result == line.price * line.quantity"]
      close:
        params: {line: OrderLine}
        returns: OrderLine
        ensures: ["result.status == 'closed'", "result.quantity == old(line.quantity)"]
        raises: {ValueError: "line.status == 'closed'"}
      unique:
        params: {names: "list[str]"}
        returns: "list[str]"
        ensures: ["len(result) <= len(names)", "all(name in names for name in result)"]
"""

RATES = """
class Rates:
    def percent(self):
        return 20
"""

PRICING = """
from shared.types_v1 import OrderLineStatus


class Pricing:
    def __init__(self, **collaborators):
        self._collaborators = collaborators

    def line_total(self, line):
        return line.price * line.quantity

    def close(self, line):
        if line.status == OrderLineStatus.CLOSED:
            raise ValueError("closed already")
        return line.model_copy(update={"status": OrderLineStatus.CLOSED})

    def unique(self, names):
        return sorted(set(names))
"""

WRONG = {
    "line_total": ("line.price * line.quantity", "line.price"),
    "close": ('raise ValueError("closed already")', "return line"),
    "unique": ("sorted(set(names))", "[*names, 'one more']"),
}


async def _judge(source_root: Path, pricing: str) -> GauntletReport:
    """Judge `IPricing` by the contracts that the lattice compiles to."""
    compilation = compile_lattice(parse_lattice(LATTICE, file="lattice.yaml"))
    suite = compilation.contracts["IPricing"]
    return await run_contracts(
        GauntletRequest(
            source_root=source_root,
            modules={
                **compilation.trusted_modules,
                "services.pricing": pricing,
                "services.rates": RATES,
            },
            trusted_modules=frozenset(compilation.trusted_modules),
            implementation_modules=suite.implementation_modules,
            contract_file=suite.path.rpartition("/")[2],
            contract_text=suite.text,
            expected_tests=tuple((test.name, test.method) for test in suite.tests),
            seed=20,
            max_examples=20,
        )
    )


async def test_a_right_implementation_passes_its_compiled_contracts(tmp_path: Path) -> None:
    """What the lattice says is passed by a body that does it, every test with examples."""
    report = await _judge(tmp_path, PRICING)
    assert [verdict.message for verdict in report.verdicts if verdict.message] == []
    assert report.passed
    assert all(verdict.examples > 0 for verdict in report.verdicts)
    assert {verdict.method for verdict in report.verdicts} == {*WRONG, ANY_METHOD}


@pytest.mark.parametrize("method", list(WRONG))
async def test_a_wrong_method_is_refuted_and_the_others_pass(tmp_path: Path, method: str) -> None:
    """One wrong body is found by its own tests alone, with the clause that it breaks."""
    right, wrong = WRONG[method]
    assert right in PRICING
    report = await _judge(tmp_path, PRICING.replace(right, wrong))
    refuted = [verdict for verdict in report.verdicts if verdict.outcome is not Outcome.PASSED]
    assert {verdict.method for verdict in refuted} == {method, ANY_METHOD}
    assert refuted[-1].message == f"not tried, because `{method}` did not pass alone"
    assert refuted[0].outcome is Outcome.REFUTED
    assert refuted[0].clause is not None
    assert refuted[0].clause.startswith(f"interfaces.IPricing.methods.{method}.")
    assert refuted[0].counterexample is not None
