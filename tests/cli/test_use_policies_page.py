"""The page on using policies says nothing that is not so."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from typing import TYPE_CHECKING

import pytest

from command_process import isolated
from lattice_lock.sheriff.registry import load_rules
from wire_server import delta, events, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_process import Outcome


def blocks(page: str, language: str) -> list[str]:
    """The blocks of one language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.fixture
def page(root: Path) -> str:
    """The text of the page."""
    return (root / "docs/how-to/use-policies.md").read_text(encoding="utf-8")


@pytest.fixture
def project(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project that the page describes, which is where commands run."""
    lattice, new = blocks(page, "yaml")
    program, policy = blocks(page, "python")
    (recorded,) = (one for one in blocks(page, "text") if one.startswith("{"))
    files = {
        "lattice.yaml": lattice,
        "new.yaml": new,
        "program.py": program,
        "policies/no_acme.py": policy,
        "src/report.py": "import sqlite3\n",
        "prompt.txt": "Tell Ann about Nightingale.\n",
        "calls.jsonl": recorded,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("project")
def test_its_commands_print_what_it_shows(page: str, lattice_lock: Callable[..., Outcome]) -> None:
    """Each command that is shown with its output has it, and exits as the page says."""
    shown = [one for one in blocks(page, "text") if one.startswith("$ ")]
    assert len(shown) == 3
    for one in shown:
        command, _, printed = one.partition("\n")
        outcome = lattice_lock(*command.split()[2:])
        assert (outcome.out, outcome.code) == (printed, 1)


@pytest.mark.usefixtures("project")
def test_its_policies_hold_on_their_cases(lattice_lock: Callable[..., Outcome]) -> None:
    """The expression and the Python file load and are tested among the built-in policies."""
    tested = lattice_lock("policies", "test", "--format", "json").json["policies"]
    assert [one["policy"] for one in tested[-2:]] == ["no-acme", "no-todo"]
    assert not any(one["failed"] for one in tested[-2:])


@pytest.mark.usefixtures("project")
def test_sheriff_reports_the_rule_that_it_names(
    page: str, lattice_lock: Callable[..., Outcome]
) -> None:
    """`policy-violation` is a rule, and what the page says of `src/report.py` is its finding."""
    (rule,) = (one for one in load_rules() if one.name == "policy-violation")
    assert f"../reference/rules/{rule.name}.md" in page
    outcome = lattice_lock("sheriff")
    assert outcome.code == 1
    assert "src/report.py:1:1 policy-violation `no-direct-db-access`" in outcome.out


async def test_its_program_prints_what_it_shows(page: str, project: Path) -> None:
    """The model never hears the code name, the caller does, and the refusal ends the stream."""
    (shown,) = (one for one in blocks(page, "text") if one.startswith("Nobody"))
    (said,) = re.findall(r"^When the model answers `(.*)`, this prints:$", page, re.MULTILINE)
    deltas = [delta(said[at : at + 5]) for at in range(0, len(said), 5)]
    steps = (*deltas, delta(finish="stop"), "data: [DONE]\n\n")
    async with serving(events(*steps)) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "program.py"),
            cwd=project,
            env=os.environ | isolated(project) | {"LATTICE_LOCK_LOCAL_URL": server.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        (sent,) = server.requests
    assert (out.decode(), process.returncode) == (shown, 0), err.decode()
    assert sent.json["messages"][0]["content"] == "Who sells anvils to [TERM_1]?"
