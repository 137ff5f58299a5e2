"""Fail when a package is covered less than its floor in pyproject.toml.

The total floor is pytest's `--cov-fail-under`; these floors keep a well-tested neighbour from
hiding a package that matters. Percentages count lines and branches together, as coverage does.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent


def main(report: str) -> int:
    """Compare the JSON report of coverage with the floors; 1 when one is missed."""
    floors = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "lattice-lock"
    ]["coverage-floors"]
    reached = percentages(json.loads(Path(report).read_text(encoding="utf-8"))["files"], floors)
    missed = 0
    for package, floor in floors.items():
        percent = reached.get(package)
        if percent is None:
            print(f"{package}: has a floor of {floor}% but was not measured.")
        elif percent < floor:
            print(f"{package}: {percent:.1f}% is below its floor of {floor}%.")
        else:
            continue
        missed += 1
    return 1 if missed else 0


def percentages(
    files: dict[str, dict[str, dict[str, int]]], packages: Iterable[str]
) -> dict[str, float]:
    """Percent of lines and branches covered in each of `packages`, subpackages included."""
    covered: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for path, measured in files.items():
        module = ".".join(Path(path).with_suffix("").parts[1:]) + "."
        summary = measured["summary"]
        for package in packages:
            if module.startswith(f"{package}."):
                covered[package] += summary["covered_lines"] + summary["covered_branches"]
                total[package] += summary["num_statements"] + summary["num_branches"]
    return {package: 100 * covered[package] / total[package] for package in total if total[package]}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
