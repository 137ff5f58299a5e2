"""Money that calls may spend."""

from __future__ import annotations

import threading
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from lattice_lock.exceptions import BudgetExceededError, UsageError
from lattice_lock.orchestrator.budget import Budget, Hold

ZERO = Decimal(0)
NO_AMOUNTS = [Decimal(-1), Decimal("NaN"), Decimal("Infinity")]
AMOUNTS = st.decimals(0, 3, places=4)


def test_what_is_held_is_not_left() -> None:
    """A hold takes from what is left, and ends in what was spent."""
    budget = Budget(Decimal(1))
    hold = budget.hold(Decimal("0.6"))
    assert (budget.held_usd, budget.left_usd, budget.spent_usd) == (
        Decimal("0.6"),
        Decimal("0.4"),
        ZERO,
    )
    hold.settle(Decimal("0.25"))
    assert (budget.held_usd, budget.left_usd, budget.spent_usd) == (
        ZERO,
        Decimal("0.75"),
        Decimal("0.25"),
    )
    assert (hold.amount_usd, budget.limit_usd) == (Decimal("0.6"), Decimal(1))


def test_too_much_is_refused_and_holds_nothing() -> None:
    """The error names amount, budget and rest; to the last cent everything can be held."""
    budget = Budget(Decimal("0.05"), name="project")
    with pytest.raises(BudgetExceededError, match=r"may cost 0\.06 USD") as caught:
        budget.hold(Decimal("0.06"))
    assert "budget `project` of 0.05 USD 0.05 USD are left" in str(caught.value)
    assert budget.held_usd == ZERO
    budget.hold(Decimal("0.05"))
    assert budget.left_usd == ZERO


@pytest.mark.parametrize("ends", ["settle", "release", "unknown", "leave", "leave after settling"])
def test_a_hold_ends_once(ends: str) -> None:
    """Whatever ends it first counts, and what comes later does nothing."""
    budget = Budget(Decimal(1))
    with budget.hold(Decimal("0.5")) as hold:
        if ends in {"settle", "leave after settling"}:
            hold.settle(Decimal("0.1"))
        elif ends == "release":
            hold.release()
        elif ends == "unknown":
            hold.settle(None)
    hold.settle(Decimal("0.4"))
    hold.release()
    hold.settle(None)
    spent = {"settle": "0.1", "leave after settling": "0.1", "unknown": "0.5"}.get(ends, "0")
    assert (budget.spent_usd, budget.held_usd) == (Decimal(spent), ZERO)


def test_a_failure_within_releases_the_hold() -> None:
    """Leaving the context by an error gives back what was held."""
    budget = Budget(Decimal(1))
    with suppress(ZeroDivisionError), budget.hold(Decimal(1)):
        raise ZeroDivisionError
    assert budget.left_usd == Decimal(1)


def test_a_cost_above_the_hold_counts_in_full() -> None:
    """What is left may become negative; what costs something is refused then, and naught is not."""
    budget = Budget(Decimal(1))
    budget.hold(Decimal("0.5")).settle(Decimal(3))
    assert (budget.spent_usd, budget.left_usd) == (Decimal(3), Decimal(-2))
    with pytest.raises(BudgetExceededError, match="0 USD are left"):
        budget.hold(Decimal("0.01"))
    budget.hold(ZERO).settle(ZERO)


def test_spending_of_others_is_charged() -> None:
    """What was spent without a hold counts, here and in the budgets around."""
    outer = Budget(Decimal(1))
    inner = Budget(Decimal(1), within=outer)
    inner.charge(Decimal("0.7"))
    assert (inner.left_usd, outer.left_usd) == (Decimal("0.3"), Decimal("0.3"))


@pytest.mark.parametrize("amount", NO_AMOUNTS)
def test_what_is_no_amount_is_refused(amount: Decimal) -> None:
    """Neither a limit nor a hold nor a charge can be negative or no number."""
    budget = Budget(Decimal(1))
    with pytest.raises(UsageError):
        Budget(amount)
    with pytest.raises(UsageError):
        budget.hold(amount)
    with pytest.raises(UsageError):
        budget.charge(amount)
    assert budget.left_usd == Decimal(1)


@pytest.mark.parametrize("amount", NO_AMOUNTS)
def test_a_cost_that_can_be_none_counts_as_the_hold(amount: Decimal) -> None:
    """A provider that claims to have paid us, or nonsense, makes no budget larger."""
    budget = Budget(Decimal(1))
    budget.hold(Decimal("0.5")).settle(amount)
    assert (budget.spent_usd, budget.held_usd) == (Decimal("0.5"), ZERO)


def test_budgets_nest() -> None:
    """A hold takes from all around it or from none, and the error names whose limit it is."""
    project = Budget(Decimal(1), name="project")
    panel = Budget(Decimal("0.8"), name="panel", within=project)
    call = Budget(Decimal("0.5"), name="call", within=panel)
    call.hold(Decimal("0.4"))
    assert [one.held_usd for one in (call, panel, project)] == [Decimal("0.4")] * 3
    other = Budget(Decimal(9), within=project)
    other.hold(Decimal("0.5"))
    assert call.left_usd == Decimal("0.1")
    with pytest.raises(BudgetExceededError, match="budget `project`"):
        panel.hold(Decimal("0.2"))
    with pytest.raises(BudgetExceededError, match="budget `call`"):
        call.hold(Decimal("0.2"))
    assert [one.held_usd for one in (call, panel)] == [Decimal("0.4")] * 2
    assert project.held_usd == Decimal("0.9")


@pytest.mark.parametrize("nested", [False, True])
def test_threads_together_hold_no_more_than_there_is(nested: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """Of many threads that start at once exactly as many succeed as the budget has room for."""
    outer = Budget(Decimal("0.07"))
    budgets = [Budget(Decimal(1), within=outer) if nested else outer for _ in range(8)]
    barrier = threading.Barrier(len(budgets))
    holds: list[Hold] = []
    over: list[Decimal] = []

    def work(budget: Budget) -> None:
        barrier.wait()
        for _ in range(50):
            try:
                holds.append(budget.hold(Decimal("0.01")))
            except BudgetExceededError:
                over.append(budget.left_usd)

    threads = [threading.Thread(target=work, args=(budget,)) for budget in budgets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(holds), outer.held_usd, outer.left_usd) == (7, Decimal("0.07"), ZERO)
    assert len(over) == 8 * 50 - 7


def test_threads_that_end_one_hold_end_it_once() -> None:
    """Settling and releasing at once from many threads counts one of them."""
    for _ in range(20):
        budget = Budget(Decimal(1))
        hold = budget.hold(Decimal("0.5"))
        barrier = threading.Barrier(6)

        def end(number: int, hold: Hold = hold, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            hold.settle(Decimal("0.2")) if number % 2 else hold.release()

        threads = [threading.Thread(target=end, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert budget.held_usd == ZERO
        assert budget.spent_usd in {ZERO, Decimal("0.2")}


class _Budgets(RuleBasedStateMachine):
    """A project, two budgets within it, and whatever may happen to holds of them."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        project = Budget(Decimal(5), name="project")
        panel = Budget(Decimal(3), name="panel", within=project)
        self.budgets = [project, panel, Budget(Decimal(2), name="call", within=panel)]

    @rule(target=holds, number=st.integers(0, 2), amount=AMOUNTS)
    def hold(self, number: int, amount: Decimal) -> tuple[int, Hold] | None:
        budget = self.budgets[number]
        before = [(one.held_usd, one.spent_usd) for one in self.budgets]
        fits = amount <= budget.left_usd
        try:
            hold = budget.hold(amount)
        except BudgetExceededError:
            assert not fits
            assert [(one.held_usd, one.spent_usd) for one in self.budgets] == before
            return None
        assert fits
        return number, hold

    @rule(held=consumes(holds), share=st.none() | st.decimals(0, 1, places=2))
    def end(self, held: tuple[int, Hold] | None, share: Decimal | None) -> None:
        """End it, at no more than was held; None is unknown."""
        if held is None:
            return
        number, hold = held
        before = [one.spent_usd for one in self.budgets]
        cost = None if share is None else hold.amount_usd * share
        hold.settle(cost)
        hold.release()
        for index, (budget, spent) in enumerate(zip(self.budgets, before, strict=True)):
            counted = hold.amount_usd if cost is None else cost
            assert budget.spent_usd - spent == (counted if index <= number else 0)

    @invariant()
    def never_above_the_limit(self) -> None:
        for budget in self.budgets:
            assert budget.held_usd >= ZERO
            assert budget.held_usd + budget.spent_usd <= budget.limit_usd
            assert budget.left_usd >= ZERO

    @invariant()
    def inner_is_part_of_outer(self) -> None:
        for outer, inner in zip(self.budgets, self.budgets[1:], strict=False):
            assert inner.held_usd <= outer.held_usd
            assert inner.spent_usd <= outer.spent_usd


TestBudgets = _Budgets.TestCase


@given(costs=st.lists(AMOUNTS, max_size=30))
def test_money_is_neither_made_nor_lost(costs: list[Decimal]) -> None:
    """What was spent is the exact sum of what calls cost."""
    budget = Budget(Decimal(1000))
    for cost in costs:
        budget.hold(Decimal(3)).settle(cost)
    assert budget.spent_usd == sum(costs, ZERO)
    assert budget.left_usd == Decimal(1000) - sum(costs, ZERO)
