"""Implementation of `IOrders`."""

from __future__ import annotations

from sqlmodel import Session, col, select

from shared.types_v1 import Order
from shared.types_v1_interfaces import IOrders
from shared.types_v1_tables import OrderRow, memory_session


class Orders(IOrders):
    """Keeps orders."""

    def __init__(self, session: Session | None = None) -> None:
        """Keep rows by way of a session.

        Args:
            session: whoever gives it commits; None for an empty database in memory.
        """
        self._session = memory_session() if session is None else session

    def add(self, order: Order) -> Order:
        """`add` of the lattice.

        Ensures:
            result == order
        """
        self._session.add(OrderRow.model_validate(order))
        self._session.flush()
        return order

    def get(self, number: int) -> Order | None:
        """`get` of the lattice.

        Ensures:
            result is None or result.number == number
        """
        stored_row = self._session.get(OrderRow, number)
        return None if stored_row is None else stored_row.to_entity()

    def list_orders(self) -> list[Order]:
        """`list_orders` of the lattice."""
        rows = self._session.exec(select(OrderRow).order_by(col(OrderRow.number)))
        return [row.to_entity() for row in rows]

    def update(self, order: Order) -> bool:
        """`update` of the lattice."""
        stored_row = self._session.get(OrderRow, order.number)
        if stored_row is None:
            return False
        stored_row.sqlmodel_update(order)
        self._session.flush()
        return True

    def delete(self, number: int) -> bool:
        """`delete` of the lattice."""
        stored_row = self._session.get(OrderRow, number)
        if stored_row is None:
            return False
        self._session.delete(stored_row)
        self._session.flush()
        return True

    def cancel(self, number: int) -> None:
        """`cancel` of the lattice.

        Raises:
            LookupError: number > 100
        """
        raise NotImplementedError
