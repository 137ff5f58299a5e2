"""`lattice-lock explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lattice_lock.errors.remedies import REMEDIES
from lattice_lock.mcp.pages import explanation

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_process import Outcome


@pytest.mark.parametrize("name", ["LL-102", "forbidden-import", "LLS001"])
def test_a_rule_or_code_has_the_page_that_agents_read(
    name: str, lattice_lock: Callable[..., Outcome]
) -> None:
    """Text and JSON hold the page of the Model Context Protocol's tool."""
    text = lattice_lock("explain", name)
    assert (text.code, text.out) == (0, explanation(name))
    assert lattice_lock("explain", name, "--format", "json").json == {
        "name": name,
        "page": explanation(name),
    }


def test_an_error_code_comes_with_what_to_do(lattice_lock: Callable[..., Outcome]) -> None:
    """The remedy of the table of error codes is printed."""
    assert REMEDIES["LL-302"] in lattice_lock("explain", "ll-302").out


def test_what_nobody_knows_exits_2(lattice_lock: Callable[..., Outcome]) -> None:
    """A name that is neither is wrong use, and the message lists what there is."""
    outcome = lattice_lock("explain", "LL-999")
    assert (outcome.code, outcome.out) == (2, "")
    assert "forbidden-import" in outcome.err
