"""Implementation of `IPricingService`."""

from __future__ import annotations

from decimal import Decimal

from shared.types_v1 import OrderLine
from shared.types_v1_interfaces import IPricingService


class PricingService(IPricingService):
    """What an order costs, and what that is worth to the customer."""

    def line_total(self, unit_price: Decimal, quantity: int) -> Decimal:
        """Price of one order line: the unit price times the quantity.

        Ensures:
            result == unit_price * quantity
        """
        return unit_price * quantity

    def order_total(self, lines: list[OrderLine]) -> Decimal:
        """Sum of unit price times quantity over all lines of the order.

        Ensures:
            result == sum(line.unit_price * line.quantity for line in lines)
        """
        return sum(line.unit_price * line.quantity for line in lines)

    def price_with_tax(self, net: Decimal, rate: Decimal) -> Decimal:
        """Net price plus tax: net + net * rate.

        Ensures:
            result >= net
            result - net == net * rate
        """
        return net + net * rate

    def remaining_stock(self, stock: int, sold: int) -> int:
        """Pieces left in stock after the sale.

        Ensures:
            result == stock - sold

        Raises:
            ValueError: sold > stock
        """
        if sold > stock:
            raise ValueError('sold > stock')
        return stock - sold

    def unique_sorted_names(self, names: list[str]) -> list[str]:
        """The names without duplicates, in alphabetical order.

        Ensures:
            result == sorted(result)
            set(result) == set(names)
            len(result) == len(set(result))
        """
        return sorted(set(names))

    def loyalty_points(self, total: int) -> int:
        """One loyalty point for each full 10 of the total.

        Ensures:
            result == total // 10
        """
        return total // 10
