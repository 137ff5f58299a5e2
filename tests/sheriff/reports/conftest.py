"""What the tests of the reports share."""

from __future__ import annotations

from typing import Protocol

import pytest

from lattice_lock.sheriff.checker import SheriffReport
from lattice_lock.sheriff.rule import Violation


class Report(Protocol):
    """Makes a report of one violation, or of none."""

    def __call__(self, **fields: str | int | None) -> SheriffReport:
        """The report with a violation that differs from a plain one in these fields."""


@pytest.fixture(scope="session")
def report() -> Report:
    """Makes a report of one violation of `forbidden-import`."""

    def make(**fields: str | int | None) -> SheriffReport:
        plain: dict[str, object] = {
            "rule": "forbidden-import",
            "id": "LLS001",
            "file": "src/shop.py",
            "line": 3,
            "column": 8,
            "end_line": 3,
            "end_column": 16,
            "message": "No.",
            "hint": "Do without.",
            "excerpt": "import requests",
        }
        violation = Violation(**(plain | fields))  # type: ignore[arg-type]  # fields of any type
        return SheriffReport(violations=(violation,), suppressions=(), files_checked=1)

    return make


@pytest.fixture(scope="session")
def clean() -> SheriffReport:
    """A report of nothing."""
    return SheriffReport(violations=(), suppressions=(), files_checked=1)
