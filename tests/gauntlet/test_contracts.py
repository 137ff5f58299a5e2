"""Every form of contract and every policy: what is valid passes, and what violates it does not.

One shop has a method for each form of contract. It is judged once as it should be, and then with
wrong bodies, several methods in one run of the sandbox, because each is told apart by its clause.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from compiled_contracts import compiled_request
from lattice_lock.gauntlet import verdict
from lattice_lock.gauntlet.runner import run_contracts
from lattice_lock.policies.base import Action, Outcome, Subject
from lattice_lock.policies.discovery import policy_class, policy_names
from lattice_lock.policies.placeholders import Placeholders
from lattice_lock.policies.policy_set import Enforced
from lattice_lock.policies.stream import judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.gauntlet.verdict import GauntletReport, TestVerdict
    from lattice_lock.policies.base import Case, Policy

LATTICE = """
version: v1.0
generated_module: types_v1
config: {source_root: src}
entities:
  Order:
    fields:
      quantity: {type: int, ge: 0, le: 100}
      filled: {type: int, ge: 0, le: 100}
      status: {enum: [open, partial, done], default: open}
    transitions: {status: {open: [partial, done], partial: [done]}}
    ensures: ["filled <= quantity"]
interfaces:
  IRates:
    file: src/shop/rates.py
    methods:
      percent:
        params: {country: str}
        returns: {type: int, ge: 0, le: 50}
  IShop:
    file: src/shop/shop.py
    depends_on: [IRates]
    methods:
      half:
        params: {count: int}
        requires: ["count >= 0", {name: even, condition: "count % 2 == 0"}]
        returns: int
        ensures: ["result <= count"]
      total:
        params: {price: {type: decimal, ge: 0, scale: 2}, count: {type: int, ge: 0}}
        returns: decimal
        ensures: [{name: sum, condition: "result == price * count"}]
      capped:
        params: {count: int}
        returns: {type: int, le: 100}
        ensures: [{name: most, field: result, constraint: lte, value: 90}]
      fill:
        params: {order: Order, amount: {type: int, ge: 0, le: 100}}
        returns: Order
        ensures: ["result.quantity == order.quantity"]
      advance:
        params: {order: Order}
        returns: Order
        ensures: ["result.quantity == old(order.quantity)"]
      close:
        params: {order: Order}
        returns: int
        ensures: ["result == order.filled"]
        raises: {ValueError: "order.status == 'done'"}
      add:
        params: {items: "list[int]", item: int}
        ensures: ["items == old(items) + [item]"]
      count:
        params: {items: "list[int]"}
        returns: int
        ensures: ["result >= 0"]
      name:
        params: {code: int}
        returns: str
        ensures: ["len(result) > 0"]
        examples:
          - {args: {code: 7}, returns: seven}
      tax:
        params: {price: {type: int, ge: 0, le: 1000}, country: str}
        returns: int
        ensures: ["0 <= result and result <= price"]
"""

RATES = """
class Rates:
    def percent(self, country):
        return 20
"""

HEAD = """
from shared.types_v1 import OrderStatus


class Shop:
    def __init__(self, *, rates):
        self._rates = rates
"""

RIGHT = {
    # It raises beyond the precondition, which is therefore what keeps it from being called there.
    "half(self, count)": "return [count // 2][count % 2 + (count < 0)]",
    "total(self, price, count)": "return price * count",
    "capped(self, count)": "return min(count, 90)",
    "fill(self, order, amount)": (
        "return order.model_copy(update={'filled': min(order.filled + amount, order.quantity)})"
    ),
    "advance(self, order)": "return order.model_copy(update={'status': OrderStatus.DONE})",
    "close(self, order)": (
        "if order.status == OrderStatus.DONE:\n            raise ValueError('closed')\n"
        "        return order.filled"
    ),
    "add(self, items, item)": "items.append(item)",
    "count(self, items)": "return len(items)",
    "name(self, code)": "return 'seven' if code == 7 else 'other'",
    "tax(self, price, country)": "return price * self._rates.percent(country) // 100",
}

METHOD = "interfaces.IShop.methods."
WRONG: tuple[dict[str, tuple[str, str]], ...] = (
    {
        "half(self, count)": ("return count + 1", f"{METHOD}half.ensures[0]"),
        "total(self, price, count)": (
            "return price * (count + 1)",
            f"{METHOD}total.ensures[0]: sum:",
        ),
        "capped(self, count)": ("return min(count, 91)", f"{METHOD}capped.ensures[0]: most:"),
        "fill(self, order, amount)": (
            "return order.model_copy(update={'filled': order.quantity + 1})",
            f"{METHOD}fill.returns",
        ),
        "advance(self, order)": (
            "return order.model_copy(update={'status': OrderStatus.OPEN})",
            "entities.Order.transitions.status",
        ),
        "close(self, order)": ("return order.filled", f"{METHOD}close.raises"),
        "add(self, items, item)": ("items.insert(0, item + 1)", f"{METHOD}add.ensures[0]"),
        "count(self, items)": ("items.append(1)\n        return 0", f"{METHOD}count"),
        "name(self, code)": ("return 'other'", f"{METHOD}name.examples[0]"),
        "tax(self, price, country)": (
            "return 0 if self._rates.percent(country) == 20 else -1",
            f"{METHOD}tax.ensures[0]",
        ),
    },
    {
        "capped(self, count)": ("return 101", f"{METHOD}capped.returns"),
        "fill(self, order, amount)": (
            "return order.model_copy(update={'quantity': 100})",
            f"{METHOD}fill.ensures[0]",
        ),
        "advance(self, order)": (
            "return order.model_copy(update={'quantity': 100, 'status': OrderStatus.DONE})",
            f"{METHOD}advance.ensures[0]",
        ),
        "close(self, order)": ("raise ValueError('closed')", "raised ValueError: closed"),
        "add(self, items, item)": ("return [*items, item]", f"{METHOD}add.returns"),
        "name(self, code)": (
            "return 'seven' if code == 7 else ''",
            f"{METHOD}name.ensures[0]",
        ),
        "tax(self, price, country)": (
            "return price * 20 // self._rates.percent(country)",
            "ZeroDivisionError",
        ),
    },
)


def shop(bodies: Mapping[str, str]) -> str:
    """A module whose `Shop` has these bodies by their signatures, and else the right ones."""
    return HEAD + "".join(
        f"\n    def {signature}:\n        {body}\n"
        for signature, body in {**RIGHT, **bodies}.items()
    )


def name_of(signature: str) -> str:
    """The method that a signature is of."""
    return signature.partition("(")[0]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[GauntletReport, ...]:
    """What is said of the right shop, and then of each set of wrong bodies."""

    def judged(bodies: Mapping[str, str]) -> GauntletReport:
        request = compiled_request(
            LATTICE,
            "IShop",
            {"shop.shop": shop(bodies), "shop.rates": RATES},
            source_root=tmp_path_factory.mktemp("src"),
        )
        return asyncio.run(run_contracts(replace(request, max_examples=20)))

    wrong = [{signature: body for signature, (body, _) in bodies.items()} for bodies in WRONG]
    return tuple(judged(bodies) for bodies in ({}, *wrong))


def of_method(report: GauntletReport, method: str) -> list[TestVerdict]:
    """The verdicts on one method."""
    return [one for one in report.verdicts if one.method == method]


@pytest.mark.sandbox
def test_a_right_shop_passes_every_form_of_contract(reports: tuple[GauntletReport, ...]) -> None:
    """Each method is tried on examples, and nothing is said against any."""
    right = reports[0]
    assert [(one.method, one.message) for one in right.verdicts if one.message] == []
    assert right.passed
    assert {one.method for one in right.verdicts} >= set(map(name_of, RIGHT))
    assert all(one.examples > 0 for one in right.verdicts)


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("run", "signature"),
    [(number, signature) for number, bodies in enumerate(WRONG, 1) for signature in bodies],
    ids=lambda value: name_of(value) if isinstance(value, str) else str(value),
)
def test_a_wrong_method_is_refuted_by_the_clause_that_it_breaks(
    reports: tuple[GauntletReport, ...], run: int, signature: str
) -> None:
    """Some test of the method fails, and says which part of the lattice is broken."""
    verdicts = of_method(reports[run], name_of(signature))
    refuted = [one for one in verdicts if one.outcome is verdict.Outcome.REFUTED]
    said = [f"{one.clause} {one.message}" for one in refuted]
    assert any(WRONG[run - 1][signature][1] in one for one in said), said


@pytest.mark.sandbox
@pytest.mark.parametrize("method", sorted(set(map(name_of, RIGHT)) - set(map(name_of, WRONG[1]))))
def test_a_method_beside_wrong_ones_passes(
    reports: tuple[GauntletReport, ...], method: str
) -> None:
    """Wrong neighbours do not make a right body look wrong."""
    outcomes = {one.outcome for one in of_method(reports[2], method)}
    assert outcomes == {verdict.Outcome.PASSED}


def sample(name: str) -> Policy:
    """The policy with the parameters that its cases are about."""
    kind = policy_class(name)
    assert kind is not None
    return msgspec.convert(kind.sample, kind)


def cases() -> list[tuple[str, Case]]:
    """Every case of every policy."""
    return [(name, case) for name in policy_names() for case in sample(name).cases]


def _id(value: object) -> str:
    return value if isinstance(value, str) else ""


def enforced(policy: Policy, action: Action) -> tuple[Enforced, ...]:
    """`policy` everywhere, with this action."""
    return (Enforced(policy=policy, subjects=policy.subjects, action=action),)


@pytest.mark.parametrize(("name", "case"), cases(), ids=_id)
def test_a_case_is_refused_or_passes_as_it_states(name: str, case: Case) -> None:
    """Denied, a violating text ends before its finding; a valid one passes as it is."""
    policy = sample(name)
    said = judge(case.text, enforced(policy, Action.DENY), case.context(policy), Placeholders())
    if not case.rules:
        assert (said.outcome, said.text, said.objections) == (Outcome.ALLOW, case.text, ())
        return
    assert said.outcome is Outcome.DENY
    assert said.refusal is not None
    assert said.refusal.finding.rule in case.rules
    assert said.text == case.text[: said.refusal.finding.start]
    error = said.refusal.error(case.context(policy).subject)
    assert (error.policy, error.rule) == (name, said.refusal.finding.rule)


@pytest.mark.parametrize(("name", "case"), cases(), ids=_id)
def test_a_case_is_flagged_and_passes(name: str, case: Case) -> None:
    """Flagged, every text passes as it is, and every rule that objects is recorded."""
    policy = sample(name)
    said = judge(case.text, enforced(policy, Action.FLAG), case.context(policy), Placeholders())
    assert said.text == case.text
    assert sorted(one.finding.rule for one in said.objections) == sorted(case.rules)
    assert said.outcome is (Outcome.FLAG if case.rules else Outcome.ALLOW)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        (name, case)
        for name, case in cases()
        if sample(name).redacts and case.context(sample(name)).subject is not Subject.CODE
    ],
    ids=_id,
)
def test_a_case_is_redacted_for_good(name: str, case: Case) -> None:
    """Redacted, nothing that was found is left at its place, and nothing is found in the rest."""
    policy = sample(name)
    context = case.context(policy)
    said = judge(case.text, enforced(policy, Action.REDACT), context, Placeholders())
    assert said.outcome is (Outcome.REDACT if case.rules else Outcome.ALLOW)
    kept, at = [], 0
    for start, end, placeholder in said.replacements:
        kept += [case.text[at:start], placeholder]
        at = end
    assert said.text == "".join([*kept, case.text[at:]])
    for objection in said.objections:
        finding = objection.finding
        assert any(
            start <= finding.start and finding.end <= end for start, end, _ in said.replacements
        )
    again = judge(said.text, enforced(policy, Action.REDACT), context, Placeholders())
    assert again.objections == ()
