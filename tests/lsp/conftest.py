"""A project that is opened in an editor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from lattice_lock.cli.main import run

pytest.importorskip("pygls", reason="the extra `lsp` is not installed")

from language_client import Editor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LATTICE = """\
version: v1.0
generated_module: types_v1
config: {forbidden_imports: [requests]}
entities: {Order: {fields: {price: decimal}}}
interfaces:
  IShop:
    file: src/shop.py
    methods:
      total:
        description: What an order costs.
        params: {order: Order, count: int}
        returns: decimal
        requires: ["count > 0"]
        ensures: ["result == order.price * count"]
        raises: {ValueError: "count > 100"}
"""
SHOP = """\
from decimal import Decimal

from shared.types_v1 import Order


class Shop:
    def total(self, order: Order, count: int) -> Decimal:
        if count > 100:
            raise ValueError
        return order.price * count
"""


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A compiled project with one interface, in which nothing is found."""
    folder = tmp_path / "shop"
    (folder / "src").mkdir(parents=True)
    (folder / "lattice.yaml").write_text(LATTICE)
    assert run(["compile", str(folder)]) == 0
    (folder / "src/shop.py").write_text(SHOP)
    capsys.readouterr()
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Editor]:
    """One editor for all tests of a module, each of which opens a project of its own."""
    folder = tmp_path_factory.mktemp("editor")
    async with Editor.started(folder, folder / "cache") as started:
        yield started
