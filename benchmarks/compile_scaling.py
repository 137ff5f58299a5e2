"""How compiling a lattice grows with it: 125 to 1,000 entities of five fields, and interfaces.

Every entity refers to the one before, every tenth is stored in a table, and every tenth has an
interface with one method. Loading and compiling are timed apart, in processor time, each the best
of several rounds. The exponent is the slope of the logarithm of time over that of entities: 1 means
that twice the lattice takes twice the time.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import parse_lattice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIZES: Final = (125, 250, 500, 1000)
_QUICK: Final = (10, 20)
_ROUNDS: Final = 3
_TARGET: Final = 1.15


def _lattice(entities: int) -> Iterator[str]:
    yield "version: v1.0\ngenerated_module: types_v1\nentities:"
    for number in range(entities):
        yield f"  Entity{number}:"
        if number % 10 == 0:
            yield "    persistence: table"
        before = f"Entity{number - 1}" if number % 10 > 1 else "str"
        yield "    fields:"
        key = ", primary_key: true" if number % 10 == 0 else ""
        yield f"      id: {{type: int, ge: 1, le: 1000000{key}}}"
        yield "      name: {type: str, min_length: 1, max_length: 40}"
        yield "      price: {type: decimal, ge: 0, le: 10000, scale: 2}"
        yield f"      state: {{enum: [new, open, done{number}]}}"
        yield f"      before: {{type: '{before}'}}"
        yield "    ensures: ['price >= 1 or id > 9']"
    yield "interfaces:"
    for number in range(0, entities, 10):
        yield f"  IService{number}:"
        yield f"    file: src/services/service_{number}.py"
        yield "    methods:"
        yield "      total:"
        yield f"        params: {{item: Entity{number}, count: {{type: int, ge: 1, le: 9}}}}"
        yield "        returns: decimal"
        yield "        ensures: ['result == item.price * count']"


def _best(work: Callable[[], object]) -> float:
    """Processor seconds of the fastest round."""
    taken = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def _exponent(points: list[tuple[int, float]]) -> float:
    xs, ys = [math.log(size) for size, _ in points], [math.log(taken) for _, taken in points]
    return statistics.linear_regression(xs, ys).slope


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two small lattices")
    sizes = _QUICK if parser.parse_args().quick else _SIZES
    loading: list[tuple[int, float]] = []
    compiling: list[tuple[int, float]] = []
    print(f"processor seconds, best of {_ROUNDS} rounds\n")
    print("| entities | fields | files | load | compile |")
    print("|---:|---:|---:|---:|---:|")
    for size in sizes:
        text = "\n".join(_lattice(size))
        lattice = parse_lattice(text, file="lattice.yaml")
        files = len(compile_lattice(lattice).generated)
        loading.append((size, _best(partial(parse_lattice, text, file="lattice.yaml"))))
        compiling.append((size, _best(partial(compile_lattice, lattice))))
        print(
            f"| {size:,} | {size * 5:,} | {files} | {loading[-1][1]:.2f} | {compiling[-1][1]:.2f} |"
        )
    for name, points in (("load", loading), ("compile", compiling)):
        print(f"\n{name} grows with entities to the power of {_exponent(points):.2f}, ", end="")
        print(f"target {_TARGET}", end="")
    print()


if __name__ == "__main__":
    main()
