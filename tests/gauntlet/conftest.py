"""A small shop to judge: one entity, one interface, and a way to try bodies for it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Protocol

import pytest

from lattice_lock.gauntlet.runner import GauntletRequest, Limits, run_contracts
from lattice_lock.gauntlet.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    model_config = ConfigDict(extra="forbid", frozen=True, revalidate_instances="always")

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
        "result == line.price * line.quantity" + f"; returned {result!r}"
    )
"""

TEST_OF_ONE_BODY = """

@given(line=ORDER_LINES)
@example(line=OrderLine(price=Decimal("0.01"), quantity=1))
def test_{method}(line: OrderLine) -> None:
    result = PricingService().{method}(line)
    RETURNS_LINE_TOTAL.validate_python(result, strict=True)
    assert result == line.price * line.quantity
"""

# A busy machine must not make an innocent body time out, or a memory bomb take long.
PATIENT = Limits(call_timeout_s=5.0, memory_mib=512)

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
        limits=limits or PATIENT,
    )


def module_with(bodies: Mapping[str, str], *, preamble: str = "") -> str:
    """A module whose `PricingService` has a method for each of `bodies`, after `preamble`."""
    methods = "".join(
        f"    def {name}(self, line: OrderLine) -> Decimal:\n"
        f"{textwrap.indent(textwrap.dedent(body).strip(), ' ' * 8)}\n"
        for name, body in bodies.items()
    )
    return (
        "from __future__ import annotations\n"
        "from decimal import Decimal\n"
        "from shared.types_v1 import OrderLine, OrderLineStatus\n"
        f"{textwrap.dedent(preamble)}\n"
        f"class PricingService:\n{methods}"
    )


class TryMany(Protocol):
    """Judges many bodies, each as a method of its own, in one run."""

    async def __call__(
        self, bodies: Mapping[str, str], *, preamble: str = "", limits: Limits | None = None
    ) -> dict[str, TestVerdict]:
        """The verdict on each body, by the same key."""


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
        module = module_with({"line_total": body}, preamble=preamble)
        report = await run_contracts(request_for(source_root, module, limits=limits))
        (verdict,) = report.verdicts
        assert report.passed is (verdict.outcome is Outcome.PASSED)
        return verdict

    return judge


@pytest.fixture
def try_bodies(source_root: Path) -> TryMany:
    """Judge many bodies in one run, which is faster than a run for each."""

    async def judge(
        bodies: Mapping[str, str], *, preamble: str = "", limits: Limits | None = None
    ) -> dict[str, TestVerdict]:
        methods = {f"method_{number}": name for number, name in enumerate(bodies)}
        contract = CONTRACT[: CONTRACT.index("@settings")]
        contract += "".join(TEST_OF_ONE_BODY.format(method=method) for method in methods)
        request = request_for(
            source_root,
            module_with(
                {method: bodies[name] for method, name in methods.items()}, preamble=preamble
            ),
            contract=contract,
            expected=tuple((f"test_{method}", method) for method in methods),
            max_examples=2,
            limits=limits,
        )
        report = await run_contracts(request)
        return {methods[verdict.method]: verdict for verdict in report.verdicts}

    return judge
