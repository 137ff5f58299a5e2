"""The guard against blocking calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """Fail every test in which our code blocks the event loop."""
    with blockbuster_ctx("lattice_lock"):
        yield
