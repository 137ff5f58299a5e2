"""Rules are found by being there."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lattice_lock
from lattice_lock.sheriff.registry import load_rules

if TYPE_CHECKING:
    from lattice_lock.sheriff.rule import Rule

_NEW_RULE = '''\
from lattice_lock.sheriff.module import Span
from lattice_lock.sheriff.rule import ModuleRule

class NoText(ModuleRule):
    """Reports every file."""

    id = "{id}"
    name = "{name}"

    def check_module(self, module, context):
        yield self.violation(module, Span(1, 1, 1, 1), "there is a file.")
'''


@pytest.mark.parametrize("rule", load_rules(), ids=lambda rule: rule.name)
def test_a_rule_is_named_for_its_file_and_explains_itself(rule: Rule) -> None:
    """A rule's file bears its name, its identifier is well formed, its docstring is complete."""
    assert type(rule).__module__.rpartition(".")[2] == rule.name.replace("-", "_")
    assert re.fullmatch(r"LLS\d{3}", rule.id)
    documentation = inspect.getdoc(type(rule)) or ""
    assert documentation.startswith("Reports ")
    assert "\n## Why it matters\n" in documentation
    assert "\n## What to do\n" in documentation


def _load_with(tmp_path: Path, file: str, text: str) -> subprocess.CompletedProcess[str]:
    """Load the rules of a copy of the package that has one more rule file."""
    package = Path(lattice_lock.__file__).parent
    shutil.copytree(package, tmp_path / "lattice_lock", ignore=shutil.ignore_patterns("*.pyc"))
    (tmp_path / "lattice_lock/sheriff/rules" / file).write_text(text, encoding="utf-8")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from lattice_lock.sheriff.registry import load_rules;"
        "print(*(f'{rule.id} {rule.name}' for rule in load_rules()), sep='\\n')"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_adding_a_file_adds_a_rule(tmp_path: Path) -> None:
    """A new file in the package of rules is found without being named anywhere."""
    done = _load_with(tmp_path, "no_text.py", _NEW_RULE.format(id="LLS999", name="no-text"))
    assert done.stdout.splitlines()[-1] == "LLS999 no-text"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(_NEW_RULE.format(id="LLS001", name="no-text"), id="same identifier"),
        pytest.param(_NEW_RULE.format(id="LLS999", name="forbidden-import"), id="same name"),
        pytest.param("", id="no rule"),
    ],
)
def test_a_defective_rule_file_is_refused(tmp_path: Path, text: str) -> None:
    """A second owner of a name or identifier, or a file without a rule, is a defect."""
    done = _load_with(tmp_path, "no_text.py", text)
    assert "InternalError" in done.stderr
