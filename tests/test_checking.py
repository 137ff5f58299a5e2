"""What one check finds, the next need not look for, and nobody can pretend that it was found."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from datetime import date
from typing import TYPE_CHECKING

import msgspec
import pytest

from command_process import Outcome as Ended
from lattice_lock.checking import check_workspace, failed_verdicts, open_cache
from lattice_lock.cli.main import run
from lattice_lock.core.workspace import open_workspace
from lattice_lock.gauntlet import verdict_cache
from lattice_lock.gauntlet.verdict import Outcome
from lattice_lock.sheriff import cache as sheriff_cache
from lattice_lock.sheriff.checker import SheriffContext, check_project

if TYPE_CHECKING:
    from pathlib import Path

    from lattice_lock.checking import CheckReport

LATTICE = """\
version: v1.0
generated_module: types_v1
config: {forbidden_imports: [requests]}
interfaces:
  ITwice:
    file: src/twice.py
    methods:
      double:
        params: {number: {type: int, ge: 0, le: 9}}
        returns: int
        ensures: ["result == number + number"]
"""
GOOD = "return helper.twice(number)"
HELPER = """\
def twice(number: int) -> int:
    return number * 2
"""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    # Whoever edits the package while its tests run would have everything judged again.
    monkeypatch.setattr(verdict_cache, "_surroundings", lambda: ["as they are"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose only method keeps its contract with the help of another module."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "lattice.yaml").write_text(LATTICE)
    compile_again(folder)
    source = folder / "src" / "twice.py"
    text = re.sub("raise NotImplementedError.*", GOOD, source.read_text())
    source.write_text(text.replace("from shared", "import helper\nfrom shared", 1))
    (folder / "src" / "helper.py").write_text(HELPER)
    return folder


def compile_again(folder: Path) -> None:
    """Write what the lattice compiles to."""
    workspace = open_workspace(folder)
    workspace.project.write_files(workspace.plan())


def check(folder: Path, *, day: date = date(2026, 1, 1), keep: bool = True) -> CheckReport:
    """Check a project as the command does."""
    workspace = open_workspace(folder)
    cache = open_cache(workspace.project.root) if keep else None
    assert (cache is not None) is keep
    return asyncio.run(check_workspace(workspace, seed=0, today=day, cache=cache))


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_verdicts_count_until_something_changes(project: Path) -> None:
    """Reuse for what is unchanged; a broken helper and a new clause are judged and refuted."""
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    first = check(project)
    assert (first.passed, first.reused) == (True, ()), first
    second = check(project)
    assert (second.passed, second.reused) == (True, ("ITwice",))
    assert second.gauntlet == first.gauntlet
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before

    edit(project / "src" / "helper.py", "number * 2", "number * 3")
    broken = check(project)
    assert (broken.passed, broken.reused) == (False, ())
    assert [verdict.outcome for _, verdict in failed_verdicts(broken.gauntlet)] == [Outcome.REFUTED]
    assert check(project).reused == ()  # what did not pass is judged every time
    edit(project / "src" / "helper.py", "number * 3", "number * 2")
    assert check(project).reused == ("ITwice",)

    edit(project / "lattice.yaml", "number + number", "number")
    compile_again(project)
    refuted = check(project)
    assert (refuted.passed, refuted.reused, refuted.drift) == (False, (), ())


def test_what_only_sheriff_sees_does_not_cost_a_verdict(project: Path) -> None:
    """A new violation is found beside the verdict of before, and is gone when it is mended."""
    assert check(project).passed
    wire = project / "src" / "tools" / "wire.py"
    wire.parent.mkdir()
    check(project)  # judged again: there is a new folder to import from
    wire.write_text("import requests\n")
    found = check(project)
    assert ([each.rule for each in found.sheriff.violations], found.reused) == (
        ["forbidden-import"],
        ("ITwice",),
    )
    assert "1 violations" in found.summary
    wire.write_text("import decimal\n")
    assert check(project).passed
    wire.unlink()
    assert check(project).passed


def test_expired_suppressions_count_on_their_day(project: Path) -> None:
    """The same results, read on another day, are other findings."""
    comment = "import requests  # lattice:ignore[forbidden-import] until=2026-06-30 later\n"
    (project / "wire.py").write_text(comment)
    assert check(project, day=date(2026, 6, 1)).passed
    late = check(project, day=date(2026, 7, 1))
    assert (late.passed, late.reused) == (False, ("ITwice",))
    assert "forbidden-import" in {each.rule for each in late.sheriff.violations}


def test_forged_static_results_are_ignored(project: Path) -> None:
    """Results that hide a violation convince whoever asks for no seal, and not `check`."""
    (project / "wire.py").write_text("import requests\n")
    workspace = open_workspace(project)
    context = SheriffContext(lattice=workspace.lattice, generated=workspace.generated)
    there = project / ".lattice-lock" / "cache"
    assert len(check_project(project, context, cache=there).violations) == 1
    (file,) = there.glob("*.msgpack")
    stored = sheriff_cache._DECODER.decode(file.read_bytes()[16:])
    sections = {
        name: {path: msgspec.structs.replace(one, violations=()) for path, one in entries.items()}
        for name, entries in stored.sections.items()
    }
    forged = msgspec.msgpack.encode(msgspec.structs.replace(stored, sections=sections))
    forged = hashlib.blake2b(forged, digest_size=16).digest() + forged
    file.write_bytes(forged)
    assert check_project(project, context, cache=there).violations == ()

    cache = open_cache(project)
    assert cache is not None
    check(project)
    (sealed,) = cache.static.glob("*.msgpack")
    sealed.write_bytes(forged)
    assert [each.file for each in check(project).sheriff.violations] == ["wire.py"]


@pytest.mark.parametrize("inside", ["XDG_CACHE_HOME", "XDG_DATA_HOME"])
def test_nothing_is_kept_within_reach_of_the_project(
    inside: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the user's folders lie in the project, there is no cache; nor without a safe key."""
    assert open_cache(project) is not None
    monkeypatch.setenv(inside, str(project / "home"))
    assert open_cache(project) is None
    assert not (project / "home").exists()


def test_without_a_safe_key_there_is_no_cache(project: Path, tmp_path: Path) -> None:
    """A key that others can read ends reuse instead of being trusted."""
    assert open_cache(project) is not None
    (key,) = (tmp_path / "data" / "lattice-lock").iterdir()
    key.chmod(0o644)
    assert open_cache(project) is None


def test_results_of_few_projects_are_kept(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The static results of the project that was not checked for longest are deleted."""
    monkeypatch.setattr("lattice_lock.checking._MAX_PROJECTS", 2)
    folder = tmp_path / "cache" / "lattice-lock" / "sheriff"
    for name, age_ns in (("old", 2), ("older", 1)):
        (folder / name).mkdir(parents=True)
        (folder / name / "sheriff.msgpack").touch()
        os.utime(folder / name, ns=(age_ns, age_ns))
    (project / "lattice.yaml").write_text("version: v1.0\ngenerated_module: types_v1\n")
    compile_again(project)
    check(project)
    cache = open_cache(project)
    assert cache is not None
    assert sorted(each.name for each in folder.iterdir()) == sorted([cache.static.name, "old"])


def test_the_command_says_what_it_reused(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`--no-cache` judges whatever is known and keeps nothing; without it passes are reused."""

    def command(*arguments: str) -> Ended:
        code = run(["check", str(project), *arguments])
        captured = capsys.readouterr()
        return Ended(int(code), captured.out, captured.err)

    fresh = command("--no-cache", "--format", "json")
    assert (fresh.code, fresh.json["passed"], fresh.json["reused"]) == (0, True, [])
    assert not (tmp_path / "cache" / "lattice-lock" / "verdicts").exists()
    assert not (tmp_path / "data").exists()
    assert "Judging 1 interface ..." in command().err
    again = command()
    assert (again.code, again.err) == (0, "")
    assert "Unchanged since they passed: ITwice." in again.out
    assert again.out.splitlines()[-1].startswith("Everything holds: ")
    assert command("--format", "json").json["reused"] == ["ITwice"]
    assert "Judging 1 interface ..." in command("--no-cache").err
    assert "Judging 1 interface ..." in command("--seed", "1").err
