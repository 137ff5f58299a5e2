"""The reference page of the format says what the loader does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.vacuity import find_vacuous

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "lattice.md").read_text()
EXAMPLES = re.findall(r"^(<!-- older -->\n)?```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("older", "text"), EXAMPLES)
def test_every_example_loads_and_says_something(older: str, text: str) -> None:
    """Examples load without a warning, unless they show older spellings, and none is vacuous."""
    lattice = parse_lattice(text, file="lattice.yaml")
    assert bool(lattice.warnings) == bool(older)
    assert find_vacuous(lattice) == ()


def test_the_page_has_all_its_examples() -> None:
    """The pattern above finds every fenced block of the page."""
    assert len(EXAMPLES) == PAGE.count("```yaml") == 6


@pytest.mark.parametrize("older", ["version", "values", "params", "list", "file_structure_lock"])
def test_every_older_spelling_of_the_page_is_warned_of(older: str) -> None:
    """The last example has one of each, and each is answered with the modern form."""
    lattice = parse_lattice(EXAMPLES[-1][1], file="lattice.yaml")
    assert len(lattice.warnings) == 7
    lines = EXAMPLES[-1][1].splitlines()
    warned = [lines[warning.location.line - 1] for warning in lattice.warnings]
    assert any(older in line for line in warned)
