"""Elements of a lattice: nothing that it means is missing from them."""

from __future__ import annotations

import pytest

from lattice_lock.core.elements import contract_digest, describe_elements
from lattice_lock.core.loader import parse_lattice

LATTICE = """\
version: v1.0
generated_module: types_v1
entities: {Item: {fields: {name: {type: str, default: ""}}}}
interfaces:
  IShop:
    file: src/shop.py
    methods:
      nothing: {}
      pay:
        params: {a: int}
        returns: int
        raises: {ValueError: ["a > 9", "a < -9"], KeyError: "a == 5"}
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a > 9", "a > 8"),
        ("a < -9", "a < -8"),
        ("a == 5", "a == 4"),
        ("      nothing: {}\n", ""),
        ('{type: str, default: ""}', "str"),
    ],
)
def test_every_change_shows(before: str, after: str) -> None:
    """Each clause of an exception counts, and a method or a default without anything."""
    old, new = (
        parse_lattice(text, file="lattice.yaml")
        for text in (LATTICE, LATTICE.replace(before, after))
    )
    assert describe_elements(old) != describe_elements(new)
    if "a " in before:
        assert contract_digest(old, "IShop", "pay") != contract_digest(new, "IShop", "pay")
