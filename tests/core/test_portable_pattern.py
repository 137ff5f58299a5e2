"""Patterns keep their meaning when they are written for a database."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lattice_lock.core.emitters._portable_pattern import PatternError, portable_pattern

PATTERNS = [
    *("", "a", "a|b", "a||b", "(a|b)c", "(?:ab)+", "(?P<x>a)b", "a*?b", "a{2}", "a{2,}", "a{,2}"),
    *(
        "a{1,2}?",
        "a{}",
        "a{,}",
        "{a",
        "a}",
        "[ab]",
        "[^ab]",
        "[a-c]",
        "[]a]",
        "[^]a]",
        "[a-]",
        "[-a]",
    ),
    *(
        "[a\\-c]",
        "[\\]]",
        "[\\s]",
        "[^\\sa]",
        "\\s",
        "\\S+",
        ".",
        "..",
        "\\.",
        "\\n",
        "[\\n\\t]",
        "\\\\",
    ),
    *("[\\b]", "\\x41", "\\u00e4", "[\\x41-\\x43]", "\U0001f600", "[\U0001f600]", "\\U0001f600"),
    *(
        "^a",
        "a$",
        "^a$|b$",
        "^a|^b",
        "\\Aa\\Z",
        "a b",
        "a_b",
        "'",
        '"',
        "%s",
        ":a",
        "a/b",
        "[.]",
        "[|]",
    ),
    *("[(]", "a-b", "#", "[0-9]{3}-[A-Z]{2}", "\u00e4+", "[\u00e0-\u00ff]*"),
]
_ALPHABET = (
    "aAbBcC01-_.|]}[{(\\^$ \n\t\r\x0b\x1c\x85\xa0\u2028\u200b\u00e4\u0661\U0001f600'\"%:/#s\b,"
)


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=30, deadline=None)
@given(text=st.text(alphabet=_ALPHABET, max_size=6))
@example(text="")
@example(text="a\n")
def test_the_same_texts_match(pattern: str, text: str) -> None:
    """Anchored and spelled out, a pattern matches what it matched as a whole before."""
    portable = re.compile(portable_pattern(pattern))
    for one in (text, *(pattern[:length] for length in (1, 2, 3))):
        wanted = re.fullmatch(pattern, one) is not None
        assert (portable.search(one) is not None) == wanted, (portable.pattern, one)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_only_plain_characters_are_left(pattern: str) -> None:
    """Quotes, colons and percent signs, which SQL and its drivers read, are spelled as codes."""
    assert not set(portable_pattern(pattern).replace("(?:", "")) & set("'\"%:")


@pytest.mark.parametrize(
    ("pattern", "reason", "hint"),
    [
        (r"\d+", r"uses `\\d`", "[0-9]"),
        (r"[\d]", r"uses `\\d`", "[0-9]"),
        (r"\w", r"uses `\\w`", "[A-Za-z0-9_]"),
        (r"\W", r"uses `\\W`", "[^A-Za-z0-9_]"),
        (r"\D", r"uses `\\D`", "[^0-9]"),
        (r"a\b", r"uses `\\b`", None),
        (r"(a)\1", r"uses `\\1`", None),
        (r"[\Sa]", r"uses `\\S` within a set", "List"),
        (r"(?=a)a", "look-around", "without"),
        (r"(?i)a", "a flag", "without"),
        ("a{256}", "more than 255 times", "max_length"),
        ("a*+", "possessive", "second"),
        ("(a$)b?", "`\\$` before its end", "Leave it out"),
        (r"\x00", "the character 0", None),
    ],
)
def test_what_databases_read_differently_is_refused(
    pattern: str, reason: str, hint: str | None
) -> None:
    """The error says what, and what to write instead where there is something."""
    re.compile(pattern)
    with pytest.raises(PatternError, match=reason) as caught:
        portable_pattern(pattern)
    assert hint is None or hint in (caught.value.hint or "")
