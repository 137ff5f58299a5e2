"""What the tests of Sheriff share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff.checker import SheriffContext, check_source

if TYPE_CHECKING:
    from lattice_lock.sheriff.rule import Violation

LATTICE = """\
version: v1.0
generated_module: types_v1
config:
  forbidden_imports: [requests, float]
interfaces:
  IShop:
    file: src/shop.py
    methods:
      total: {params: {price: decimal}, returns: decimal}
"""


class Check(Protocol):
    """Checks one text at a path of the project."""

    def __call__(self, text: str, path: str = "src/snippet.py") -> tuple[Violation, ...]:
        """The violations in `text`."""


@pytest.fixture(scope="session")
def context() -> SheriffContext:
    """A project that forbids `requests` and `float` and has the interface `IShop`."""
    return SheriffContext(lattice=parse_lattice(LATTICE, file="lattice.yaml"))


@pytest.fixture(scope="session")
def check(context: SheriffContext) -> Check:
    """Checks a text in that project."""

    def run(text: str, path: str = "src/snippet.py") -> tuple[Violation, ...]:
        return check_source(context.source_file(path, text), context)

    return run
