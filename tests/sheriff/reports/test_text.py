"""The text report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_lock.sheriff.baseline import HeldBack, Obsolete
from lattice_lock.sheriff.checker import SheriffReport
from lattice_lock.sheriff.module import Span
from lattice_lock.sheriff.reports.text import render_report, render_violation
from lattice_lock.sheriff.suppressions import Suppression

if TYPE_CHECKING:
    from tests.sheriff.conftest import Check


def test_a_violation_shows_place_line_and_remedy(check: Check) -> None:
    """A violation names file, line, column and rule, marks the fault and says what to do."""
    (violation,) = check("def f() -> int:\n    return float('1')\n")
    assert render_violation(violation) == (
        "src/snippet.py:2:12 forbidden-import the lattice forbids the built-in `float`.\n"
        "  2 |     return float('1')\n"
        "    |            ^^^^^\n"
        "  hint: Do without `float`, which `config.forbidden_imports` of the lattice lists."
    )


def _marked(text: str) -> str:
    """The part of the excerpt above the carets, by terminal columns; wide characters take two."""
    _, source, carets, *_ = text.splitlines()
    columns = "".join(each + "\0" * (each in "語😀") for each in source)
    return columns[carets.index("^") : carets.rindex("^") + 1].replace("\0", "")


def test_carets_stand_under_the_fault(check: Check) -> None:
    """Tabs, wide characters and combining accents before the fault do not move the carets."""
    lines = [
        "if 1:\n\tfloat(1)",
        "x = '語😀'; float(1)",
        "x = 'plain'; float(1)",
        "x = '" + "a" * 300 + "'; float(1); y = '" + "b" * 300 + "'",
    ]
    for text in lines:
        (violation,) = check(text)
        assert _marked(render_violation(violation)) == "float"


def test_combining_characters_take_no_column(check: Check) -> None:
    """An accent written as its own character does not push the carets to the right."""
    (violation,) = check("x = 'e\u0301'; float(1)")
    _, source, carets, *_ = render_violation(violation).splitlines()
    assert carets.index("^") == source.index("float") - 1


def test_a_fault_over_several_lines_is_marked_to_the_end_of_the_first(check: Check) -> None:
    """Where a fault spans lines, the first is shown and marked to its end."""
    (violation,) = check("__import__(\n    'requests',\n)")
    assert "    | ^^^^^^^^^^^\n" in render_violation(violation)


def test_a_long_line_is_cut_around_the_fault(check: Check) -> None:
    """Of a very long line only the surroundings of the fault are shown."""
    (violation,) = check("x = '" + "a" * 5000 + "'; float(1)")
    assert max(map(len, render_violation(violation).splitlines())) < 150


def test_source_cannot_drive_the_terminal(check: Check) -> None:
    """Escape sequences and direction marks in the source are replaced in the report."""
    (violation,) = check("float('\x1b[2J\u202e')")
    rendered = render_violation(violation)
    assert all(each.isprintable() or each == "\n" for each in rendered)
    assert "float('\ufffd[2J\ufffd')" in rendered


def test_the_summary_counts(check: Check) -> None:
    """The last line counts violations, files and suppressions."""
    suppression = Suppression(
        file="a.py", span=Span(1, 1, 1, 5), excerpt="", rule="r", reason="why", silenced=()
    )
    clean = SheriffReport(violations=(), suppressions=(), files_checked=1)
    assert render_report(clean) == "no violations, 1 file checked."
    dirty = SheriffReport(
        violations=(*check("float(1)"), *check("float(1); float(2)", "src/b.py")),
        suppressions=(suppression, suppression),
        files_checked=3,
    )
    *blocks, summary = render_report(dirty).split("\n\n")
    assert len(blocks) == 3
    assert summary == "3 violations in 2 files, 3 files checked, 2 suppressions in use."


def test_the_summary_says_what_can_be_mended(check: Check) -> None:
    """Only violations with a certain fix are counted, and the way to it is named."""
    found = check("def f(a: int): print(a)\nimport requests\n")
    report = SheriffReport(violations=found, suppressions=(), files_checked=1)
    assert render_report(report).splitlines()[-1] == (
        "2 violations in 1 file, 1 file checked, 1 can be mended by `lattice-lock sheriff --fix`."
    )


def test_the_summary_says_what_the_baseline_does() -> None:
    """What is held back is counted, and what is held back for nothing is named with a way out."""
    clean = SheriffReport(violations=(), suppressions=(), files_checked=1)
    held_back = HeldBack(count=1, obsolete=(Obsolete(file="a\x1b.py", rule="r", count=2),))
    assert render_report(clean, held_back) == (
        "The baseline holds violations that are gone:\n"
        "  a\ufffd.py r (2)\n"
        "  hint: Write it anew with `lattice-lock sheriff --write-baseline`.\n"
        "\n"
        "no violations, 1 file checked, 1 violation held back by the baseline."
    )
