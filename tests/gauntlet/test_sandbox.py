"""The sandbox as this machine has it; irrevocable steps run in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lattice_lock.gauntlet import landlock
from lattice_lock.gauntlet._confine import Confinement
from lattice_lock.gauntlet.runner import _hear_judge, _make_order, _Testimony
from lattice_lock.gauntlet.sandbox import (
    Sandbox,
    bootstrap,
    detect_sandbox,
    readable_paths,
    worker_command,
)
from lattice_lock.gauntlet.verdict import Outcome

from .conftest import PATIENT, RIGHT, module_with, request_for

if TYPE_CHECKING:
    from lattice_lock.gauntlet.verdict import TestVerdict

NO_SANDBOX = Sandbox(name="none", layers=(), missing=("this is a test",))


def _attack(secret: Path, *, landlock_abi: int, seccomp: bool) -> set[str]:
    """The attacks that succeed with some layers only."""
    readable = readable_paths(None, home=Path.home())
    confinement = Confinement(
        readable=readable, landlock_abi=landlock_abi, seccomp=seccomp, memory_mib=512, cpu_s=5
    )
    secret.write_text("secret")
    order = {"secret": str(secret), "pid": os.getpid(), "confinement": asdict(confinement)}
    done = subprocess.run(
        worker_command(NO_SANDBOX, ["-c", bootstrap("_probe")], readable),
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return set(json.loads(done.stdout))


@pytest.mark.skipif(not detect_sandbox().seccomp, reason="nothing filters system calls here")
def test_the_probe_finds_what_a_missing_layer_lets_through(tmp_path: Path) -> None:
    """The self-test is no formality: without a layer its attacks succeed."""
    abi = landlock.abi_version()
    files = {"a file outside can be read", "a folder outside can be listed"}
    calls = {"a socket can be opened", "a process can be forked"}
    if abi:
        assert _attack(tmp_path / "both", landlock_abi=abi, seccomp=True) == set()
        without_filter = _attack(tmp_path / "files", landlock_abi=abi, seccomp=False)
        assert calls <= without_filter
        assert not files & without_filter
    without_files = _attack(tmp_path / "calls", landlock_abi=0, seccomp=True)
    assert files <= without_files
    assert not calls & without_files


def test_a_detected_sandbox_names_its_layers() -> None:
    """Every layer in the name is described, every other one has its reason."""
    sandbox = detect_sandbox()
    described = " ".join((*sandbox.layers, *sandbox.missing)).lower()
    assert all(name in described for name in ("bubblewrap", "landlock", "seccomp"))
    assert sandbox.confines is (sandbox.name != "none")
    assert detect_sandbox() is sandbox


def test_a_broken_bubblewrap_is_not_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `bwrap` that does not work is passed over, with what it said."""
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'No permissions to create a new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox = detect_sandbox()
    assert sandbox.bubblewrap is None
    assert any("No permissions to create a new namespace" in reason for reason in sandbox.missing)


def test_a_bubblewrap_that_confines_nothing_is_not_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `bwrap` that merely runs the program is seen through where it would have to hold."""
    program = tmp_path / "bwrap"
    program.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox = Sandbox(name="x", layers=(), missing=(), bubblewrap=str(program), seccomp=True)
    readable = readable_paths(None, home=Path.home())
    confinement = Confinement(
        readable=readable, landlock_abi=0, seccomp=True, memory_mib=512, cpu_s=5
    )
    (tmp_path / "secret").write_text("secret")
    done = subprocess.run(
        worker_command(sandbox, ["-c", bootstrap("_probe")], readable),
        input=json.dumps(
            {"secret": str(tmp_path / "secret"), "pid": 1, "confinement": asdict(confinement)}
        ),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "a file outside can be read" in json.loads(done.stdout)


def test_nothing_that_contains_the_home_folder_is_readable(tmp_path: Path) -> None:
    """Folders around the home folder are left out, folders within it are kept."""
    home = tmp_path / "home"
    library = home / "venv" / "lib"
    library.mkdir(parents=True)
    found = readable_paths(
        home / "venv", home=home, import_path=[str(tmp_path), str(home), str(library), "", "/"]
    )
    assert {str(library), str(home / "venv")} <= set(found)
    assert not {str(tmp_path), str(home), "/", ""} & set(found)


@pytest.mark.parametrize("version", range(1, 8))
def test_every_landlock_version_confines(tmp_path: Path, version: int) -> None:
    """Each version of the interface up to the kernel's own forbids what is not allowed."""
    if version > landlock.abi_version():
        pytest.skip(f"this kernel has Landlock version {landlock.abi_version()}")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("inside")
    (tmp_path / "out").write_text("outside")
    program = f"""
import ctypes, os
from lattice_lock.gauntlet import landlock
assert ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) == 0
landlock.restrict_to_reading([{str(tmp_path / "in")!r}, "/nonexistent"], abi={version})
assert open({str(tmp_path / "in" / "file")!r}).read() == "inside"
for path, flags in [({str(tmp_path / "out")!r}, os.O_RDONLY),
                    ({str(tmp_path / "in" / "file")!r}, os.O_WRONLY),
                    ({str(tmp_path / "in" / "new")!r}, os.O_CREAT | os.O_WRONLY)]:
    try:
        os.open(path, flags)
    except PermissionError:
        continue
    raise SystemExit(f"{{path}} was opened")
"""
    # Measuring coverage means writing a file at exit, which the process has just given up.
    environment = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


async def _judge_unsandboxed(source_root: Path, folder: Path, body: str) -> TestVerdict:
    request = request_for(source_root, module_with({"line_total": body}))
    order = _make_order(request, NO_SANDBOX, folder)
    testimony = _Testimony()
    await _hear_judge(json.dumps(order).encode() + b"\n", folder, PATIENT, testimony)
    (verdict,) = testimony.verdicts_for(request)
    return verdict


async def test_without_a_sandbox_the_judge_still_judges(source_root: Path, tmp_path: Path) -> None:
    """Where nothing confines the code, verdicts are the same, and attempts are still noticed."""
    right = await _judge_unsandboxed(source_root, tmp_path / "1", RIGHT)
    assert right.outcome is Outcome.PASSED
    wrong = await _judge_unsandboxed(source_root, tmp_path / "2", "return line.price")
    assert wrong.outcome is Outcome.REFUTED
    nosy = await _judge_unsandboxed(
        source_root, tmp_path / "3", f"try: open('/etc/passwd')\nexcept OSError: pass\n{RIGHT}"
    )
    assert nosy.message.startswith("tried to open `/etc/passwd`")
