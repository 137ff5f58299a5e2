"""Mending the files of a project."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.project import Project, find_project
from lattice_lock.core.workspace import open_workspace
from lattice_lock.exceptions import ProjectWriteError
from lattice_lock.sheriff.checker import SheriffContext, check_project
from lattice_lock.sheriff.repair import (
    Repair,
    mend_content,
    plan_repairs,
    unified_diff,
    write_repairs,
)

if TYPE_CHECKING:
    from pathlib import Path

_LATTICE = "version: v1.0\ngenerated_module: types_v1\nconfig: {forbidden_imports: [requests]}\n"
_FAULTY = b"def f(a: int):\n    print(a)\n"
_MENDED = b"def f(a: int) -> None:\n    print(a)\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose lattice forbids `requests`."""
    (tmp_path / "lattice.yaml").write_text(_LATTICE)
    (tmp_path / "src").mkdir()
    return find_project(tmp_path)


def _plan(project: Project) -> tuple[Repair, ...]:
    lattice = open_workspace(project.root).lattice
    context = SheriffContext(lattice=lattice)
    report = check_project(project.root, context)
    informed = SheriffContext(lattice=lattice, reexports=report.reexports)
    return plan_repairs(project, informed, report, lambda found: found)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (_FAULTY, _MENDED),
        (b"\xef\xbb\xbf" + _FAULTY, b"\xef\xbb\xbf" + _MENDED),
        (_FAULTY.replace(b"\n", b"\r\n"), _MENDED.replace(b"\n", b"\r\n")),
        (_FAULTY.rstrip(), _MENDED.rstrip()),
        (
            "def f(ä: int, b: str = '\N{GRINNING FACE})'): print(b)".encode(),
            "def f(ä: int, b: str = '\N{GRINNING FACE})') -> None: print(b)".encode(),
        ),
        (
            b"x = 1\r\n# lattice:ignore[forbidden-import] gone",
            b"x = 1",
        ),
        (b"# lattice:ignore[forbidden-import] gone", b""),
        (b"# lattice:ignore[forbidden-import] gone\r\nx = 1\r\n", b"x = 1\r\n"),
    ],
)
def test_a_file_keeps_its_form(before: bytes, after: bytes, project: Project) -> None:
    """Byte order mark, line ends and the lack of a last one stay what they were."""
    context = SheriffContext(lattice=open_workspace(project.root).lattice)
    assert mend_content("src/a.py", before, context)[0] == after


def test_a_plan_writes_nothing_and_is_written_whole(project: Project) -> None:
    """Planning leaves files alone; writing puts the plan in place, modes kept."""
    paths = [project.root / "src" / name for name in ("a.py", "b.py")]
    for path in paths:
        path.write_bytes(_FAULTY)
    paths[0].chmod(0o750)
    repairs = _plan(project)
    assert [(each.path, each.after, each.mended) for each in repairs] == [
        ("src/a.py", _MENDED, 1),
        ("src/b.py", _MENDED, 1),
    ]
    assert {path.read_bytes() for path in paths} == {_FAULTY}
    assert write_repairs(project, repairs) == (repairs, ())
    assert {path.read_bytes() for path in paths} == {_MENDED}
    assert paths[0].stat().st_mode & 0o777 == 0o750
    assert _plan(project) == ()


@pytest.mark.parametrize("change", [b"x = 1\n", None])
def test_a_file_that_changed_meanwhile_is_left_alone(
    change: bytes | None, project: Project
) -> None:
    """What somebody else wrote or removed after the check stays as they left it, and is named."""
    changed, other = project.root / "src/a.py", project.root / "src/b.py"
    changed.write_bytes(_FAULTY)
    other.write_bytes(_FAULTY)
    first, second = _plan(project)
    if change is None:
        changed.unlink()
    else:
        changed.write_bytes(change)
    assert write_repairs(project, [first, second]) == ((second,), ("src/a.py",))
    assert (changed.read_bytes() if changed.exists() else None) == change
    assert other.read_bytes() == _MENDED


def test_a_file_that_cannot_be_written_leaves_all_as_they_were(project: Project) -> None:
    """One file for which there is no room keeps the others from being written."""
    (project.root / "src/a.py").write_bytes(_FAULTY)
    (repair,) = _plan(project)
    (project.root / "src/b").mkdir()
    blocked = Repair(path="src/b.py", before=b"", after=b"x", mended=1)
    (project.root / "src/b.py").symlink_to(project.root / "src/c.py")
    (project.root / "src/c.py").write_bytes(b"")
    with pytest.raises(ProjectWriteError):
        write_repairs(project, [repair, blocked])
    assert (project.root / "src/a.py").read_bytes() == _FAULTY


def test_a_link_is_mended_where_it_leads(project: Project) -> None:
    """The file behind a link within the project is mended once, and the link stays one."""
    target, link = project.root / "src/a.py", project.root / "src/b.py"
    target.write_bytes(_FAULTY)
    link.symlink_to("a.py")
    repairs = _plan(project)
    assert [each.path for each in repairs] == ["src/a.py"]
    write_repairs(project, repairs)
    assert link.is_symlink()
    assert target.read_bytes() == _MENDED


def test_a_comment_that_another_file_makes_necessary_stays(project: Project) -> None:
    """What is ignored because of what another module hands on is not taken for unused."""
    text = "from wire import requests  # lattice:ignore[forbidden-import] wire is to go\n"
    (project.root / "src/wire.py").write_text("import requests\n")
    (project.root / "src/shop.py").write_text(text + "def f(): print(1)\n")
    (repair,) = _plan(project)
    assert repair.after.decode() == text + "def f() -> None: print(1)\n"


def test_git_takes_the_diff(project: Project) -> None:
    """Applying the diff to the files gives what the repairs hold, whatever their line ends."""
    contents = {
        "a.py": _FAULTY,
        "b.py": _FAULTY.replace(b"\n", b"\r\n"),
        "c.py": b"x = 1\ry = 2\n" + _FAULTY.rstrip(),
        "d.py": b"x = 1\n# lattice:ignore[forbidden-import] gone",
    }
    for name, content in contents.items():
        (project.root / "src" / name).write_bytes(content)
    repairs = _plan(project)
    assert len(repairs) == 4
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        cwd=project.root,
        input=unified_diff(repairs),
        capture_output=True,
        check=False,
    )
    assert done.stderr == b""
    for repair in repairs:
        assert (project.root / repair.path).read_bytes() == repair.after
