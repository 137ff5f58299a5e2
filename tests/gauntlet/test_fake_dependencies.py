"""Dependencies are stood in for by fakes that keep their contracts and hold callers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from compiled_contracts import compiled_request
from compiled_modules import imported_modules
from lattice_lock.gauntlet.runner import run_contracts
from lattice_lock.gauntlet.verdict import ANY_METHOD, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lattice_lock.gauntlet.verdict import TestVerdict

LATTICE = """
version: v1.0
generated_module: types_v1
entities:
  Order:
    persistence: table
    fields:
      order_id: {type: int, primary_key: true, ge: 0}
      qty: {type: int, ge: 1, le: 1000}
      status: {enum: [pending, filled]}
interfaces:
  IOrders:
    file: src/services/orders.py
    scaffold: repository_pattern
    methods:
      add: {params: {order: Order}, returns: Order}
      get: {params: {order_id: int}, returns: Order | null}
  IRates:
    file: src/services/rates.py
    methods:
      percent:
        params: {qty: {type: int, ge: 0}}
        returns: int
        requires: ["qty > 0"]
        ensures: ["result >= 0", "result <= 100"]
        raises: {LookupError: "qty > 900"}
      half: {params: {qty: int}, returns: int, ensures: ["result == qty // 2"]}
      fill:
        params: {order: Order, date: date}
        returns: Order
        requires: ["date >= '2020-01-01'"]
        ensures: ["result.order_id == order.order_id", "result.status == 'filled'"]
      count: {params: {}, returns: int}
  IInPlace:
    file: src/services/in_place.py
    methods:
      append:
        params: {names: "list[str]", name: str}
        returns: null
        ensures: ["len(names) == len(old(names)) + 1", "names[-1] == name"]
  IShop:
    file: src/services/shop.py
    depends_on: [IOrders, IRates, IInPlace]
    methods:
      place:
        params: {order: Order}
        returns: Order
        ensures: ["result.status == 'filled'", "result.order_id == order.order_id"]
      look:
        params: {order_id: int}
        returns: Order | null
        ensures: ["result is None or result.order_id == order_id"]
      share:
        params: {qty: {type: int, ge: 0, le: 1000}}
        returns: int
        ensures: ["result >= 0", "result <= 100"]
      halves: {params: {qty: int}, returns: int, ensures: ["result == 2 * (qty // 2)"]}
      steady: {params: {}, returns: int, ensures: ["result == 0"]}
      named: {params: {name: str}, returns: "list[str]", ensures: ["result == [name]"]}
"""

RIGHT = {
    "place": """
        self._orders.add(order)
        stored = self._orders.get(order.order_id)
        return self._rates.fill(stored, date=datetime.date(2020, 1, 1))
    """,
    "look": "return self._orders.get(order_id=order_id)",
    "share": """
        if qty == 0:
            return 0
        try:
            return self._rates.percent(qty)
        except LookupError:
            return 0
    """,
    "halves": "return self._rates.half(qty) * 2",
    "steady": "return self._rates.count() - self._rates.count()",
    "named": """
        names = []
        self._in_place.append(names, name)
        return names
    """,
}
PARAMETERS = {
    "place": "order",
    "look": "order_id",
    "share": "qty",
    "halves": "qty",
    "steady": "",
    "named": "name",
}
OTHERS = {
    "services.orders": "raise RuntimeError('not written yet')",
    "services.rates": "class Rates: pass",
    "services.in_place": (
        "class InPlace:\n    def append(self, names, name):\n        names.append(name)\n"
    ),
}


def _shop(bodies: Mapping[str, str]) -> str:
    text = "import datetime\n\n\nclass Shop:\n"
    text += "    def __init__(self, orders, rates, in_place):\n"
    text += "        self._orders, self._rates, self._in_place = orders, rates, in_place\n"
    for name, body in {**RIGHT, **bodies}.items():
        lines = "".join(f"        {line.removeprefix(' ' * 8)}\n" for line in body.splitlines())
        text += f"\n    def {name}(self, {PARAMETERS[name]}):\n{lines}"
    return text


async def _judge(
    source_root: Path, bodies: Mapping[str, str], *, max_examples: int = 20
) -> dict[str, TestVerdict]:
    modules = {**OTHERS, "services.orders": "class Orders: pass", "services.shop": _shop(bodies)}
    request = compiled_request(
        LATTICE, "IShop", modules, source_root=source_root, max_examples=max_examples
    )
    report = await run_contracts(request)
    return {verdict.method: verdict for verdict in report.verdicts}


async def test_whoever_keeps_to_the_contracts_of_dependencies_passes(source_root: Path) -> None:
    """Fakes answer by their contracts, remember entities, and are steady between changes."""
    verdicts = await _judge(source_root, {})
    assert {name: one.message for name, one in verdicts.items() if one.message} == {}
    assert set(verdicts) == {*RIGHT, ANY_METHOD}


MISUSE = {
    "share": (
        "return self._rates.percent(qty=qty) if qty <= 900 else 0",
        "interfaces.IRates.methods.percent.requires[0]: calls IRates.percent(qty=0), which its",
    ),
    "halves": (
        "return self._rates.half(str(qty)) * 2",
        "interfaces.IRates.methods.half.params.qty: calls IRates.half(qty='",
    ),
    "look": ("return self._orders.get(self)", "calls IOrders.get with `services.shop.Shop`"),
    "steady": ("return self._rates.count(1)", "raised TypeError: too many positional arguments"),
    "place": (
        "return self._rates.fill(order, datetime.date(2019, 12, 31))",
        "interfaces.IRates.methods.fill.requires[0]: calls IRates.fill(order=Order(order_id=0,",
    ),
    "named": ("return self._rates.nothing(name)", "raised AttributeError: "),
}


async def test_a_call_that_a_dependency_forbids_is_refuted(source_root: Path) -> None:
    """The refutation names the call, what is forbidden, and what to do."""
    verdicts = await _judge(source_root, {name: body for name, (body, _) in MISUSE.items()})
    for name, (_, message) in MISUSE.items():
        assert verdicts[name].outcome is Outcome.REFUTED, name
        assert verdicts[name].message.startswith(message), name
        assert verdicts[name].suggestion, name
    assert verdicts["share"].clause == "interfaces.IRates.methods.percent.requires[0]"
    assert "Check what is passed to the dependency" in verdicts["share"].suggestion


HIDDEN = {
    "share": "try: return self._rates.percent(qty)\nexcept BaseException: return 0",
    "halves": "self._rates.half(qty) if 0 else self._rates.percent(0)\nreturn 2 * (qty // 2)",
    "steady": (
        "ask = self._rates.count.__func__.__closure__\n"
        "server = next(c.cell_contents for c in ask if hasattr(c.cell_contents, '_ask'))\n"
        "try: server._ask({'fake': 10**9, 'method': 'count'}, {})\n"
        "except BaseException: pass\n"
        "return 0"
    ),
    "look": (
        "ask = self._orders.get.__func__.__closure__\n"
        "server = next(c.cell_contents for c in ask if hasattr(c.cell_contents, '_ask'))\n"
        "number = next(c.cell_contents for c in ask if isinstance(c.cell_contents, dict))\n"
        "try: server._ask({'fake': number['number'], 'method': '__init__'}, {})\n"
        "except BaseException: pass\n"
        "return None"
    ),
}


async def test_hiding_a_forbidden_call_does_not_help(source_root: Path) -> None:
    """Whoever swallows the complaint, or asks behind the fake's back, is refuted all the same."""
    verdicts = await _judge(source_root, HIDDEN)
    assert {name: verdicts[name].outcome for name in HIDDEN} == dict.fromkeys(
        HIDDEN, Outcome.REFUTED
    )
    assert "calls IRates.percent(qty=0)" in verdicts["share"].message
    for name in ("steady", "look"):
        told = "asked a dependency for something that it does not do"
        assert verdicts[name].message == told


TRUST = {
    "share": (
        "return self._rates.percent(qty) + 1 if 0 < qty <= 900 else 0",
        "interfaces.IShop.methods.share.ensures[1]",
        "IRates.percent(qty=",
    ),
    "look": (
        "order = self._orders.get(order_id)\nassert order is not None\nreturn order",
        None,
        "IOrders.get(order_id=",
    ),
    "place": (
        "return self._rates.fill(order, datetime.date.max).model_copy(update={'order_id': 0})",
        "interfaces.IShop.methods.place.ensures[1]",
        "IRates.fill(order=Order(",
    ),
}


async def test_trusting_a_dependency_beyond_its_contract_is_refuted(source_root: Path) -> None:
    """Fakes answer at the limits of their contracts, and what they answered is shown."""
    bodies = {name: body for name, (body, *_) in TRUST.items()}
    verdicts = await _judge(source_root, bodies, max_examples=100)
    for name, (_, clause, call) in TRUST.items():
        assert verdicts[name].outcome is Outcome.REFUTED, name
        assert verdicts[name].clause == clause, name
        assert any(one.startswith(f"  {call}") and " -> " in one for one in verdicts[name].calls)
        assert call in str(verdicts[name].counterexample)


async def test_waiting_for_an_answer_that_may_never_come_is_no_pass(source_root: Path) -> None:
    """A body that polls a steady answer for ever gets no verdict on the example, nor a pass."""
    body = "while self._rates.count() != 123456789: pass\nreturn 0"
    verdict = (await _judge(source_root, {"steady": body}))["steady"]
    assert verdict.outcome is Outcome.VACUOUS
    assert verdict.message == "a dependency had no answer that its contract allows"


def test_a_fake_in_the_same_process_does_the_same() -> None:
    """Plain pytest, without a judge, meets the same answers, errors and complaints."""
    with imported_modules(LATTICE) as modules:
        contracts = modules["test_i_shop"]
        order = modules["shared.types_v1"].Order(order_id=7, qty=1, status="pending")
        rates, orders = contracts.FakeRates(), contracts.FakeOrders()
        assert rates.half(9) == 4
        with pytest.raises(LookupError, match="qty > 900"):
            rates.percent(901)
        assert (rates.fill(order, modules["test_i_shop"].date(2021, 1, 1)).status) == "filled"
        orders.add(order)
        assert orders.get(7) == order
        assert orders.get(8) in (None, order.model_copy(update={"order_id": 8}))
        with pytest.raises(AssertionError, match=r"calls IRates.percent\(qty=0\)"):
            rates.percent(0)
        assert not hasattr(contracts, "FakeInPlace")
