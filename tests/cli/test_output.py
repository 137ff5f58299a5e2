"""Results as text and as JSON."""

from __future__ import annotations

import enum
import json
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path, PurePosixPath

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.cli.output import format_table, printable, to_json

_REORDERING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


class _Colour(enum.Enum):
    RED = "red"


class _Model(pydantic.BaseModel):
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    path: Path
    price: Decimal
    names: frozenset[str]
    colour: _Colour
    model: _Model
    at: datetime


def test_json_of_a_result() -> None:
    """Every kind of value that results hold has one exact JSON form."""
    result = _Result(
        path=Path("src/a.py"),
        price=Decimal("0.10"),
        names=frozenset({"b", "a", "c"}),
        colour=_Colour.RED,
        model=_Model(price=Decimal("1.50")),
        at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    assert json.loads(to_json(result)) == {
        "path": "src/a.py",
        "price": "0.10",
        "names": ["a", "b", "c"],
        "colour": "red",
        "model": {"price": "1.50"},
        "at": "2026-11-23T00:00:00Z",
    }


def test_value_without_json_form_is_refused() -> None:
    """An object that no one decided a form for is a defect, not a string."""
    with pytest.raises(TypeError, match="`object` has no JSON form"):
        to_json({"x": object()})


def test_table_is_aligned_and_complete() -> None:
    """Columns line up, also with wide characters; None is a dash, and nothing is cut off."""
    long = "reason " * 40
    text = format_table(
        ["method", "why"], [["名前", long], [None, PurePosixPath("a/b")], ["x\ny", "\x1b[31m"]]
    )
    assert text.splitlines() == [
        "method  why",
        f"------  {'-' * len(long)}",
        f"名前    {long}".rstrip(),
        "-       a/b",
        "x y     \\x1b[31m",
    ]


@given(st.text())
def test_printable_text_cannot_move_the_cursor(text: str) -> None:
    """Whatever the text, what is printed has no control character but tab and newline."""
    shown = printable(text)
    controls = {char for char in shown if unicodedata.category(char) == "Cc"}
    assert controls <= {"\n", "\t"}
    assert {unicodedata.bidirectional(char) for char in shown} & _REORDERING == set()
    assert printable(shown) == shown
