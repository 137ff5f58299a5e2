"""`lattice-lock init --ci`: workflows, and their commands run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_process import Outcome

_FILES = {
    "github": ".github/workflows/lattice-lock.yml",
    "gitlab": ".gitlab-ci.yml",
    "aws": "buildspec.yml",
    "gcp": "cloudbuild.yaml",
}
_WITH_SARIF = ("github", "gitlab", "aws")
_SCHEMAS = {"github": "github-workflows", "gitlab": "gitlab-ci", "gcp": "cloudbuild"}
_LATTICE = """\
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
# Stands in for `python -m pip install lattice-lock`, as the package is there already.
_PYTHON_STUB = """\
#!/bin/sh
if [ "$*" = "-m pip install lattice-lock" ]; then exit 0; fi
echo "unexpected: python $*" >&2
exit 99
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def project(tmp_path: Path, lattice_lock: Callable[..., Outcome]) -> Path:
    """A compiled project whose only method keeps its contract."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "lattice.yaml").write_text(_LATTICE)
    assert lattice_lock("compile", str(folder)).code == 0
    source = folder / "src" / "twice.py"
    written = re.sub(r"raise NotImplementedError.*", "return number * 2", source.read_text())
    assert "return number * 2" in written
    source.write_text(written)
    return folder


def _commands(host: str, workflow: dict[str, Any]) -> list[str]:
    """Every command of a workflow, in its order; one that fails ends the build."""
    match host:
        case "github":
            steps = workflow["jobs"]["check"]["steps"]
            return [step["run"] for step in steps if "run" in step]
        case "gitlab":
            return list(workflow["lattice-lock"]["script"])
        case "aws":
            phases = workflow["phases"]
            return [*phases["install"]["commands"], *phases["build"]["commands"]]
        case _:
            return [step["script"] for step in workflow["steps"]]


def _run(command: str, project: Path) -> subprocess.CompletedProcess[str]:
    stubs = project.parent / "stubs"
    stubs.mkdir(exist_ok=True)
    (stubs / "python").write_text(_PYTHON_STUB)
    (stubs / "python").chmod(0o755)
    tool = stubs / "lattice-lock"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lattice_lock "$@"\n')
    tool.chmod(0o755)
    return subprocess.run(
        ["sh", "-e", "-c", command],
        cwd=project,
        env=os.environ | {"PATH": f"{stubs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _add(host: str, project: Path, invoke: Callable[..., Outcome]) -> dict[str, Any]:
    os.chdir(project)  # undone by the fixture that made the empty folder the current one
    assert invoke("init", "--ci", host).code == 0
    workflow: dict[str, Any] = yaml.safe_load((project / _FILES[host]).read_text())
    return workflow


@pytest.mark.parametrize("host", _FILES)
def test_every_command_of_a_workflow_passes(
    host: str, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """In a project in which everything holds, each command exists and exits with 0."""
    for command in _commands(host, _add(host, project, lattice_lock)):
        done = _run(command, project)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert (project / "lattice-lock.sarif").exists() == (host in _WITH_SARIF)


@pytest.mark.parametrize("host", ["github", "gcp"])
def test_findings_fail_the_last_command_only(
    host: str, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """With a violation, the findings are written and uploaded before `check` fails the build."""
    (project / "src" / "wire.py").write_text("import requests\n")
    *before, last = _commands(host, _add(host, project, lattice_lock))
    codes = [_run(command, project).returncode for command in before]
    assert codes == [0] * len(before)
    assert _run(last, project).returncode == 1
    if host in _WITH_SARIF:
        assert "LLS001" in (project / "lattice-lock.sarif").read_text()


def test_broken_lattice_fails_before_anything_is_uploaded(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Writing the findings forgives findings, and nothing else."""
    (project / "lattice.yaml").write_text("version: [")
    commands = _commands("github", _add("github", project, lattice_lock))
    assert _run(commands[1], project).returncode == 1
    assert _run("lattice-lock sheriff --format sarif", project).returncode == 2


def test_github_workflow_has_the_least_permissions(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Nothing may write but the upload of findings, and no credentials stay in the checkout."""
    workflow = _add("github", project, lattice_lock)
    job = workflow["jobs"]["check"]
    assert workflow["permissions"] == {}
    assert job["permissions"] == {
        "actions": "read",
        "contents": "read",
        "security-events": "write",
    }
    uses = {step["uses"]: step for step in job["steps"] if "uses" in step}
    assert all(re.fullmatch(r"[\w./-]+@v[0-9]+", name) for name in uses)
    assert uses["actions/checkout@v6"]["with"] == {"persist-credentials": False}
    upload = uses["github/codeql-action/upload-sarif@v4"]
    assert upload["with"]["sarif_file"] == "lattice-lock.sarif"
    assert upload["continue-on-error"] is True
    assert job["timeout-minutes"] == 15


def test_findings_are_kept_where_a_host_keeps_files(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """GitLab and CodeBuild keep the file of findings as an artifact."""
    gitlab = _add("gitlab", project, lattice_lock)["lattice-lock"]["artifacts"]
    assert (gitlab["when"], gitlab["paths"]) == ("always", ["lattice-lock.sarif"])
    assert _add("aws", project, lattice_lock)["artifacts"]["files"] == ["lattice-lock.sarif"]


@pytest.mark.parametrize("host", _SCHEMAS)
def test_workflow_fits_the_schema_of_its_host(
    host: str, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """The published schema accepts the file."""
    if find_spec("check_jsonschema") is None:
        pytest.skip("`check-jsonschema` is not installed")
    _add(host, project, lattice_lock)
    schema = f"vendor.{_SCHEMAS[host]}"
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, _FILES[host]],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_workflow_linter_finds_nothing(project: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """Actionlint has nothing to say about the GitHub workflow."""
    linter = shutil.which("actionlint")
    if linter is None:
        pytest.skip("`actionlint` is not installed")
    _add("github", project, lattice_lock)
    done = subprocess.run(
        [linter, _FILES["github"]], cwd=project, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("host", _FILES)
def test_new_project_comes_with_its_workflow(
    host: str, tmp_path: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """With a name, project and workflow are made together and all files are told."""
    outcome = lattice_lock("init", "shop", "--ci", host, "--format", "json")
    assert outcome.code == 0
    assert f"shop/{_FILES[host]}" in outcome.json["files"]
    assert all((tmp_path / path).is_file() for path in outcome.json["files"])


def test_workflow_that_exists_is_left_alone(
    project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Somebody's own workflow is never overwritten."""
    (project / ".gitlab-ci.yml").write_text("mine: {}\n")
    os.chdir(project)
    outcome = lattice_lock("init", "--ci", "gitlab")
    assert (outcome.code, "[LL-130]" in outcome.err) == (2, True)
    assert (project / ".gitlab-ci.yml").read_text() == "mine: {}\n"


def test_workflow_needs_a_project(tmp_path: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """Without a lattice here, nothing is written."""
    outcome = lattice_lock("init", "--ci", "github")
    assert (outcome.code, "[LL-131]" in outcome.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_neither_name_nor_workflow_is_wrong(lattice_lock: Callable[..., Outcome]) -> None:
    """`init` alone says what it needs."""
    outcome = lattice_lock("init")
    assert (outcome.code, "NAME" in outcome.err) == (2, True)


def test_page_shows_every_workflow(root: Path) -> None:
    """The how-to names each host with the file that is written for it."""
    page = (root / "docs" / "how-to" / "ci.md").read_text(encoding="utf-8")
    for host, path in _FILES.items():
        assert f"| `{host}` |" in page
        assert f"`{path}`" in page
