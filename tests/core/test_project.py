"""Writing a project: all files or none, one writer at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.project import Project, find_project
from lattice_lock.exceptions import ProjectBusyError, ProjectNotFoundError, ProjectWriteError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a lattice and one file."""
    (tmp_path / "lattice.yaml").write_text("version: v1\n")
    (tmp_path / "kept.py").write_text("old\n")
    return find_project(tmp_path)


def snapshot(root: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its content."""
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in sorted(root.rglob("*"))
    }


def test_a_project_is_found_by_folder_and_by_lattice(project: Project) -> None:
    """The folder and the lattice's own path name the same project."""
    assert find_project(project.lattice_path) == project


def test_a_folder_without_lattice_is_no_project(tmp_path: Path) -> None:
    """The error says what is missing and how to make one."""
    with pytest.raises(ProjectNotFoundError, match=r"no `lattice\.yaml`.*lattice-lock init"):
        find_project(tmp_path)


def test_files_are_created_changed_deleted_and_kept(project: Project) -> None:
    """Only paths whose content differs are reported as changed."""
    (project.root / "same.py").write_text("same\n")
    (project.root / "gone.py").write_text("gone\n")
    changed = project.write_files(
        {"kept.py": "new\n", "same.py": "same\n", "a/b/made.py": "made\n", "gone.py": None}
    )
    assert changed == ("kept.py", "a/b/made.py", "gone.py")
    assert snapshot(project.root) == {
        "a": None,
        "a/b": None,
        "a/b/made.py": b"made\n",
        "kept.py": b"new\n",
        "lattice.yaml": b"version: v1\n",
        "same.py": b"same\n",
    }


def test_a_failure_leaves_every_file_as_it_was(project: Project) -> None:
    """A folder in the place of the last file undoes the renames before it."""
    (project.root / "blocked.py").mkdir()
    (project.root / "blocked.py" / "inside").write_text("x")
    before = snapshot(project.root)
    with pytest.raises(ProjectWriteError, match=r"blocked\.py"):
        project.write_files({"kept.py": "new\n", "new/deep.py": "x\n", "blocked.py": "y\n"})
    assert snapshot(project.root) == before


def test_a_failure_while_renaming_restores_what_was_renamed(project: Project) -> None:
    """A path that turns into a folder while staging fails late and undoes the files in place."""
    before = snapshot(project.root)
    with pytest.raises(ProjectWriteError, match=r"`made\.py`"):
        project.write_files({"kept.py": "new\n", "made.py": "x\n", "made.py/below.py": "y\n"})
    assert snapshot(project.root) == before


def test_a_path_out_of_the_project_is_refused(project: Project, tmp_path: Path) -> None:
    """Neither `..` nor a symbolic link leads a write elsewhere."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (project.root / "link").symlink_to(outside)
    for path in ("../escaped.py", "link/escaped.py"):
        with pytest.raises(ProjectWriteError, match="out of the project"):
            project.write_files({path: "x\n"})
    assert list(outside.iterdir()) == []


def test_the_mode_of_a_file_survives(project: Project) -> None:
    """A script that was executable stays so."""
    (project.root / "kept.py").chmod(0o755)
    project.write_files({"kept.py": "new\n"})
    assert (project.root / "kept.py").stat().st_mode & 0o777 == 0o755


def test_a_second_process_cannot_hold_the_project(project: Project) -> None:
    """The first holder wins, the second is told at once, and the end of the first frees it."""
    program = (
        "import sys; from pathlib import Path; from lattice_lock.core.project import find_project\n"
        "with find_project(Path(sys.argv[1])).exclusive():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(project.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ProjectBusyError, match="another `lattice-lock` command"),
            project.exclusive(),
        ):
            pass
        holder.communicate("")
    with project.exclusive():
        assert holder.returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root ignores file permissions")
def test_a_read_only_folder_is_named(project: Project) -> None:
    """The error names the file and says what to do."""
    project.root.chmod(0o555)
    try:
        with pytest.raises(ProjectWriteError, match="write permission"):
            project.write_files({"new.py": "x\n"})
    finally:
        project.root.chmod(0o755)


def test_a_full_disk_leaves_everything_as_it_was(project: Project) -> None:
    """A file size limit stands in for a full disk: the write fails half way, nothing remains."""
    program = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from lattice_lock.core.project import find_project\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "find_project(Path(sys.argv[1])).write_files({'kept.py': 'n', 'big.py': 'x' * 100000})\n"
    )
    before = snapshot(project.root)
    done = subprocess.run(
        [sys.executable, "-c", program, str(project.root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ProjectWriteError" in done.stderr
    assert "big.py" in done.stderr
    assert snapshot(project.root) == before
