"""The lock file, and what it says of a lattice."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.elements import contract_digest, describe_elements
from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.lockfile import Acceptance, LockFile, dump_lock, parse_lock
from lattice_lock.exceptions import LockfileError

if TYPE_CHECKING:
    from lattice_lock.core.schema import Lattice

TEXT = """\
version: v1.0
generated_module: types_v1
entities:
  Item:
    fields:
      price: {type: decimal, ge: 0, scale: 2}
      args: {type: str, min_length: 0}
      description: {type: str, max_length: 9}
  Other:
    fields: {name: str}
interfaces:
  IShop:
    file: src/services/shop.py
    methods:
      total:
        params: {item: Item, n: int}
        returns: decimal
        requires: ["n > 0"]
        ensures: [{name: whole, expr: "result == item.price * n", description: no discount}]
        raises: {ValueError: "n > 99"}
"""

LOCK = LockFile(
    lattice_digest="a" * 64,
    elements={"version": "v1.0"},
    generated={"src/shared/types_v1.py": "b" * 64},
    accepted={
        "IShop.total": Acceptance(
            file="src/services/shop.py",
            body_digest="c" * 64,
            contract_digest="d" * 64,
            author="model",
            model="embedded/smollm2-135m-instruct",
            attempts=3,
            input_tokens=10,
            output_tokens=20,
            cost_usd=Decimal("0.0010"),
            seeds=(1, 2),
            examples=200,
        )
    },
)


def lattice(text: str = TEXT) -> Lattice:
    """A lattice from its text."""
    return parse_lattice(text, file="lattice.yaml")


def test_a_lock_survives_its_text() -> None:
    """What is written reads back equal, decimals to the digit."""
    assert parse_lock(dump_lock(LOCK), file="lattice.lock") == LOCK


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        '{"format": 1}',
        dump_lock(LOCK).replace('"format": 1', '"format": 2'),
        dump_lock(LOCK).replace('"0.0010"', '"cheap"'),
        dump_lock(LOCK).replace('"0.0010"', "0.001"),
        dump_lock(LOCK).replace('"attempts": 3', '"attempts": "3"'),
        dump_lock(LOCK).replace('"author"', '"writer"'),
        dump_lock(LOCK).replace('"examples": 200', '"examples": 200, "more": 1'),
        dump_lock(LOCK).replace("1,\n        2", '1,\n        "2"'),
    ],
)
def test_a_damaged_lock_is_refused(text: str) -> None:
    """Each names the file and the way out, and nothing else escapes."""
    with pytest.raises(LockfileError, match=r"`lattice\.lock`.*(Restore|Use)"):
        parse_lock(text, file="lattice.lock")


def test_elements_name_every_part_of_a_lattice() -> None:
    """Each clause, constraint and description has a path and a line; zero is not lost."""
    elements = describe_elements(lattice())
    path = "interfaces.IShop.methods.total"
    assert elements["entities.Item.fields.price"] == "decimal constraints=ge:0,scale:2"
    assert elements["entities.Item.fields.args"] == "str constraints=min_length:0"
    assert elements[f"{path}.params.n"] == "int"
    assert elements[f"{path}.requires[0]"] == "n > 0"
    assert elements[f"{path}.ensures[0]"] == "whole: result == item.price * n"
    assert elements[f"{path}.ensures[0] description"] == "no discount"
    assert elements[f"{path}.raises.ValueError"] == "n > 99"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ge: 0, ", ""),
        ("ge: 0, ", "ge: 1, "),
        ("max_length: 9", "max_length: 8"),
        ("n > 0", "n > 1"),
        ("n > 99", "n > 98"),
        ("name: str", "name: int"),
        ("returns: decimal", "returns: {type: decimal, ge: 0}"),
        ("no discount", "without discount"),
        ("src/services/shop.py", "src/services/till.py"),
        ("version: v1.0", "version: v1.1"),
    ],
)
def test_every_change_shows_in_the_elements(old: str, new: str) -> None:
    """Exactly one element differs, so drift can name it."""
    before = describe_elements(lattice())
    after = describe_elements(lattice(TEXT.replace(old, new)))
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert len(changed) == 1


def test_a_contract_digest_follows_conditions_alone() -> None:
    """What the body must do counts, in reachable entities too; words and strangers do not."""

    def digest(text: str) -> str:
        return contract_digest(lattice(text), "IShop", "total")

    before = digest(TEXT)
    assert digest(TEXT.replace("no discount", "other words")) == before
    assert digest(TEXT.replace("name: str", "name: int")) == before
    assert digest(TEXT.replace("n > 99", "n > 98")) != before
    assert digest(TEXT.replace("scale: 2", "scale: 3")) != before
    assert digest(TEXT.replace("max_length: 9", "max_length: 8")) != before


def test_the_text_is_sorted_json() -> None:
    """Equal locks give equal bytes whatever the order of their mappings."""
    document = json.loads(dump_lock(LOCK))
    assert list(document) == sorted(document)
    assert dump_lock(LOCK).endswith("}\n")
