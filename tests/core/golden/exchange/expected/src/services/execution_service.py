"""Implementation of `IExecutionService`."""

from __future__ import annotations

from decimal import Decimal

from shared.types_v2 import LimitOrder, SideResult
from shared.types_v2_interfaces import IClock, IExecutionService


class ExecutionService(IExecutionService):
    """Fills orders."""

    def __init__(self, clock: IClock) -> None:
        self._clock = clock

    def fill(self, order: LimitOrder, qty: int) -> LimitOrder:
        """Take `qty` out of an order.

        Requires:
            qty > 0
            order.status == 'pending'

        Ensures:
            result.status == 'filled'
            result.quantity == old(order.quantity) - qty

        Raises:
            ValueError: qty > order.quantity
        """
        raise NotImplementedError

    def fee(self, amount: Decimal, vip: bool) -> Decimal:
        """`fee` of the lattice.

        Ensures:
            implies(vip, result == 0)
            vip or result == amount * 0.25
        """
        raise NotImplementedError

    def side(self, order: LimitOrder) -> SideResult:
        """`side` of the lattice.

        Ensures:
            result == 'buy' or order.quantity > 10
        """
        raise NotImplementedError

    def forget(self, orders: list[LimitOrder]) -> None:
        """`forget` of the lattice.

        Raises:
            KeyError: len(orders) == 0
        """
        raise NotImplementedError
