"""What a build may still spend, and the seeds that it draws."""

from __future__ import annotations

from decimal import Decimal

from lattice_lock.agents.attempts import Budget, BuildLimits, fresh_seed
from scripted_model import LARGE, SMALL


def test_an_answer_makes_up_for_failures_before_it() -> None:
    """Only failures in a row shut a model out, and only that model."""
    budget = Budget(BuildLimits())
    for _ in range(3):
        budget.record_failure(SMALL)
        assert budget.refusal(SMALL) is None
        budget.record_answer(SMALL, None)
    budget.record_failure(SMALL)
    budget.record_failure(SMALL)
    assert "did not answer 2 times in a row" in (budget.refusal(SMALL) or "")
    assert budget.refusal(LARGE) is None


def test_an_unknown_price_shuts_out_that_model_alone() -> None:
    """With a cost limit, only a model whose price is known goes on."""
    budget = Budget(BuildLimits(cost_usd=Decimal(1)))
    budget.record_answer(SMALL, None)
    budget.record_answer(LARGE, Decimal("0.99"))
    assert "price of `local/small` is unknown" in (budget.refusal(SMALL) or "")
    assert budget.refusal(LARGE) is None
    budget.record_answer(LARGE, Decimal("0.01"))
    assert "cost limit of 1 USD" in (budget.refusal(LARGE) or "")


def test_no_limit_means_no_refusal() -> None:
    """Without limits, time and money do not matter."""
    budget = Budget(BuildLimits())
    budget.record_answer(SMALL, Decimal(10**9))
    assert budget.remaining_s() is None
    assert budget.refusal(SMALL) is None


def test_seeds_are_wide_and_new() -> None:
    """Drawn seeds do not repeat, so nobody can know the next one."""
    seen: set[int] = set()
    for _ in range(1000):
        seed = fresh_seed(seen)
        assert seed not in seen
        seen.add(seed)
    assert max(seen) > 2**58
