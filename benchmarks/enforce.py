"""What a checked call costs, beside a bare call, a hand-written check, and icontract.

icontract is measured where it is installed: `pip install icontract`. Each number is the median of
interleaved rounds, so that a busy moment hits all alike.
"""

from __future__ import annotations

import importlib
import statistics
import time
from typing import TYPE_CHECKING, Any

from lattice_lock.gauntlet.decorators import enforce, ensures, requires

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS = 15
_CALLS = 20_000


def bare(amount: int, limit: int = 100) -> int:
    """No check."""
    return amount + limit


def by_hand(amount: int, limit: int = 100) -> int:
    """The same checks, written out."""
    if not amount > 0:
        raise ValueError
    result = amount + limit
    if not result > limit:
        raise ValueError
    return result


@requires("amount > 0")
@ensures("result > limit")
def recorded(amount: int, limit: int = 100) -> int:
    """Decorated, not enforced."""
    return amount + limit


@enforce
@requires("amount > 0")
@ensures("result > limit")
def enforced_texts(amount: int, limit: int = 100) -> int:
    """Conditions as texts."""
    return amount + limit


@enforce
@requires(lambda amount: amount > 0)
@ensures(lambda result, limit: result > limit)
def enforced_lambdas(amount: int, limit: int = 100) -> int:
    """Conditions as lambdas."""
    return amount + limit


def checked_by_icontract() -> Callable[..., int] | None:
    """The same function under icontract; None where that is not installed."""
    try:
        icontract: Any = importlib.import_module("icontract")
    except ImportError:
        return None
    decorated: Callable[..., int] = icontract.require(lambda amount: amount > 0)(
        icontract.ensure(lambda result, limit: result > limit)(bare)
    )
    return decorated


def nanoseconds_per_call(function: Callable[..., int]) -> float:
    """The mean over one round."""
    numbers = range(_CALLS)
    started = time.perf_counter_ns()
    for _ in numbers:
        function(5)
    return (time.perf_counter_ns() - started) / _CALLS


def main() -> None:
    """Print the table."""
    rows = {
        "bare": bare,
        "checks by hand": by_hand,
        "recorded only": recorded,
        "@enforce, texts": enforced_texts,
        "@enforce, lambdas": enforced_lambdas,
    }
    if (peer := checked_by_icontract()) is not None:
        rows["icontract"] = peer
    rounds: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(_ROUNDS):
        for name, function in rows.items():
            rounds[name].append(nanoseconds_per_call(function))
    base = statistics.median(rounds["bare"])
    print(f"one precondition, one postcondition: median of {_ROUNDS} rounds of {_CALLS} calls")
    print(f"{'':<20} {'ns':>8} {'x bare':>8}")
    for name, measured in rounds.items():
        value = statistics.median(measured)
        print(f"{name:<20} {value:>8.0f} {value / base:>8.1f}")


if __name__ == "__main__":
    main()
