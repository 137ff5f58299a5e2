"""The governance commands on a project in a folder, from the outside."""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LATTICE = """\
version: v1.0
generated_module: types_v1
config: {forbidden_imports: [requests]}
entities:
  Line:
    fields:
      price: {type: decimal, ge: 0, scale: 2}
      quantity: {type: int, ge: 1}
interfaces:
  IPricing:
    file: src/services/pricing.py
    methods:
      line_total:
        params: {line: Line}
        returns: decimal
        ensures: ["result == line.price * line.quantity"]
      largest:
        params: {numbers: 'list[int]'}
        returns: int
        ensures: ["result in numbers", "all(result >= n for n in numbers)"]
        raises: {ValueError: "len(numbers) == 0"}
"""

BODIES = {
    "line_total": "return line.price * line.quantity",
    "largest": "return max(numbers)",
}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """One command line of `lattice-lock`, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lattice_lock", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose two bodies are written and accepted."""
    root = tmp_path_factory.mktemp("finished")
    (root / "lattice.yaml").write_text(LATTICE)
    done = run("compile", root)
    assert done.returncode == 0, done.stderr
    file = root / "src/services/pricing.py"
    text = file.read_text()
    for name, body in BODIES.items():
        head, method, rest = text.partition(f"def {name}(")
        text = head + method + rest.replace("raise NotImplementedError", body, 1)
    file.write_text(text)
    done = run("accept", root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished project that a test may spoil."""
    return Path(shutil.copytree(finished, tmp_path / "project"))


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_a_finished_project_passes(project: Path) -> None:
    """Exit code 0, nothing written, and the report says how much was tested."""
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    done = run("check", project, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["passed"] is True
    assert all(one["examples"] >= 1 for one in report["gauntlet"]["IPricing"]["verdicts"])
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("src/shared/types_v1.py", "ge=1", "ge=0", "src/shared/types_v1.py"),
        ("src/shared/types_v1_interfaces.py", "Protocol", "Protocol as P", "types_v1_interfaces"),
        ("tests/contracts/test_i_pricing.py", "assert ", "assert 1 or ", "test_i_pricing.py"),
        ("src/services/pricing.py", "max(numbers)", "sorted(numbers)[-1]", "`IPricing.largest`"),
        ("src/services/pricing.py", "max(numbers)", "numbers[0]", "ensures[1]"),
        ("src/services/pricing.py", "from decimal", "import requests\nfrom decimal", "requests"),
        ("lattice.yaml", "ge: 1", "ge: 2", "`entities.Line.fields.quantity`"),
        ("lattice.yaml", "result in numbers", "result in set(numbers)", "largest.ensures[0]"),
        ("lattice.lock", '"generated"', '"made"', "lattice.lock"),
    ],
)
def test_every_edit_is_named(project: Path, file: str, old: str, new: str, named: str) -> None:
    """Whatever was edited, `check` does not exit 0, and says what it was."""
    edit(project / file, old, new)
    done = run("check", project)
    assert done.returncode == (2 if file == "lattice.lock" else 1), done.stdout + done.stderr
    assert named in done.stdout + done.stderr


def test_a_missing_generated_file_is_named_and_restored(project: Path) -> None:
    """`compile --check` and `check` say so; `compile` brings it back."""
    (project / "src/shared/types_v1.py").unlink()
    assert "src/shared/types_v1.py" in run("check", project).stdout
    told = run("compile", project, "--check")
    assert (told.returncode, "class Line" in told.stdout) == (1, True)
    assert not (project / "src/shared/types_v1.py").exists()
    assert run("compile", project).stdout == "wrote src/shared/types_v1.py\n"
    assert run("check", project).returncode == 0


def test_deleting_the_tests_changes_no_verdict(project: Path) -> None:
    """The Gauntlet compiles its tests; a wrong body is refuted with none on disk."""
    edit(project / "src/services/pricing.py", "return line.price *", "return line.price + 0 *")
    shutil.rmtree(project / "tests")
    done = run("gauntlet", project, "-m", "IPricing.line_total")
    assert done.returncode == 1
    assert "ensures[0]" in done.stdout


def test_compiling_twice_writes_nothing_and_keeps_bodies(project: Path) -> None:
    """An implementation that a person wrote is not touched."""
    assert run("compile", project).stdout == "Everything is up to date.\n"
    assert "max(numbers)" in (project / "src/services/pricing.py").read_text()


def test_an_interface_that_goes_takes_its_tests_along(project: Path) -> None:
    """Contract files of the past are deleted; old versions of the types stay importable."""
    edit(project / "lattice.yaml", "generated_module: types_v1", "generated_module: types_v2")
    edit(project / "lattice.yaml", "IPricing", "IPrices")
    assert run("compile", project).returncode == 0
    assert not (project / "tests/contracts/test_i_pricing.py").exists()
    assert (project / "tests/contracts/test_i_prices.py").exists()
    assert (project / "src/shared/types_v1.py").exists()
    assert (project / "src/shared/types_v2.py").exists()
    (project / "src/services/pricing.py").unlink()
    assert run("compile", project).returncode == 0
    assert run("sheriff", project).returncode == 0
    edit(project / "src/shared/types_v1.py", "ge=1", "ge=0")
    assert "src/shared/types_v1.py:1:1 edited-generated-file" in run("sheriff", project).stdout


def test_a_wrong_body_is_not_accepted(project: Path) -> None:
    """The refusal shows the input, and the lock keeps what it said."""
    edit(project / "src/services/pricing.py", "max(numbers)", "[*numbers, max(numbers)][0]")
    lock = (project / "lattice.lock").read_bytes()
    done = run("accept", project, "-m", "IPricing.largest")
    assert done.returncode == 1
    assert "refused  IPricing.largest: refuted: " in done.stdout
    assert "numbers=[0, 1]" in done.stdout
    assert (project / "lattice.lock").read_bytes() == lock


def test_a_body_that_bends_its_argument_to_the_result_is_refused(project: Path) -> None:
    """`result in numbers` must not come true by changing `numbers`."""
    body = "numbers[:] = [max(numbers), 9]; return 9"
    edit(project / "src/services/pricing.py", "return max(numbers)", body)
    done = run("accept", project, "-m", "IPricing.largest")
    assert done.returncode == 1
    assert "params.numbers: the argument must not be changed" in done.stdout


def test_an_unknown_method_is_wrong_use(project: Path) -> None:
    """Exit code 2, and the names that exist."""
    done = run("accept", project, "-m", "IPricing.totals")
    assert done.returncode == 2
    assert "IPricing.line_total" in done.stderr


def test_plain_pytest_runs_the_contracts(project: Path) -> None:
    """The generated files need nothing of Lattice Lock."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests"],
        cwd=project,
        env={"PYTHONPATH": str(project / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed" in done.stdout, done.stdout


def test_a_planted_compiled_module_changes_no_verdict(project: Path) -> None:
    """A helper is judged by its source, whatever compiled form of it lies beside it."""
    helper = project / "src/services/helper.py"
    right, wrong = "def biggest(n): return max(n)\n", "def biggest(n): return min(n)\n"
    helper.write_text(right)
    file = project / "src/services/pricing.py"
    text = file.read_text().replace("return max(numbers)", "return biggest(numbers)")
    file.write_text(
        text.replace("from decimal", "from services.helper import biggest\nfrom decimal")
    )
    assert "import biggest" in file.read_text()
    assert run("gauntlet", project).returncode == 0
    compiled = Path(py_compile.compile(str(helper), doraise=True) or "")
    stamp = helper.stat()
    helper.write_text(wrong)
    os.utime(helper, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert compiled.is_file()
    plain = [sys.executable, "-c", "import services.helper as h; print(h.biggest([1, 2]))"]
    fooled = subprocess.run(plain, cwd=project / "src", capture_output=True, text=True, check=True)
    assert fooled.stdout == "2\n"
    done = run("gauntlet", project)
    assert done.returncode == 1
    assert "IPricing.largest refuted" in done.stdout
