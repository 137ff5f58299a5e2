"""The runner from the outside: real processes, real sandbox, real verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_lock.gauntlet.verdict import Outcome

from .conftest import RIGHT

if TYPE_CHECKING:
    from .conftest import Try


async def test_a_right_body_passes(try_body: Try) -> None:
    """A body that keeps its contract passes, with every example counted."""
    verdict = await try_body(RIGHT)
    assert (verdict.outcome, verdict.message) == (Outcome.PASSED, "")
    assert verdict.examples >= 10


async def test_a_wrong_body_is_refuted_with_the_smallest_input(try_body: Try) -> None:
    """A wrong body is refuted with clause, shrunk input and the values that disagree."""
    verdict = await try_body("return line.price + line.quantity")
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.clause == "interfaces.IPricingService.methods.line_total.ensures[0]"
    assert verdict.counterexample is not None
    assert "OrderLine(price=Decimal('0.01'), quantity=1," in verdict.counterexample
    assert "Decimal('1.01')" in verdict.message
