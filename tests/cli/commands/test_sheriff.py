"""`lattice-lock sheriff`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from command_process import finished, started
from lattice_lock.sheriff.baseline import BASELINE_NAME

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable
    from pathlib import Path

    from command_process import Outcome

_LATTICE = """\
version: v1.0
generated_module: types_v1
config: {forbidden_imports: [requests]}
"""
_BAD = "import requests\n"


@pytest.fixture
def project(tmp_path: Path, lattice_lock: Callable[..., Outcome]) -> Path:
    """A compiled project with one fault."""
    (tmp_path / "src").mkdir()
    (tmp_path / "lattice.yaml").write_text(_LATTICE)
    assert lattice_lock("compile", str(tmp_path)).code == 0
    (tmp_path / "src/bad.py").write_text(_BAD)
    return tmp_path


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def _commit(folder: Path) -> None:
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "all")


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github", "junit"])
def test_every_format_tells_of_the_fault_and_of_none(
    form: str, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Each format is well formed, exits with 1 where there is a fault and with 0 without."""

    def count(out: str) -> int:
        if form == "json":
            return len(json.loads(out)["violations"])
        if form == "sarif":
            return len(json.loads(out)["runs"][0]["results"])
        if form == "junit":
            return int(ET.fromstring(out.encode()).get("failures") or "")  # noqa: S314  # ours
        if form == "github":
            return len(re.findall("^::error file=src/bad.py,", out, re.MULTILINE))
        return out.count("src/bad.py:1:8 forbidden-import")

    found = lattice_lock("sheriff", str(project), "--format", form)
    assert (found.code, count(found.out), found.err) == (1, 1, "")
    (project / "src/bad.py").write_text("")
    clean = lattice_lock("sheriff", str(project), "--format", form)
    assert (clean.code, count(clean.out), clean.err) == (0, 0, "")
    assert (clean.out == "") == (form == "github")


@pytest.mark.parametrize("form", ["sarif", "github", "junit"])
def test_places_are_told_from_the_top_of_the_checkout(
    form: str, tmp_path: Path, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """What services read names files as the repository does, wherever the project is in it."""
    (tmp_path / "shop").mkdir()
    for name in ("src", "lattice.yaml", "lattice.lock"):
        (project / name).rename(tmp_path / "shop" / name)
    _git(tmp_path, "init", "-q")
    outcome = lattice_lock("sheriff", str(tmp_path / "shop"), "--format", form)
    assert re.search('["=]?shop/src/bad.py', outcome.out)


def test_an_expired_suppression_is_a_finding(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """A comment counts until its day; afterwards it is reported with what it silenced."""
    comment = "import requests  # lattice:ignore[forbidden-import] until={} owner=anna legacy\n"
    (project / "src/bad.py").write_text(comment.format("2999-12-31"))
    outcome = lattice_lock("sheriff", str(project))
    assert outcome.code == 0
    assert outcome.out.endswith("1 suppression in use.\n")
    (project / "src/bad.py").write_text(comment.format("2020-01-31"))
    outcome = lattice_lock("sheriff", str(project), "--format", "json")
    assert outcome.code == 1
    assert [each["rule"] for each in outcome.json["violations"]] == [
        "forbidden-import",
        "ignore-without-reason",
    ]


def test_suppressions_are_listed(project: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """The list has place, rule, owner, date and reason, and says which have expired."""
    listing = ("sheriff", str(project), "--suppressions")
    nothing = lattice_lock(*listing)
    assert (nothing.code, nothing.out) == (0, "No comment ignores a rule.\n")
    ignored = "import requests  # lattice:ignore[forbidden-import]"
    (project / "src/bad.py").write_text(
        f"{ignored} until=2020-01-31 owner=anna legacy\n{ignored} until=2999-12-31 so far\n"
    )
    outcome = lattice_lock(*listing)
    assert outcome.code == 1
    assert [re.split("  +", line) for line in outcome.out.splitlines()[2:]] == [
        ["src/bad.py:1", "forbidden-import", "1", "anna", "2020-01-31 (expired)", "legacy"],
        ["src/bad.py:2", "forbidden-import", "1", "-", "2999-12-31", "so far"],
    ]
    outcome = lattice_lock(*listing, "--format", "json")
    assert [each["expired"] for each in outcome.json["suppressions"]] == [True, False]
    assert [each["owner"] for each in outcome.json["suppressions"]] == ["anna", None]


def test_the_number_of_suppressions_can_be_capped(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Above the cap, the check and the list exit with 1; at the cap they do not."""
    (project / "src/bad.py").write_text(
        "import requests  # lattice:ignore[forbidden-import] legacy\n" * 2
    )
    for extra in ((), ("--suppressions",)):
        capped = ("sheriff", str(project), *extra, "--max-suppressions")
        assert [lattice_lock(*capped, str(most)).code for most in (0, 1, 2, 3)] == [1, 1, 0, 0]
    assert "at most 1 may be" in lattice_lock("sheriff", str(project), "--max-suppressions=1").out


def test_the_lattice_can_cap_suppressions(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """The smaller of the two caps counts, and the lattice's is honoured by the list as well."""
    (project / "src/bad.py").write_text(
        "import requests  # lattice:ignore[forbidden-import] legacy\n" * 2
    )
    for cap, option, code in (("1", "5", 1), ("5", "1", 1), ("2", "2", 0), ("null", "2", 0)):
        config = f"{{forbidden_imports: [requests], max_suppressions: {cap}}}"
        (project / "lattice.yaml").write_text(
            _LATTICE.replace("{forbidden_imports: [requests]}", config)
        )
        assert lattice_lock("compile", str(project)).code == 0
        for extra in ((), ("--suppressions",)):
            arguments = ("sheriff", str(project), *extra, "--max-suppressions", option)
            assert lattice_lock(*arguments).code == code
        for command in (("sheriff",), ("check", "--no-cache")):
            outcome = lattice_lock(*command, str(project))
            assert ("at most 1 may be" in outcome.out) == (cap == "1")
            assert outcome.code == int(cap == "1")


_MENDABLE = "def f(a: int):\n    print(a)\n"
_MENDED = "def f(a: int) -> None:\n    print(a)\n"


def test_fixes_are_made_and_the_rest_is_reported(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """What is certain is mended; the report and the exit code are about what remains."""
    (project / "src/good.py").write_text(_MENDABLE)
    outcome = lattice_lock("sheriff", str(project), "--fix", "--format", "json")
    assert outcome.code == 1
    assert [each["file"] for each in outcome.json["violations"]] == ["src/bad.py"]
    assert outcome.err == "Mended 1 violation in 1 file.\n"
    assert (project / "src/good.py").read_text() == _MENDED
    (project / "src/bad.py").write_text(_MENDABLE)
    outcome = lattice_lock("sheriff", str(project), "--fix")
    assert (outcome.code, outcome.out) == (0, "no violations, 4 files checked.\n")
    assert lattice_lock("sheriff", str(project), "--fix").err == ""


def test_the_diff_shows_what_the_fixes_would_do(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """The diff is all that is printed, nothing is written, and the findings decide the code."""
    (project / "src/good.py").write_text(_MENDABLE)
    outcome = lattice_lock("sheriff", str(project), "--diff")
    assert (outcome.code, outcome.err) == (1, "`--fix` would mend 1 violation in 1 file.\n")
    assert outcome.out.splitlines() == [
        "--- a/src/good.py",
        "+++ b/src/good.py",
        "@@ -1,2 +1,2 @@",
        "-def f(a: int):",
        "+def f(a: int) -> None:",
        "     print(a)",
    ]
    assert (project / "src/good.py").read_text() == _MENDABLE
    (project / "src/good.py").unlink()
    (project / "src/bad.py").unlink()
    outcome = lattice_lock("sheriff", str(project), "--diff")
    assert (outcome.code, outcome.out) == (0, "")


def test_only_what_is_named_and_reported_is_mended(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Other files, and what the baseline holds back, are left as they are."""
    for name in ("one.py", "other.py"):
        (project / "src" / name).write_text(_MENDABLE)
    assert lattice_lock("sheriff", str(project), str(project / "src/one.py"), "--fix").code == 0
    assert (project / "src/one.py").read_text() == _MENDED
    assert (project / "src/other.py").read_text() == _MENDABLE
    assert lattice_lock("sheriff", str(project), "--write-baseline").code == 0
    assert lattice_lock("sheriff", str(project), "--fix").code == 0
    assert (project / "src/other.py").read_text() == _MENDABLE


def test_a_comment_that_is_needed_for_another_file_stays(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Mending one file by name knows what other files hand on to it."""
    text = "from bad import requests  # lattice:ignore[forbidden-import] until bad is gone\n"
    path = project / "src/shop.py"
    path.write_text(text + _MENDABLE)
    lattice_lock("sheriff", str(project), str(path), "--fix")
    assert path.read_text() == text + _MENDED


class _Watched:
    """A `sheriff --watch` that is running."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def report(self, words: str) -> str:
        """What is printed up to the end of the next report with `words` in it."""
        assert self.process.stdout is not None
        text = ""
        async with asyncio.timeout(60):
            while not (words in text and text.endswith("checked.\n")):
                line = await self.process.stdout.readline()
                assert line, text
                text += line.decode()
        return text

    async def error(self, words: str) -> str:
        """The next line on standard error with `words` in it."""
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            while line := (await self.process.stderr.readline()).decode():
                if words in line:
                    return line
        raise AssertionError(words)


async def test_a_watched_project_is_checked_after_every_change(
    project: Path,
) -> None:
    """Changed, new, renamed and deleted files are seen, a broken lattice too, until Ctrl-C."""
    async with started(project, "sheriff", ".", "--watch") as process:
        watched = _Watched(process)
        assert "src/bad.py:1:8" in await watched.report("1 violation in")
        (project / "src/bad.py").write_text("\nimport requests\n")
        assert "src/bad.py:2:8" in await watched.report("src/bad.py:2:8")
        (project / "src/old").mkdir()
        (project / "src/old/a.py").write_text(_BAD)
        await watched.report("src/old/a.py:1:8")
        (project / "src/old").rename(project / "src/new")
        assert "src/old" not in await watched.report("src/new/a.py:1:8")
        shutil.rmtree(project / "src/new")
        assert "src/new" not in await watched.report("1 violation in")
        (project / "lattice.yaml").write_text("version: [")
        assert "LL-101" in await watched.error("error[")
        (project / "lattice.yaml").write_text(_LATTICE.replace("requests", "json"))
        await watched.report("no violations")
        (project / "src/bad.py").unlink()
        text = await watched.report("no violations, 2 files")
        assert "\x1b" not in text
        process.send_signal(signal.SIGINT)
        outcome = await finished(process)
        assert outcome.code == 130
        assert outcome.err.endswith("Interrupted.\n")


def test_watching_names_the_extra_that_is_missing(
    project: Path, lattice_lock: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `watchfiles` the error says what to install."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    monkeypatch.delitem(sys.modules, "lattice_lock.cli.watching", raising=False)
    outcome = lattice_lock("sheriff", str(project), "--watch")
    assert outcome.code == 2
    assert "pip install 'lattice-lock[watch]'" in outcome.err


def test_a_baseline_holds_back_what_was_there(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """After writing a baseline only new violations are reported, and what is gone is told."""
    written = lattice_lock("sheriff", str(project), "--write-baseline")
    assert written.code == 0
    assert written.err == f"Wrote {BASELINE_NAME}; commit it.\n"
    assert "1 violation held back by the baseline" in written.out
    first = (project / BASELINE_NAME).read_bytes()
    (project / "src/bad.py").write_text(f"\n\n{_BAD}import requests.adapters\n")
    outcome = lattice_lock("sheriff", str(project), "--format", "json")
    assert outcome.code == 1
    assert [each["line"] for each in outcome.json["violations"]] == [4]
    assert outcome.json["held_back"] == {"count": 1, "obsolete": []}
    (project / "src/bad.py").write_text("")
    outcome = lattice_lock("sheriff", str(project))
    assert outcome.code == 0
    assert "  src/bad.py forbidden-import (1)\n" in outcome.out
    only = lattice_lock("sheriff", str(project), str(project / "src/bad.py"))
    assert "baseline" not in only.out
    (project / "src/bad.py").write_text(_BAD)
    lattice_lock("sheriff", str(project), "--write-baseline")
    assert (project / BASELINE_NAME).read_bytes() == first
    left = {path.name for path in project.iterdir() if "lattice-lock" in path.name}
    assert left == {".lattice-lock"}  # the results that are kept, and no half-written file
    assert (project / ".lattice-lock" / "cache" / ".gitignore").read_text().strip() == "*"


def test_what_cannot_be_held_back_is_still_reported(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Writing a baseline exits with 1 where a violation is left."""
    (project / "src/bad.py").write_text("(\n")
    outcome = lattice_lock("sheriff", str(project), "--write-baseline")
    assert outcome.code == 1
    assert "unparsable-file" in outcome.out
    assert json.loads((project / BASELINE_NAME).read_text())["files"] == {}


def test_a_broken_baseline_can_be_written_anew(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """A baseline with conflict marks is an error, and the way out that it names works."""
    (project / BASELINE_NAME).write_text("<<<<<<<\n")
    outcome = lattice_lock("sheriff", str(project))
    assert (outcome.code, outcome.out) == (2, "")
    assert "is not a baseline" in outcome.err
    assert lattice_lock("sheriff", str(project), "--write-baseline").code == 0
    assert lattice_lock("sheriff", str(project)).code == 0


def test_only_changed_files_are_checked(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Faults that were committed are not looked at, against whatever commit; new ones are."""
    _commit(project)
    outcome = lattice_lock("sheriff", str(project), "--changed")
    assert (outcome.code, outcome.out) == (0, "no violations, 0 files checked.\n")
    (project / "src/new.py").write_text(_BAD)
    (project / "notes.txt").write_text("no Python")
    (project / "build").mkdir()
    (project / "build/copied.py").write_text(_BAD)
    outcome = lattice_lock("sheriff", str(project), "--changed", "--format", "json")
    assert outcome.code == 1
    assert {each["file"] for each in outcome.json["violations"]} == {"src/new.py"}
    assert outcome.json["files_checked"] == 1
    _git(project, "add", ".")
    _git(project, "commit", "-q", "-m", "more")
    assert lattice_lock("sheriff", str(project), "--changed").code == 0
    for spelling in (("--changed=HEAD~1",), ("--changed", "HEAD~1")):
        outcome = lattice_lock("sheriff", str(project), *spelling)
        assert "src/new.py:1:8" in outcome.out
        assert "src/bad.py" not in outcome.out


def test_a_changed_lattice_concerns_every_file(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Where the lattice itself has changed, unchanged files are checked too, and that is said."""
    (project / "src/bad.py").write_text("import sqlite3\n")
    _commit(project)
    (project / "lattice.yaml").write_text(_LATTICE.replace("requests", "sqlite3"))
    outcome = lattice_lock("sheriff", str(project), "--changed")
    assert outcome.err == "The lattice has changed, so every file is checked.\n"
    assert "src/bad.py:1:8 forbidden-import" in outcome.out


def test_changed_needs_a_checkout(
    project: Path, lattice_lock: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside a git checkout the error says so, and nothing is checked."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    outcome = lattice_lock("sheriff", str(project), "--changed")
    assert (outcome.code, outcome.out) == (2, "")
    assert "is not in a git checkout" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["src/bad.py", "--changed"], "chooses the files itself"),
        (["src/bad.py", "--write-baseline"], "needs the whole project"),
        (["--write-baseline", "--changed"], "needs the whole project"),
        (["--write-baseline", "--suppressions"], "are different things to do"),
        (["--fix", "--diff"], "`--fix` and `--diff` are different things to do"),
        (["--fix", "--watch"], "are different things to do"),
        (["--diff", "--format", "github"], "`--diff` has no format `github`"),
        (["--watch", "--format", "sarif"], "`--watch` has no format `sarif`"),
        (["--suppressions", "--format", "sarif"], "has no format `sarif`"),
        (["--max-suppressions", "-1"], "-1 is not in the range"),
        (["--format", "xml"], "'xml' is not one of"),
    ],
)
def test_contradictions_are_refused(
    arguments: list[str], words: str, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Options that exclude each other are wrong use, and nothing is written."""
    outcome = lattice_lock("sheriff", str(project), *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert not (project / BASELINE_NAME).exists()


def test_the_command_runs_as_a_process(
    project: Path, lattice_lock_process: Callable[..., Outcome]
) -> None:
    """From the project's folder, a real process finds the same."""
    assert project.is_dir()
    outcome = lattice_lock_process("sheriff", ".", "src/bad.py", "--format", "github")
    assert outcome.code == 1
    assert outcome.out.startswith("::error file=src/bad.py,line=1,endLine=1,col=8,endColumn=16,")


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github", "junit"])
def test_a_file_name_need_not_be_text(
    form: str, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """What is found in a file whose name is not UTF-8 is told in every format, and mended."""
    folder = project / "src" / os.fsdecode(b"a\xff")
    folder.mkdir()
    path = folder / os.fsdecode(b"b\xfe.py")
    path.write_text("from . import c\nimport requests\nfrom bad import requests as r\n" + _MENDABLE)
    for _ in range(2):
        outcome = lattice_lock("sheriff", str(project), "--format", form)
        assert outcome.code == 1
        assert outcome.out.count("missing-annotation") >= 1
        assert outcome.out.count("forbidden-import") >= 3
    outcome = lattice_lock("sheriff", str(project), "--fix")
    assert outcome.out.startswith(("src/a\ufffd/b\ufffd.py:2:8", "src/a\udcff/b\udcfe.py:2:8"))
    assert _MENDED in path.read_text()
    assert lattice_lock("sheriff", str(project), "--write-baseline").code == 0
    assert lattice_lock("sheriff", str(project)).code == 0
