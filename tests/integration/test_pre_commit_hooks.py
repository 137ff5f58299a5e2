"""The hooks that other projects take from this repository."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

_LATTICE = """\
version: v1.0
generated_module: types_v1
config: {forbidden_imports: [requests]}
"""


@pytest.fixture
def hook(root: Path) -> dict[str, Any]:
    """The one hook."""
    (hook,) = yaml.safe_load((root / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert isinstance(hook, dict)
    return hook


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with a committed fault and a staged one."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "lattice.yaml").write_text(_LATTICE)
    assert _run(project, [sys.executable, "-m", "lattice_lock", "compile"]).returncode == 0
    (project / "src/old.py").write_text("import requests\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        assert _run(project, ["git", *_IDENTITY, *arguments]).returncode == 0
    (project / "src/new.py").write_text("import requests\n")
    assert _run(project, ["git", "add", "."]).returncode == 0
    return project


_IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.com")


def _run(
    folder: Path, arguments: list[str], **environment: str
) -> subprocess.CompletedProcess[str]:
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ["PATH"]])
    return subprocess.run(
        arguments,
        cwd=folder,
        env=os.environ | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_hook_checks_the_files_that_it_is_given(hook: dict[str, Any], project: Path) -> None:
    """Entry and arguments, followed by file names, find the faults in these files alone."""
    command = [*shlex.split(hook["entry"]), *hook["args"]]
    found = _run(project, [*command, "src/new.py"])
    assert found.returncode == 1, found.stderr
    assert "src/new.py:1:8 forbidden-import" in found.stdout
    assert "src/old.py" not in found.stdout
    (project / "src/new.py").write_text("import json\n")
    assert _run(project, [*command, "src/new.py"]).returncode == 0


def test_pre_commit_runs_the_hook(hook: dict[str, Any], root: Path, project: Path) -> None:
    """pre-commit accepts the definition and blocks what is staged, not what was there before."""
    pre_commit = [sys.executable, "-m", "pre_commit"]
    home = {"PRE_COMMIT_HOME": str(project.parent / "home")}
    definition = str(root / ".pre-commit-hooks.yaml")
    assert _run(root, [*pre_commit, "validate-manifest", definition], **home).returncode == 0
    # The environment is this one instead of one that pre-commit would install.
    configuration = {"repos": [{"repo": "local", "hooks": [{**hook, "language": "system"}]}]}
    file = project.parent / "configuration.yaml"
    file.write_text(json.dumps(configuration))
    command = [*pre_commit, "run", "--config", str(file)]
    blocked = _run(project, command, **home)
    assert blocked.returncode == 1, blocked.stderr
    assert "src/new.py:1:8 forbidden-import" in blocked.stdout
    assert "src/old.py" not in blocked.stdout
    (project / "src/new.py").write_text("import json\n")
    assert _run(project, ["git", "add", "."]).returncode == 0
    assert _run(project, command, **home).returncode == 0
