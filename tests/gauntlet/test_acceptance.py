"""Only bodies that pass alone and together are recorded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lattice_lock.core.workspace import open_workspace
from lattice_lock.gauntlet.acceptance import review_bodies

if TYPE_CHECKING:
    from pathlib import Path

    from lattice_lock.gauntlet.acceptance import Review

LATTICE = """
version: v1.0
generated_module: types_v1
interfaces:
  IStock:
    file: src/services/stock.py
    methods:
      put:
        params: {count: {type: int, ge: 1, le: 10}}
        returns: {type: int, ge: 1}
        ensures: ["result >= count"]
      take:
        params: {count: {type: int, ge: 1, le: 10}}
        returns: {type: int, ge: 0}
        ensures: ["result <= count"]
"""

HEAD = '''"""Implementation of `IStock`."""

from __future__ import annotations

from shared.types_v1_interfaces import IStock


class Stock(IStock):
    """Keeps a number."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._count = 0

    def put(self, count: int) -> int:
        """Put some in."""
        self._count += count
        return self._count

    def take(self, count: int) -> int:
        """Take some out."""
'''

RIGHT = """        taken = min(count, self._count)
        self._count -= taken
        return taken
"""
FORGETFUL = """        self._count -= 11
        return 0
"""
UNWRITTEN = "        raise NotImplementedError\n"


def _review(root: Path, take: str) -> Review:
    (root / "src/services").mkdir(parents=True)
    (root / "lattice.yaml").write_text(LATTICE, encoding="utf-8")
    (root / "src/services/stock.py").write_text(HEAD + take, encoding="utf-8")
    return asyncio.run(review_bodies(open_workspace(root), ()))


def test_bodies_that_pass_together_are_recorded(tmp_path: Path) -> None:
    """Each body has its own examples in the record, those of sequences aside."""
    review = _review(tmp_path, RIGHT)
    assert review.refused == ()
    assert set(review.accepted) == {"IStock.put", "IStock.take"}
    assert all(10 <= one.examples < 40 for one in review.accepted.values())


def test_bodies_that_fail_together_are_all_refused(tmp_path: Path) -> None:
    """Any of them may be to blame, and the sequence is in the reason."""
    review = _review(tmp_path, FORGETFUL)
    assert review.accepted == {}
    assert [one.name for one in review.refused] == ["IStock.put", "IStock.take"]
    for one in review.refused:
        assert one.reason.startswith("refuted: interfaces.IStock.methods.put.")
        assert "these calls of one object:\n    1. take(" in one.reason


def test_a_method_without_a_body_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """What is written is judged alone, and what is not is named."""
    review = _review(tmp_path, UNWRITTEN)
    assert set(review.accepted) == {"IStock.put"}
    assert [(one.name, one.reason) for one in review.refused] == [
        ("IStock.take", "there is no body yet")
    ]
