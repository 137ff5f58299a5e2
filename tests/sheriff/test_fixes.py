"""Making several fixes in one text."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.sheriff.fixes import Edit, Fix, apply_fixes


def _fix(*edits: tuple[int, int, int, int, str]) -> Fix:
    return Fix(title="Change it", edits=tuple(Edit(*edit) for edit in edits), certain=True)


def test_a_fix_makes_all_of_its_edits() -> None:
    """Every edit of a fix is made, wherever the others are."""
    fix = _fix((3, 1, 3, 2, "C"), (1, 1, 1, 2, "A"))
    assert apply_fixes("a\nb\nc", [fix]) == ("A\nb\nC", 1)


@pytest.mark.parametrize(
    "second", [(1, 2, 1, 4, "Z"), (1, 3, 1, 3, "Z"), (1, 1, 1, 2, "Z"), (1, 1, 1, 6, "")]
)
def test_of_two_that_touch_the_first_is_made(second: tuple[int, int, int, int, str]) -> None:
    """A fix that overlaps or adjoins one that was made is left for later, whole."""
    first = (1, 2, 1, 3, "X")
    assert apply_fixes("abcde", [_fix(first), _fix(second)]) == ("aXcde", 1)
    apart = _fix((1, 5, 1, 6, "Y"), second)
    assert apply_fixes("abcde", [_fix(first), apart]) == ("aXcde", 1)


def test_what_two_need_alike_is_put_in_once() -> None:
    """An import that two fixes bring is put in once, and others at its place in order."""
    one = _fix((1, 1, 1, 1, "import b\n"), (1, 2, 1, 3, "X"))
    two = _fix((1, 1, 1, 1, "import b\n"), (1, 1, 1, 1, "import a\n"), (1, 5, 1, 5, "Y"))
    assert apply_fixes("abcde", [one, two]) == ("import a\nimport b\naXcdYe", 2)
    assert apply_fixes("abcde", [_fix((1, 2, 1, 2, "."))] * 2) == ("a.bcde", 2)


@pytest.mark.parametrize(("newline", "text"), [("\r\n", "a\r\nb"), ("\r", "a\rb"), ("\n", "a\nb")])
def test_lines_end_as_in_the_text(newline: str, text: str) -> None:
    """What is put in ends its lines as the first line of the text does."""
    fixed, _ = apply_fixes(text, [_fix((2, 1, 2, 1, "x\ny\n"))])
    assert fixed == newline.join(["a", "x", "y", "b"])


@given(
    st.text(alphabet="ab\n\r\N{GRINNING FACE}", max_size=12),
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 12), st.text("xy", max_size=2)), max_size=4
    ),
)
def test_what_no_fix_names_stays(text: str, changes: list[tuple[int, int, str]]) -> None:
    """The characters outside of the edits that were made are the same, in the same order."""
    lines = [0, *(i for i in range(1, len(text) + 1) if _ends_line(text, i))]
    fixes = []
    for one, other, replacement in changes:
        start, end = sorted((min(one, len(text)), min(other, len(text))))
        if "\r\n" in (text[start - 1 : start + 1], text[end - 1 : end + 1]):
            continue
        fixes.append(_fix((*_place(lines, start), *_place(lines, end), replacement)))
    fixed, count = apply_fixes(text, fixes)
    assert count <= len(fixes)
    assert (count > 0) == bool(fixes)
    kept = [character for character in fixed if character not in "xy"]
    assert "".join(kept) in {
        "".join(character for place, character in enumerate(text) if place not in removed)
        for removed in _removals(lines, fixes)
    }


def _ends_line(text: str, end: int) -> bool:
    return text[end - 1] == "\n" or (text[end - 1] == "\r" and text[end : end + 1] != "\n")


def _place(lines: list[int], offset: int) -> tuple[int, int]:
    line = max(number for number, start in enumerate(lines) if start <= offset)
    return line + 1, offset - lines[line] + 1


def _removals(lines: list[int], fixes: list[Fix]) -> list[set[int]]:
    """The characters that each choice of fixes takes away."""
    ranges = [
        set(
            range(
                lines[fix.edits[0].line - 1] + fix.edits[0].column - 1,
                lines[fix.edits[0].end_line - 1] + fix.edits[0].end_column - 1,
            )
        )
        for fix in fixes
    ]
    choices = itertools.product([False, True], repeat=len(ranges))
    return [
        set().union(*(each for each, on in zip(ranges, chosen, strict=True) if on))
        for chosen in choices
    ]
