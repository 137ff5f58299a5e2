"""Samples of regular expressions match what they are samples of."""

from __future__ import annotations

import re

import pytest

from lattice_lock.core._pattern_samples import matching_texts


@pytest.mark.parametrize(
    "pattern",
    [
        "[A-Z]{3}-[0-9]{4}",
        r"\d+(\.\d{1,2})?",
        r"[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}",
        "(foo|bar){2}[^a-z]*",
        r"(?P<year>\d{4})-(?:0[1-9]|1[0-2])",
        "^x?y*z+$",
        r"[\]\-a]+",
        "[]a]b",
        r"\w{8}\b",
        "[Ω-ω]{2}",
        "",
    ],
)
def test_a_sample_matches(pattern: str) -> None:
    """Everyday patterns have several samples, each matching as a whole."""
    found = matching_texts(pattern)
    assert found
    assert all(re.fullmatch(pattern, text) for text in found)


@pytest.mark.parametrize("pattern", ["(?=a)a", r"(a)\1", "(?i)abc", "a{5000}", "(" * 40 + ")" * 40])
def test_what_is_not_understood_has_no_sample(pattern: str) -> None:
    """Nothing is claimed about patterns beyond the everyday kind."""
    assert matching_texts(pattern) == ()
