"""Money on the command line."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["max_cost_option"]

_Function = TypeVar("_Function", bound="Callable[..., object]")


def max_cost_option(text: str) -> Callable[[_Function], _Function]:
    """Give a command `--max-cost USD` with this help, and pass it as `max_cost_usd`.

    It is a `Decimal` from zero up, exact to the last digit that was written; None where it is not
    given.
    """
    return click.option("--max-cost", "max_cost_usd", callback=_amount, metavar="USD", help=text)


def _amount(_context: click.Context, _option: click.Parameter, text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise click.BadParameter(f"{text!r} is not an amount of money.")
    return amount
