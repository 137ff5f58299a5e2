"""A small shop to judge: one entity, one interface, and a way to try bodies for it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Protocol

import pytest

from lattice_lock.gauntlet.runner import GauntletRequest, Limits, run_contracts
from lattice_lock.gauntlet.verdict import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from lattice_lock.gauntlet.verdict import TestVerdict

TYPES = """
from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class OrderLineStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class OrderLine(BaseModel):
    model_config = ConfigDict(extra="forbid", revalidate_instances="always")

    price: Decimal = Field(gt=0)
    quantity: int = Field(ge=1)
    status: OrderLineStatus = OrderLineStatus.OPEN
"""

CONTRACT = """
from decimal import Decimal

from hypothesis import example, given, settings, strategies as st
from pydantic import TypeAdapter

from services.pricing_service import PricingService
from shared.types_v1 import OrderLine

ORDER_LINES = st.builds(
    OrderLine,
    price=st.decimals(min_value=Decimal("0.01"), max_value=Decimal(1000), places=2),
    quantity=st.integers(1, 1000),
)
RETURNS_LINE_TOTAL = TypeAdapter(Decimal)


@settings(deadline=None)
@given(line=ORDER_LINES)
@example(line=OrderLine(price=Decimal("0.01"), quantity=1))
def test_line_total_keeps_its_contract(line: OrderLine) -> None:
    old_0 = line.quantity
    result = PricingService().line_total(line)
    RETURNS_LINE_TOTAL.validate_python(result, strict=True)
    assert result == line.price * old_0, (
        "interfaces.IPricingService.methods.line_total.ensures[0]: "
        "result == line.price * line.quantity"
    )
"""

EXPECTED = (("test_line_total_keeps_its_contract", "line_total"),)
RIGHT = "return line.price * line.quantity"


def request_for(
    source_root: Path,
    module: str,
    *,
    contract: str = CONTRACT,
    expected: tuple[tuple[str, str], ...] = EXPECTED,
    limits: Limits | None = None,
    max_examples: int | None = 10,
    seed: int = 1,
) -> GauntletRequest:
    """A request to judge one module text as `services.pricing_service`."""
    return GauntletRequest(
        source_root=source_root,
        modules={"shared.types_v1": TYPES, "services.pricing_service": module},
        trusted_modules=frozenset({"shared.types_v1"}),
        implementation_modules=("services.pricing_service",),
        contract_file="test_ipricing_service.py",
        contract_text=contract,
        expected_tests=expected,
        seed=seed,
        max_examples=max_examples,
        limits=limits or Limits(),
    )


def module_with(body: str, *, preamble: str = "") -> str:
    """A module whose `PricingService.line_total` has `body`, after `preamble`."""
    return (
        "from __future__ import annotations\n"
        "from decimal import Decimal\n"
        "from shared.types_v1 import OrderLine, OrderLineStatus\n"
        f"{textwrap.dedent(preamble)}\n"
        "class PricingService:\n"
        "    def line_total(self, line: OrderLine) -> Decimal:\n"
        f"{textwrap.indent(textwrap.dedent(body).strip(), ' ' * 8)}\n"
    )


class Try(Protocol):
    """Judges a body of `line_total`."""

    async def __call__(
        self, body: str, *, preamble: str = "", limits: Limits | None = None
    ) -> TestVerdict:
        """The verdict on the only test."""


@pytest.fixture
def source_root(tmp_path: Path) -> Path:
    """An empty import root."""
    root = tmp_path / "src"
    root.mkdir()
    return root


@pytest.fixture
def try_body(source_root: Path) -> Try:
    """Judge a body by the one contract test of the shop."""

    async def judge(body: str, *, preamble: str = "", limits: Limits | None = None) -> TestVerdict:
        module = module_with(body, preamble=preamble)
        report = await run_contracts(request_for(source_root, module, limits=limits))
        (verdict,) = report.verdicts
        assert report.passed is (verdict.outcome is Outcome.PASSED)
        return verdict

    return judge
