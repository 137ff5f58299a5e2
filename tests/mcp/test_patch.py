"""Unified diffs applied to one text."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lattice_lock.exceptions import UsageError
from lattice_lock.mcp.patch import apply_patch

_TEXT = "version: v1\nentities:\n  A: {}\n  B: {}\n"
_lines = st.lists(st.sampled_from(["a", "b", "-- c", "++ d", "", " e", "\\f"]), max_size=12)


def _diff(old: str, new: str, context: int = 3) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), "a/x", "b/x", n=context
    )
    return "".join(lines)


@example(["-- c"], ["++ d"], 0)
@example(["-- c", "a", "b"], ["++ d", "a", "c"], 0)
@given(_lines, _lines, st.integers(0, 3))
def test_applying_what_difflib_writes_gives_the_new_text(
    old: list[str], new: list[str], context: int
) -> None:
    """A diff with any amount of context leads from the old text to the new one."""
    before, after = ("".join(f"{line}\n" for line in lines) for lines in (old, new))
    if before != after:
        assert apply_patch(before, _diff(before, after, context), file="x") == after


def test_wrong_numbers_are_forgiven_where_one_place_fits() -> None:
    """Line numbers and counts that a model made up do not matter."""
    patch = "@@ -40,9 +99,1 @@\n   A: {}\n-  B: {}\n+  C: {}\n"
    assert apply_patch(_TEXT, patch, file="x") == _TEXT.replace("B", "C")


def test_text_without_a_last_line_break_can_be_changed() -> None:
    """The last line fits whether or not it ends, and ends afterwards."""
    assert apply_patch("a\nb", "@@ -2,1 +2,1 @@\n-b\n+c", file="x") == "a\nc\n"


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ("", "has no hunk"),
        ("hello", "has no hunk"),
        ("@@ -1,1 +1,1 @@\n-version: v2\n+version: v3", "there is no line `version: v2`"),
        ("@@ -1,2 +1,1 @@\n version: v1\n-  B: {}", "do not stand together"),
        ("@@ -9,1 +9,1 @@\n*x", "line 2 of the diff starts with none"),
        ("@@ -9,0 +9,1 @@\n+x", "adds lines where the text has none"),
        (
            "--- a/../../etc/passwd\n+++ b/../../etc/passwd\n@@ -1,1 +1,1 @@\n-a\n+b",
            "changes `a/..",
        ),
        ("--- /dev/null\n+++ b/x\n@@ -0,0 +1,1 @@\n+a", "changes `/dev/null`"),
    ],
)
def test_what_does_not_fit_is_refused(patch: str, reason: str) -> None:
    """The error says which part of the diff does not fit and why."""
    with pytest.raises(UsageError) as caught:
        apply_patch(_TEXT, patch, file="x")
    assert reason.lower() in caught.value.message.lower()


def test_second_file_after_a_hunk_is_refused() -> None:
    """What follows a complete hunk may name another file, and that is noticed."""
    first = "--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n-version: v1\n+version: v2\n"
    second = "--- a/other\n+++ b/other\n@@ -1,1 +1,1 @@\n-a\n+b\n"
    with pytest.raises(UsageError, match="changes `a/other`"):
        apply_patch(_TEXT, first + second, file="x")


def test_ambiguous_hunk_is_refused() -> None:
    """A hunk that fits twice, and not where it says, needs more context."""
    with pytest.raises(UsageError, match="more than one place"):
        apply_patch("a\nb\na\n", "@@ -2,1 +2,1 @@\n-a\n+c\n", file="x")
    assert apply_patch("a\nb\na\n", "@@ -3,1 +3,1 @@\n-a\n+c\n", file="x") == "a\nb\nc\n"


def test_huge_repetitive_input_takes_no_time() -> None:
    """A hunk of many equal lines against a text of many equal lines is answered at once."""
    patch = "@@ -9,1 +9,1 @@\n" + "-\n" * 200_000 + "-x\n"
    with pytest.raises(UsageError):
        apply_patch("\n" * 400_000, patch, file="x")
