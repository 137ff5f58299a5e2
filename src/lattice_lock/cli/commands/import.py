"""Draft a lattice from models, tables, a database, JSON Schema or OpenAPI."""

# ruff: noqa: N999  # a command is called as its file is

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, note
from lattice_lock.exceptions import ProjectError, ProjectWriteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.core.importers.draft import Draft, Finding
    from lattice_lock.core.importers.drafting import DraftedLattice

__all__ = ["command"]

_Function = TypeVar("_Function", bound="Callable[..., object]")


@click.group("import")
def command() -> None:
    """Draft a lattice from what a project already has.

    The draft loads and compiles. What it does not say is listed, with its place and the reason.

    Exits 0 where everything was carried over, perhaps under another name, and 1 where something was
    left behind.
    """


def _target_options(function: _Function) -> _Function:
    """Where the draft goes."""
    function = click.option(
        "--force", is_flag=True, help="Overwrite the file that `--output` names."
    )(function)
    function = click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        help="Write the draft to this file, such as `lattice.yaml`; without it, it is printed.",
    )(function)
    return format_option(function)


def _child_options(function: _Function) -> _Function:
    """How the source is imported."""
    function = click.option(
        "--python",
        help="Interpreter that has what the source needs; by default that of the active environment"
        " or of `.venv`, else the one that runs this.",
    )(function)
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0.1, max=3600),
        default=60.0,
        show_default=True,
        help="Seconds after which reading the source is given up.",
    )(function)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where a draft goes and how it is told."""

    output: Path | None
    force: bool
    output_format: OutputFormat

    def ensure_free(self) -> None:
        """Refuse to overwrite, before anything is read."""
        if self.output is None or self.force:
            return
        if self.output.exists() or self.output.is_symlink():
            raise ProjectError(
                f"`{self.output}` exists already.", hint="Name another file, or add `--force`."
            )


@command.command("pydantic")
@click.argument("source")
@_child_options
@_target_options
def _pydantic(
    source: str,
    output_format: OutputFormat,
    *,
    output: Path | None,
    force: bool,
    python: str | None,
    timeout: float,
) -> ExitCode:
    """Draft entities from the Pydantic models of SOURCE.

    SOURCE is `package.module` or `path.py`, and optionally `:Model`. It is imported, in a process
    of its own.
    """
    from lattice_lock.core.importers.child import project_python  # noqa: PLC0415 -- as in `_draft`
    from lattice_lock.core.importers.pydantic_models import draft_pydantic  # noqa: PLC0415

    def fill(draft: Draft) -> None:
        draft_pydantic(source, draft, python=python or project_python(), timeout_s=timeout)

    return _draft(fill, source, _Target(output=output, force=force, output_format=output_format))


@command.command("sqlalchemy")
@click.argument("source")
@_child_options
@_target_options
def _sqlalchemy(
    source: str,
    output_format: OutputFormat,
    *,
    output: Path | None,
    force: bool,
    python: str | None,
    timeout: float,
) -> ExitCode:
    """Draft entities from the SQLAlchemy or SQLModel tables of SOURCE.

    SOURCE is `package.module` or `path.py`, and optionally `:Class` or `:metadata`. It is imported,
    in a process of its own.
    """
    from lattice_lock.core.importers.child import project_python  # noqa: PLC0415 -- as in `_draft`
    from lattice_lock.core.importers.sqlalchemy_tables import draft_sqlalchemy  # noqa: PLC0415

    def fill(draft: Draft) -> None:
        draft_sqlalchemy(source, draft, python=python or project_python(), timeout_s=timeout)

    return _draft(fill, source, _Target(output=output, force=force, output_format=output_format))


@command.command("database")
@click.argument("url")
@_child_options
@_target_options
def _database(
    url: str,
    output_format: OutputFormat,
    *,
    output: Path | None,
    force: bool,
    python: str | None,
    timeout: float,
) -> ExitCode:
    """Draft entities from the tables of the database at URL.

    URL is such as `sqlite:///app.db` or `postgresql://user@host/name`. The database is only read.
    Its password is never shown; set `PGPASSWORD` to leave it out of the command line, where others
    see it.
    """
    from lattice_lock.core.importers.child import project_python  # noqa: PLC0415 -- as in `_draft`
    from lattice_lock.core.importers.sqlalchemy_tables import (  # noqa: PLC0415
        draft_database,
        shown_url,
    )

    def fill(draft: Draft) -> None:
        draft_database(url, draft, python=python or project_python(), timeout_s=timeout)

    return _draft(
        fill, shown_url(url), _Target(output=output, force=force, output_format=output_format)
    )


@command.command("json-schema")
@click.argument("path", type=click.Path(path_type=Path))
@_target_options
def _json_schema(
    path: Path, output_format: OutputFormat, *, output: Path | None, force: bool
) -> ExitCode:
    """Draft entities from the JSON Schema at PATH, a file or a folder of files.

    Drafts 7, 2019-09 and 2020-12, in JSON or YAML. References to files beside it are followed,
    nothing is fetched.
    """
    from lattice_lock.core.importers.json_schema import draft_json_schema  # noqa: PLC0415 -- as below

    def fill(draft: Draft) -> None:
        draft_json_schema(path, draft)

    return _draft(fill, str(path), _Target(output=output, force=force, output_format=output_format))


@command.command("openapi")
@click.argument("path", type=click.Path(path_type=Path))
@_target_options
def _openapi(
    path: Path, output_format: OutputFormat, *, output: Path | None, force: bool
) -> ExitCode:
    """Draft entities and interfaces from the OpenAPI description at PATH.

    Versions 3.0 and 3.1, in JSON or YAML. Schemas become entities, operations become methods.
    """
    from lattice_lock.core.importers.openapi import draft_openapi  # noqa: PLC0415 -- as below

    def fill(draft: Draft) -> None:
        draft_openapi(path, draft)

    return _draft(fill, str(path), _Target(output=output, force=force, output_format=output_format))


def _draft(fill: Callable[[Draft], None], source: str, target: _Target) -> ExitCode:
    # The compiler, which judges the draft, would slow down `--help`.
    from lattice_lock.core.importers.drafting import draft_lattice  # noqa: PLC0415

    target.ensure_free()
    drafted = draft_lattice(fill, source=f"`{source}`")
    if target.output is not None:
        _write(target.output, drafted.text)
    if target.output_format == "json":
        emit(_document(drafted, target.output), "json", text=str)
    else:
        if target.output is None:
            click.echo(drafted.text, nl=False)
        note(_report(drafted, target.output))
    return ExitCode.FINDINGS if drafted.left_behind else ExitCode.OK


def _write(path: Path, text: str) -> None:
    """Write the whole file, or leave what was there."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ProjectWriteError(
            f"Cannot write `{path}`: {error.strerror or error}; nothing was written.",
            hint="Check that the folder exists and is writable.",
        ) from error


def _document(drafted: DraftedLattice, output: Path | None) -> dict[str, object]:
    return {
        "output": output,
        "text": None if output is not None else drafted.text,
        "entities": list(drafted.lattice.entities),
        "interfaces": list(drafted.lattice.interfaces),
        "left_behind": [_entry(one) for one in drafted.left_behind],
        "renamed": [_entry(one) for one in drafted.renamed],
    }


def _entry(finding: Finding) -> dict[str, str]:
    return {"place": finding.place, "what": finding.what, "why": finding.why}


def _report(drafted: DraftedLattice, output: Path | None) -> str:
    parts = []
    for heading, findings in (
        ("Left behind:", drafted.left_behind),
        ("Renamed:", drafted.renamed),
    ):
        if findings:
            lines = (f"  {one.place}: {one.what}: {one.why}" for one in findings)
            parts.append("\n".join([heading, *lines]))
    entities, interfaces = len(drafted.lattice.entities), len(drafted.lattice.interfaces)
    where = f"{output}: " if output is not None else ""
    counts = f"{len(drafted.left_behind)} left behind, {len(drafted.renamed)} renamed."
    parts.append(
        f"{where}{entities} {'entity' if entities == 1 else 'entities'},"
        f" {interfaces} {'interface' if interfaces == 1 else 'interfaces'}; {counts}"
    )
    return "\n\n".join(parts)
