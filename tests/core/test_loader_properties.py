"""Whatever the text, the loader answers with a lattice or with its own error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.vacuity import find_vacuous
from lattice_lock.exceptions import LatticeError

if TYPE_CHECKING:
    from lattice_lock.core.schema import Lattice
    from lattice_lock.exceptions import Problem

LATTICES = tuple(
    (Path(__file__).parent / "payloads" / name).read_text()
    for name in ("exchange.yaml", "everything.yaml")
)
LINES = [line for text in LATTICES for line in text.splitlines()]

_SNIPPETS = st.sampled_from(
    [
        *(
            "{}",
            "[]",
            "null",
            "on",
            "1e999",
            "'",
            '"',
            ": ",
            "- ",
            "&a ",
            "*a",
            "!!str ",
            "---",
            "\t",
        ),
        *(
            "list[",
            "dict[str, ",
            " | null",
            "enum",
            "LimitOrder",
            "values: [a]",
            "type: ",
            "gt: -1",
        ),
        *(
            "result",
            "old(",
            "__import__('os')",
            "price ** 9 ** 9",
            "ensures: ",
            "-1",
            "0.1",
            "\n  ",
        ),
        *("requires: ['qty > 0 and qty']", "default: {}", "min_length: 3", "pattern: '(a|b)*'"),
    ]
)
_NUMBERS = st.one_of(
    st.sampled_from(
        ["0", "-1", "1e-500", "1e400", "1e399", "1_0", "9" * 450, "1e28", "0.1", "1E-30"]
    ),
    st.integers(-(10**30), 10**30).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
)


def check(text: str | bytes) -> None:
    """Load a text; a lattice that loads must also survive the search for vacuous contracts."""
    lattice: Lattice | None = None
    problems: tuple[Problem, ...] = ()
    try:
        lattice = parse_lattice(text, file="lattice.yaml")
    except LatticeError as error:
        problems = error.problems
    assert (lattice is None) == bool(problems)
    for problem in problems:
        assert problem.location.file == "lattice.yaml"
        assert problem.location.line >= 1
        assert problem.location.column >= 1
        assert problem.message.endswith(".")
    if lattice is not None:
        find_vacuous(lattice)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_random_bytes_are_answered(content: bytes) -> None:
    """Bytes that are no text at all raise nothing but a lattice error."""
    check(content)


@given(st.text(max_size=300) | st.text("{}[]:,-'\"|>&*!%#?@ \n\tab1", max_size=120))
@settings(max_examples=300, deadline=None)
def test_random_text_is_answered(text: str) -> None:
    """Text, with many of the characters that mean something in YAML, likewise."""
    check(text)


@given(st.text(max_size=200) | st.text("{}[]:,-'\"|>&*!%#?@ \n\tab1", max_size=120))
@settings(max_examples=200, deadline=None)
def test_random_text_in_place_of_entities_is_answered(text: str) -> None:
    """The same behind a valid beginning, so that the schema is reached."""
    check(f"version: v1.0\ngenerated_module: types_v1\nentities: {text}")


@given(
    st.sampled_from(LATTICES),
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 12), st.just("") | _SNIPPETS),
        min_size=1,
        max_size=3,
    ),
)
@settings(max_examples=150, deadline=None)
def test_a_damaged_lattice_is_answered(text: str, changes: list[tuple[float, int, str]]) -> None:
    """A good lattice with pieces cut out and put in is a lattice or has named problems."""
    for place, length, snippet in changes:
        start = int(place * len(text))
        text = text[:start] + snippet + text[start + length :]
    check(text)


@given(
    st.sampled_from(LATTICES),
    st.lists(st.tuples(st.integers(0, 200), _NUMBERS), min_size=1, max_size=3),
)
@settings(max_examples=50, deadline=None)
def test_other_numbers_are_answered(text: str, changes: list[tuple[int, str]]) -> None:
    """Any number in the place of any other is taken or refused, however large or small."""
    for place, number in changes:
        found = list(re.finditer(r"\d+(\.\d+)?", text))
        chosen = found[place % len(found)]
        text = text[: chosen.start()] + number + text[chosen.end() :]
    check(text)


@given(st.lists(st.sampled_from(LINES), max_size=60))
@settings(max_examples=100, deadline=None)
def test_shuffled_lines_are_answered(lines: list[str]) -> None:
    """Lines of a good lattice in any order and number are answered."""
    check("\n".join(lines))
