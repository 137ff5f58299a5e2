"""Where policies on code say that something stands."""

from __future__ import annotations

import pytest

from lattice_lock.policies.base import Context, Policy, Subject, Window
from lattice_lock.policies.no_dangerous_calls import NoDangerousCalls
from lattice_lock.policies.no_direct_db_access import NoDirectDbAccess

CODE = Context(subject=Subject.CODE)


@pytest.mark.parametrize("before", ["", "\f\n", "a = 'é\u2028'\r\n", "# \x0b\x1c\r", "b = '🙂'; "])
@pytest.mark.parametrize(
    ("policy", "found"),
    [(NoDangerousCalls(), "eval"), (NoDirectDbAccess(), '"SELECT a FROM b WHERE c = 1"')],
    ids=["call", "sql"],
)
def test_a_place_counts_lines_and_characters_as_python_does(
    before: str, policy: Policy, found: str
) -> None:
    """Form feeds, line separators in texts and letters of several bytes move nothing."""
    text = f"{before}x = eval({found})\n" if found != "eval" else f"{before}x = eval(y)\n"
    (finding,) = policy.scan(Window(text), CODE).findings
    assert text[finding.start : finding.end] == found
