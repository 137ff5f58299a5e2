"""The page on adopting Sheriff says nothing that is not so."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import pytest
import yaml

from lattice_lock.cli.commands.sheriff import command
from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff.audit import expire
from lattice_lock.sheriff.checker import SheriffContext, SheriffReport, examine_source

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def page(root: Path) -> str:
    """The text of the page."""
    return (root / "docs/how-to/adopt-sheriff.md").read_text(encoding="utf-8")


def test_its_python_runs_and_its_comments_count(page: str) -> None:
    """The example runs as it stands, and its comments silence all that Sheriff finds."""
    lattice = "version: v1.0\ngenerated_module: t\nconfig: {forbidden_imports: [sqlite3, float]}\n"
    context = SheriffContext(lattice=parse_lattice(lattice, file="lattice.yaml"))
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "page.py", "exec"), names)  # noqa: S102  # the example is our own
    assert "old_total" in names
    found = examine_source(context.source_file("page.py", block), context)
    report = SheriffReport(
        violations=found.violations, suppressions=found.suppressions, files_checked=1
    )
    assert expire(report, today=datetime.now(UTC).date()).is_clean
    assert len(report.suppressions) == 3


def test_its_commands_can_be_given(page: str) -> None:
    """Every command line of the page parses."""
    lines = re.findall(r"^    lattice-lock sheriff(.*)$", page, re.MULTILINE)
    assert len(lines) == 8
    for line in lines:
        arguments = shlex.split(line.partition(">")[0])
        assert command.make_context("sheriff", arguments).params["path"].name == ""


def test_its_hook_exists(page: str, root: Path) -> None:
    """The configuration for pre-commit names the hook of this repository."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (hook,) = yaml.safe_load((root / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert yaml.safe_load(block)["repos"][0]["hooks"] == [{"id": hook["id"]}]


def test_its_formats_are_those_of_the_command(page: str) -> None:
    """The table of formats lists every format and no other."""
    listed = re.findall(r"^\| `(\w+)` \| (?:people|programs|code|annot|CI)", page, re.MULTILINE)
    (option,) = (one for one in command.params if one.name == "output_format")
    assert isinstance(option.type, click.Choice)
    assert listed == list(option.type.choices)
