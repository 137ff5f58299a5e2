"""Several processes find what one finds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff import pool
from lattice_lock.sheriff.checker import SheriffContext, check_project

if TYPE_CHECKING:
    from pathlib import Path

_CONTEXT = SheriffContext(
    lattice=parse_lattice(
        "version: v1.0\ngenerated_module: types_v1\nconfig: {forbidden_imports: [requests]}\n",
        file="lattice.yaml",
    )
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with more text than one process is given."""
    monkeypatch.setattr(pool, "_BYTES_PER_PROCESS", 10_000)
    filler = "# " + "x" * 998 + "\n"
    for number in range(12):
        text = filler * 5 + f"import requests\nimport m{number}\n"
        (tmp_path / f"m{number}.py").write_text(text, encoding="utf-8")
    (tmp_path / "link.py").symlink_to(tmp_path.parent / "elsewhere.py")
    return tmp_path


def test_several_processes_find_what_one_finds(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is the same, in the same order, whatever the number of processes."""
    several = check_project(project, _CONTEXT)
    monkeypatch.setattr(pool, "_BYTES_PER_PROCESS", 1024**3)
    assert several == check_project(project, _CONTEXT)
    assert len(several.violations) == 13


@pytest.mark.parametrize("child", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)"])
def test_a_process_that_fails_costs_no_finding(
    project: Path, monkeypatch: pytest.MonkeyPatch, child: str
) -> None:
    """What a process was to examine is examined all the same when it dies."""
    monkeypatch.setattr(pool, "_CHILD", child)
    assert len(check_project(project, _CONTEXT).violations) == 13


def test_shares_are_even_and_complete() -> None:
    """Each file is in one share, and the largest files are spread."""
    sizes = {f"f{n}": n * 100_000 for n in range(60)}
    shares = pool._shares(sizes)
    assert len(shares) == min(len(os.sched_getaffinity(0)), 16)
    assert sorted(path for share in shares for path in share) == sorted(sizes)
    loads = [sum(sizes[path] for path in share) for share in shares]
    assert max(loads) - min(loads) <= max(sizes.values())


def test_little_text_starts_no_process() -> None:
    """A small project is examined where it is."""
    assert pool._shares({"a": 10, "b": 20}) == [["b", "a"]]
    assert pool._shares({}) == [[]]
