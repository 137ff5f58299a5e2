"""Pages that an agent reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lattice_lock import exceptions
from lattice_lock.core.loader import load_lattice
from lattice_lock.errors.remedies import REMEDIES
from lattice_lock.exceptions import LatticeLockError, UsageError
from lattice_lock.mcp.pages import contract_page, errors_page, explanation, rules_page
from lattice_lock.sheriff.registry import load_rules

if TYPE_CHECKING:
    from pathlib import Path


def test_contract_says_everything_of_an_interface(root: Path) -> None:
    """Signature, place, conditions and errors of every method are on the page."""
    lattice = load_lattice(root / "docs" / "examples" / "quickstart" / "lattice.yaml")
    interface = lattice.interfaces["IPricingService"]
    page = contract_page(lattice, interface)
    assert f"`{interface.class_name}` in `{interface.file}`" in page
    for method in interface.methods.values():
        clauses = [*method.requires, *method.ensures, *(one.clause for one in method.raises)]
        assert f"## `{method.name}(" in page
        assert method.description is not None
        assert method.description in page
        assert all(f"`{clause.expression.source}`" in page for clause in clauses)
    assert "raises `ValueError` exactly when `sold > stock`" in page
    assert "methods.line_total.params.unit_price: decimal constraints=ge:0" in page


def test_every_rule_is_explained() -> None:
    """Each rule has a row, and a page under its name and its identifier."""
    for rule in load_rules():
        assert f"| {rule.id} | `{rule.name}` |" in rules_page()
        page = explanation(rule.name)
        assert page.startswith(f"# `{rule.name}` ({rule.id})")
        assert explanation(rule.id.lower()) == page
        assert ("can be ignored" in page) == rule.suppressible


def test_every_error_code_is_explained() -> None:
    """Each error has a row and a page under its code, and both say what to do."""
    named = (getattr(exceptions, name) for name in exceptions.__all__)
    errors = [each for each in named if issubclass(each, LatticeLockError)]
    assert {error.code for error in errors} == REMEDIES.keys()
    rows = errors_page().splitlines()
    for error in errors:
        remedy = REMEDIES[error.code]
        (row,) = [row for row in rows if row.startswith(f"| {error.code} | `{error.__name__}` |")]
        assert row.endswith(f"| {remedy} |")
        page = explanation(error.code.lower())
        assert page.startswith(f"# {error.code} `{error.__name__}`")
        assert f"\nWhat to do: {remedy}\n" in page


@pytest.mark.parametrize("name", ["", "LL-999", "../rules", "forbidden import"])
def test_unknown_name_is_told_what_there_is(name: str) -> None:
    """What is neither rule nor code is an error that lists the rules."""
    with pytest.raises(UsageError) as caught:
        explanation(name)
    assert "forbidden-import" in str(caught.value.hint)
