"""Make a new project with a small lattice, or a workflow that checks one in CI."""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option
from lattice_lock.core.project import find_project
from lattice_lock.exceptions import ProjectError, ProjectWriteError, UsageError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["command"]

_WORKFLOWS = {
    "github": ".github/workflows/lattice-lock.yml",
    "gitlab": ".gitlab-ci.yml",
    "aws": "buildspec.yml",
    "gcp": "cloudbuild.yaml",
}
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


@click.command("init")
@click.argument("name", required=False)
@click.option(
    "--template",
    type=click.Choice(["service", "library"]),
    default="service",
    show_default=True,
    help="What the lattice shows: a service with state and errors, or pure functions.",
)
@click.option(
    "--ci",
    "ci_host",
    type=click.Choice(list(_WORKFLOWS)),
    help="Also write a workflow that checks the project there; without NAME, only that.",
)
@format_option
def command(
    name: str | None, template: str, ci_host: str | None, output_format: OutputFormat
) -> ExitCode:
    """Make a new project with a small lattice, or add a CI workflow to the project here.

    NAME becomes a folder here and the name of the distribution. The folder appears complete or not
    at all; one that holds anything is left alone, and so is a workflow that exists.
    """
    workflow = {} if ci_host is None else {_WORKFLOWS[ci_host]: _workflow_text(ci_host)}
    if name is None:
        return _add_workflow(workflow, output_format)
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"`{name}` cannot name a project.",
            hint="Use letters, digits, `-`, `_` and `.`; start with a letter, end with either.",
        )
    target = Path(name)
    contents = _contents(name, template) | workflow
    _create(target, contents)
    paths = sorted((target / path).as_posix() for path in contents)
    emit(
        {"project": name, "template": template, "files": paths},
        output_format,
        text=lambda: "\n".join([*paths, "", f"Next: lattice-lock compile {name}"]),
    )
    return ExitCode.OK


def _add_workflow(workflow: dict[str, str], output_format: OutputFormat) -> ExitCode:
    if not workflow:
        raise UsageError(
            "`init` needs the NAME of a new project, or `--ci` in the folder of one.",
            hint="See `lattice-lock init --help`.",
        )
    project = find_project(Path())
    with project.exclusive():
        for path in workflow:
            if (project.root / path).exists() or (project.root / path).is_symlink():
                raise ProjectError(
                    f"`{path}` exists already.", hint="Move it aside, then merge both by hand."
                )
        project.write_files(workflow)
    paths = list(workflow)
    emit({"files": paths}, output_format, text=lambda: "\n".join(paths))
    return ExitCode.OK


def _workflow_text(ci_host: str) -> str:
    source = files("lattice_lock.cli") / "templates" / "ci" / f"{ci_host}.yml"
    return source.read_text(encoding="utf-8")


def _contents(name: str, template: str) -> dict[str, str]:
    templates = files("lattice_lock.cli") / "templates"
    sources: list[Traversable] = [
        *(templates / "common").iterdir(),
        *(templates / template).iterdir(),
    ]
    return {
        ".gitignore" if source.name == "gitignore" else source.name: Template(
            source.read_text(encoding="utf-8")
        ).substitute(name=name)
        for source in sources
    }


def _create(target: Path, contents: dict[str, str]) -> None:
    if target.is_symlink() or (target.exists() and not _is_empty_folder(target)):
        raise ProjectError(
            f"`{target}` exists already.", hint="Choose another name, or empty that folder first."
        )
    staging = None
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        for path, text in contents.items():
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).write_text(text, encoding="utf-8")
        staging.chmod(0o755)
        staging.rename(target)
    except OSError as error:
        raise ProjectWriteError(
            f"Cannot make `{target}`: {error.strerror or error}; nothing was made.",
            hint="Check that this folder is writable and has space left.",
        ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
