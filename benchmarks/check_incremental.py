"""How long `lattice-lock check` takes in a project of 10,000 files, beside `git status` in it.

All rows are measured in turns, so that a busy moment hits all alike, and the fastest run of each
counts: what the work takes where nothing disturbs it. A process includes its start; in a server,
which has started already, the tool `check` of `lattice-lock mcp` is called.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_FILES: Final = 10_000
_FILES_PER_FOLDER: Final = 100
_RUNS: Final = 7
_FACTOR: Final = 3.0
_QUICKSTART_S: Final = 1.0
_SETTLED_S: Final = 2.5
"""A file changed more recently than two seconds is read again; the project shall be older."""

_ROOT: Final = Path(__file__).resolve().parents[1]
_MODULE: Final = '''"""Module {number}."""

from __future__ import annotations

__all__ = ["Record{number}", "value_{number}"]


class Record{number}:
    """A record with a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def label(self, width: int) -> str:
        """The name, filled up to a width."""
        return self.name.ljust(width)


def value_{number}(amount: int) -> int:
    """The amount and {number}."""
    return amount + {number}
'''


def make_project(folder: Path, files: int) -> None:
    """A copy of the quickstart with many more modules, committed to git."""
    shutil.copytree(_ROOT / "docs" / "examples" / "quickstart", folder)
    for number in range(files):
        package = folder / "src" / f"package_{number // _FILES_PER_FOLDER:03}"
        package.mkdir(exist_ok=True)
        module = package / f"module_{number:05}.py"
        module.write_text(_MODULE.format(number=number), encoding="utf-8")
    compile_ = [sys.executable, "-m", "lattice_lock", "compile", str(folder)]
    subprocess.run(compile_, check=True, stdout=subprocess.DEVNULL)
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--all")
    author = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
    _git(folder, *author, "commit", "--quiet", "--message=project")


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def check(folder: Path, *options: str) -> None:
    """Run the command as a process; it must find nothing."""
    command = [sys.executable, "-m", "lattice_lock", "check", str(folder), *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"`check` exited with {done.returncode}:\n{done.stdout}{done.stderr}")


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(folder: Path, quickstart: Path, runs: int) -> dict[str, list[float]]:
    """Seconds of every run, by row."""
    from lattice_lock.core.project import find_project  # noqa: PLC0415  # the cache must be ours
    from lattice_lock.mcp.tools import CheckArguments, ProjectTools  # noqa: PLC0415

    tools = ProjectTools(find_project(folder))
    changed = folder / "src" / "package_000" / "module_00000.py"

    def serve() -> None:
        answer = asyncio.run(tools.check(CheckArguments()))
        if not answer.data["passed"]:
            raise SystemExit(answer.text)

    def edit() -> None:
        with changed.open("a", encoding="utf-8") as file:
            file.write(f"# {time.time_ns()}\n")

    found = {"cold": [timed(lambda: check(folder))], "quickstart, cold": []}
    found["quickstart, cold"].append(timed(lambda: check(quickstart)))
    time.sleep(_SETTLED_S)
    check(folder)
    serve()
    calls: dict[str, tuple[bool, Callable[[], object]]] = {
        "git status": (False, lambda: _git(folder, "status")),
        "git status, one file changed": (True, lambda: _git(folder, "status")),
        "nothing changed": (False, lambda: check(folder)),
        "one file changed": (True, lambda: check(folder)),
        "in a server, nothing changed": (False, serve),
        "in a server, one file changed": (True, serve),
        "quickstart, nothing changed": (False, lambda: check(quickstart)),
    }
    for _ in range(runs):
        for row, (edits, call) in calls.items():
            if edits:
                edit()
            else:  # what the last row changed is known by now, and older than a moment
                check(folder)
            found.setdefault(row, []).append(timed(call))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=_FILES, help="modules of the project")
    parser.add_argument("--runs", type=int, default=_RUNS, help="runs of each row")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, quickstart = Path(name, "project"), Path(name, "quickstart")
        os.environ |= {"XDG_CACHE_HOME": f"{name}/cache", "XDG_DATA_HOME": f"{name}/data"}
        make_project(folder, options.files)
        make_project(quickstart, 0)
        found = measure(folder, quickstart, options.runs)
    git = min(found["git status, one file changed"])
    print(f"`lattice-lock check`, {options.files} files: fastest of {options.runs} runs")
    print(f"{'':<32} {'ms':>7} {'x git status':>13}  target")
    for row, seconds in found.items():
        target = ""
        if row.endswith("one file changed") and not row.startswith("git"):
            target = f"< {_FACTOR:g} x git status"
        elif row == "quickstart, nothing changed":
            target = f"< {_QUICKSTART_S * 1000:.0f} ms"
        print(
            f"{row:<32} {min(seconds) * 1000:>7.0f} {min(seconds) / git:>13.1f}  {target}".rstrip()
        )


if __name__ == "__main__":
    main()
