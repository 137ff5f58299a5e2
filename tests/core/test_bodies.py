"""States and digests of method bodies."""

from __future__ import annotations

import pytest

from lattice_lock.core.bodies import BodyState, find_body

SCAFFOLD = '''
class Shop:
    def total(self, items: list[int]) -> int:
        """Sum of all items."""
        raise NotImplementedError
'''


def written(body: str) -> str:
    """A class whose one method has this body."""
    return f"class Shop:\n    def total(self, items: list[int]) -> int:\n        {body}\n"


@pytest.mark.parametrize(
    ("source", "state"),
    [
        (None, BodyState.MISSING),
        ("", BodyState.MISSING),
        ("class Shop:\n  def total(self:\n", BodyState.MISSING),
        ("class Shop:\n    pass\n", BodyState.MISSING),
        ("def total(): return 1\n", BodyState.MISSING),
        ("class Other:\n    def total(self): return 1\n", BodyState.MISSING),
        (SCAFFOLD, BodyState.UNWRITTEN),
        (written("raise NotImplementedError('later')"), BodyState.UNWRITTEN),
        (written("raise ValueError"), BodyState.WRITTEN),
        (written("return sum(items)"), BodyState.WRITTEN),
        (written("pass"), BodyState.WRITTEN),
        ("x = 1\0", BodyState.MISSING),
        ("(" * 100_000, BodyState.MISSING),
    ],
)
def test_the_state_of_a_body(source: str | None, state: BodyState) -> None:
    """Only a scaffold is unwritten; what Python cannot find is missing."""
    assert find_body(source, "Shop", "total").state is state


def test_the_digest_follows_the_meaning() -> None:
    """Comments, layout and the docstring do not count; code, names and decorators do."""
    digest = find_body(written("return sum(items)"), "Shop", "total").digest
    same = written('"""New words."""\n        return sum( items )  # why')
    assert find_body(same, "Shop", "total").digest == digest
    for other in (
        written("return sum(items) + 0"),
        written("return sum(items)").replace("items", "lines"),
        written("return sum(items)").replace("    def", "    @staticmethod\n    def"),
        written("return sum(items)").replace("-> int", "-> float"),
    ):
        found = find_body(other, "Shop", "total")
        assert found.state is BodyState.WRITTEN
        assert found.digest != digest, other


def test_the_last_definition_counts() -> None:
    """As in Python, a later method of the same name replaces the earlier one."""
    both = written("return 1") + "    def total(self, items: list[int]) -> int:\n        return 2\n"
    assert find_body(both, "Shop", "total") == find_body(written("return 2"), "Shop", "total")
