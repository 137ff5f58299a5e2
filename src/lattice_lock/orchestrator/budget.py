"""Money that calls may spend: held for the worst case before a call, settled to the truth after.

A budget never lets more be held and spent together than its limit, whatever runs at once, in any
number of tasks and threads. Budgets nest: what is held in one is held in those around it too, or
in none of them.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Self

from lattice_lock.exceptions import BudgetExceededError, UsageError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Budget", "Hold"]

_ZERO = Decimal(0)


def _is_amount(usd: Decimal) -> bool:
    return usd.is_finite() and usd >= 0


class _Account:
    """What one budget has; all that are part of one another share a lock."""

    __slots__ = ("held", "limit", "lock", "name", "spent")

    def __init__(self, limit: Decimal, name: str, lock: threading.Lock) -> None:
        self.limit = limit
        self.name = name
        self.lock = lock
        self.spent = _ZERO
        self.held = _ZERO

    @property
    def free(self) -> Decimal:
        return self.limit - self.spent - self.held

    def exceeded_by(self, amount: Decimal) -> BudgetExceededError:
        return BudgetExceededError(
            f"The call may cost {amount:f} USD, and of the budget `{self.name}` of "
            f"{self.limit:f} USD {max(self.free, _ZERO):f} USD are left.",
            hint="Ask a cheaper model, allow fewer output tokens, or raise the budget.",
        )


class Budget:
    """US dollars that may be spent.

    Args:
        limit_usd: how many, from zero up.
        name: what errors call it, such as `project` or `panel`.
        within: a budget that this one is part of.

    Raises:
        UsageError: the limit is no finite amount from zero up.
    """

    def __init__(
        self, limit_usd: Decimal, *, name: str = "call", within: Budget | None = None
    ) -> None:
        if not _is_amount(limit_usd):
            raise UsageError(
                f"`{limit_usd}` is no budget.", hint="Write US dollars, such as `0.05`."
            )
        outer: tuple[_Account, ...] = ()
        if within is not None:
            outer = within._accounts  # noqa: SLF001  # of the same class
        lock = outer[0].lock if outer else threading.Lock()
        self._accounts: tuple[_Account, ...] = (_Account(limit_usd, name, lock), *outer)

    @property
    def limit_usd(self) -> Decimal:
        """US dollars that may be spent in all."""
        return self._accounts[0].limit

    @property
    def spent_usd(self) -> Decimal:
        """US dollars that are gone."""
        return self._accounts[0].spent

    @property
    def held_usd(self) -> Decimal:
        """US dollars that calls now running may need."""
        return self._accounts[0].held

    @property
    def left_usd(self) -> Decimal:
        """US dollars that can still be held, here and in the budgets around this one."""
        with self._accounts[0].lock:
            return min(account.free for account in self._accounts)

    def hold(self, amount_usd: Decimal) -> Hold:
        """Set `amount_usd` aside until it is settled or released; nothing can always be.

        Raises:
            BudgetExceededError: that much is not left; nothing is held anywhere.
            UsageError: it is no finite amount from zero up.
        """
        if not _is_amount(amount_usd):
            raise UsageError(f"`{amount_usd}` US dollars cannot be held.")
        with self._accounts[0].lock:
            for account in self._accounts:
                if amount_usd and amount_usd > account.free:
                    raise account.exceeded_by(amount_usd)
            for account in self._accounts:
                account.held += amount_usd
        return Hold(self._accounts, amount_usd)

    def charge(self, cost_usd: Decimal) -> None:
        """Count what was spent without a hold: on past days, or by other programs.

        What is left may become negative; only what is free can be held then.

        Raises:
            UsageError: it is no finite amount from zero up.
        """
        if not _is_amount(cost_usd):
            raise UsageError(f"`{cost_usd}` US dollars cannot have been spent.")
        with self._accounts[0].lock:
            for account in self._accounts:
                account.spent += cost_usd


class Hold:
    """Money set aside for one call; it ends exactly once.

    Use it as a context: whatever was not settled within is released when it is left.
    """

    __slots__ = ("_accounts", "_amount", "_open")

    def __init__(self, accounts: tuple[_Account, ...], amount_usd: Decimal) -> None:
        self._accounts = accounts
        self._amount = amount_usd
        self._open = True

    @property
    def amount_usd(self) -> Decimal:
        """US dollars set aside."""
        return self._amount

    def settle(self, cost_usd: Decimal | None) -> None:
        """The call cost `cost_usd`; None is unknown, for which all that was held is counted.

        So it is for what can be no cost. Later calls of this or of `release` do nothing.
        """
        if cost_usd is None or not _is_amount(cost_usd):
            cost_usd = self._amount
        self._end(cost_usd)

    def release(self) -> None:
        """The call cost nothing."""
        self._end(_ZERO)

    def _end(self, spent_usd: Decimal) -> None:
        with self._accounts[0].lock:
            if not self._open:
                return
            self._open = False
            for account in self._accounts:
                account.held -= self._amount
                account.spent += spent_usd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
