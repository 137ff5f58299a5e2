"""The baseline: what was there before is held back, what is new is not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.exceptions import SheriffError
from lattice_lock.sheriff.baseline import (
    BASELINE_NAME,
    Baseline,
    HeldBack,
    Obsolete,
    load_baseline,
)
from lattice_lock.sheriff.checker import SheriffReport
from lattice_lock.sheriff.rule import Violation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from random import Random

    from tests.sheriff.conftest import Check

_PLAIN = Violation(
    rule="forbidden-import",
    id="LLS001",
    file="a.py",
    line=1,
    column=1,
    end_line=1,
    end_column=2,
    message="No.",
)
_VIOLATIONS = st.lists(
    st.builds(
        lambda file, rule, line, excerpt: replace(
            _PLAIN, file=file, rule=rule, line=line, excerpt=excerpt
        ),
        st.sampled_from(["a.py", "b.py"]),
        st.sampled_from(["forbidden-import", "missing-annotation", "unparsable-file"]),
        st.integers(1, 9),
        st.sampled_from(["x", "y", " x  ", ""]),
    ),
    max_size=8,
)


def _report(violations: Sequence[Violation]) -> SheriffReport:
    return SheriffReport(violations=tuple(violations), suppressions=(), files_checked=2)


def test_moved_lines_are_held_back(check: Check) -> None:
    """A violation is recognised on another line and with other white space."""
    baseline = Baseline.of(check("x = float(1)\ny = float(2)\n"))
    moved = _report(check("import json\n\nif 1:\n    y =  float(2)\nx = float(1)\n"))
    for _ in range(2):
        report, held_back = baseline.apply(moved, whole=True)
        assert report.is_clean
        assert held_back == HeldBack(count=2)


def test_only_as_many_are_held_back_as_there_were(check: Check) -> None:
    """A line that is repeated, a changed line and another file are new."""
    baseline = Baseline.of(check("x = float(1)\n"))
    text = "x = float(1)\nx = float(1)\nx = float(3)\n"
    report, held_back = baseline.apply(_report(check(text)), whole=True)
    assert [violation.line for violation in report.violations] == [2, 3]
    assert held_back.count == 1
    elsewhere = _report(check("x = float(1)\n", "src/other.py"))
    assert baseline.apply(elsewhere, whole=True)[0] == elsewhere


def test_what_is_gone_is_obsolete(check: Check) -> None:
    """Entries without a violation are counted by file and rule, where the whole was checked."""
    text = "x = float(1)\nx = float(1)\ny = float(2)\ndef f(): ...\n"
    baseline = Baseline.of([*check(text), *check(text, "src/a.py")])
    left = _report([*check("x = float(1)\n"), *check(text, "src/a.py")])
    _, held_back = baseline.apply(left, whole=True)
    assert held_back.obsolete == (
        Obsolete(file="src/snippet.py", rule="forbidden-import", count=2),
        Obsolete(file="src/snippet.py", rule="missing-annotation", count=1),
    )
    assert baseline.apply(left, whole=False)[1].obsolete == ()


def test_what_no_comment_may_ignore_is_never_held_back(check: Check) -> None:
    """Neither a baseline that is written nor one that was edited hides such a violation."""
    (violation,) = check("(")
    assert violation.rule == "unparsable-file"
    assert json.loads(Baseline.of([violation]).encode())["files"] == {}
    ignorable = Baseline.of([replace(violation, rule="forbidden-import")]).encode()
    edited = ignorable.replace("forbidden-import", "unparsable-file")
    assert _decoded(edited).apply(_report([violation]), whole=True)[0].violations == (violation,)


def _decoded(text: str) -> Baseline:
    counts = {
        (file, rule, digest): count
        for file, rules in json.loads(text)["files"].items()
        for rule, digests in rules.items()
        for digest, count in digests.items()
    }
    return Baseline(counts)


@given(_VIOLATIONS, st.randoms(use_true_random=False))
def test_a_baseline_holds_back_exactly_what_it_was_made_of(
    violations: list[Violation], random: Random
) -> None:
    """Of the same violations nothing is left or obsolete, whatever their order; text is stable."""
    baseline = Baseline.of(violations)
    shuffled = violations.copy()
    random.shuffle(shuffled)
    assert Baseline.of(shuffled).encode() == baseline.encode()
    report, held_back = _decoded(baseline.encode()).apply(_report(shuffled), whole=True)
    assert {violation.rule for violation in report.violations} <= {"unparsable-file"}
    assert held_back.count + len(report.violations) == len(violations)
    assert held_back.obsolete == ()


@given(_VIOLATIONS, _VIOLATIONS)
def test_nothing_is_lost(before: list[Violation], now: list[Violation]) -> None:
    """Every violation is reported or held back, in its order; a baseline never adds one."""
    report, held_back = Baseline.of(before).apply(_report(now), whole=True)
    assert held_back.count + len(report.violations) == len(now)
    remaining = iter(now)
    assert all(violation in remaining for violation in report.violations)


def test_a_project_without_a_baseline_holds_nothing_back(tmp_path: Path, check: Check) -> None:
    """Where there is no file, every violation is reported."""
    report = _report(check("float(1)"))
    assert load_baseline(tmp_path).apply(report, whole=True) == (report, HeldBack())


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path, check: Check) -> None:
    """Writing and reading a baseline changes nothing; its text is readable JSON."""
    baseline = Baseline.of(check("float(1)\nfloat(1)\n", "src/ä b.py"))
    (tmp_path / BASELINE_NAME).write_text(baseline.encode(), encoding="utf-8")
    assert load_baseline(tmp_path).encode() == baseline.encode()
    document = json.loads(baseline.encode())
    assert document["version"] == 1
    assert [*document["files"]["src/ä b.py"]["forbidden-import"].values()] == [2]
    assert baseline.encode().endswith("}\n")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"version": 2, "files": {}}',
        b'{"version": 1, "files": {}, "more": 1}',
        b'{"version": 1, "files": {"a.py": {"r": {"d": 0}}}}',
        b'{"version": 1, "files": {"a.py": {"r": 1}}}',
        b'<<<<<<< HEAD\n{"version": 1, "files": {}}',
        b"[" * 100_000,
        b'{"version": 1, "files": {"\xff.py": {}}}',
        b'{"version": 1, "files": ' + b'{"a":' * 100_000,
    ],
)
def test_a_broken_baseline_is_an_error(data: bytes, tmp_path: Path) -> None:
    """A file that is not a baseline is refused by name, with a way out, never taken for empty."""
    (tmp_path / BASELINE_NAME).write_bytes(data)
    with pytest.raises(SheriffError, match=r"`\.lattice-baseline\.json` is not a baseline") as info:
        load_baseline(tmp_path)
    assert "--write-baseline" in str(info.value.hint)


def test_a_baseline_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A folder in place of the file is refused."""
    (tmp_path / BASELINE_NAME).mkdir()
    with pytest.raises(SheriffError, match="cannot be read"):
        load_baseline(tmp_path)
