"""The reference page of policies is safe to publish, and what it tells to write can be written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.policies import load_policy_file
from lattice_lock.policies.discovery import policy_names

if TYPE_CHECKING:
    from pathlib import Path

_PYTHON = '''
from typing import ClassVar

from lattice_lock.policies.base import Case, Context, Policy, Scan, Window, Finding


class NoAcme(Policy, frozen=True, kw_only=True):
    """Refuses everything but an empty text."""

    name: ClassVar[str] = "no-acme"
    rules: ClassVar[dict[str, str]] = {"acme": "any text"}
    cases: ClassVar[tuple[Case, ...]] = (Case(text=""), Case(text="Acme", rules=("acme",)))

    def scan(self, window: Window, context: Context) -> Scan:
        end = len(window.text)
        found = (Finding(start=0, end=end, rule="acme", message="it is."),) if end else ()
        return Scan(found, end)
'''


@pytest.fixture(scope="module")
def page(root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as the tool writes it now."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(root / "tools", copy / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for arguments, code in ((("--check",), 1), ((), 0), (("--check",), 0)):
        done = subprocess.run(
            [sys.executable, str(copy / "tools/generate_policy_page.py"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
    return (copy / "docs/reference/policies.md").read_text(encoding="utf-8")


def test_every_policy_has_its_section(page: str) -> None:
    """Each policy is listed, and described with its rules and cases."""
    sections = re.findall(r"^### `(.*)`$", page, re.MULTILINE)
    assert tuple(sections) == policy_names()
    assert tuple(re.findall(r"^\| \[`(.*?)`\]\(#\1\) \|", page, re.MULTILINE)) == policy_names()
    assert page.count("| rule | objects to |") == len(sections)
    assert len(re.findall(r"^Passes.*:$", page, re.MULTILINE)) == len(sections)
    assert len(re.findall(r"^Does not pass.*:$", page, re.MULTILINE)) == len(sections)


def test_no_case_breaks_out_of_its_code(page: str) -> None:
    """Fences, line breaks, invisible characters and pipes of cases do not shape the page."""
    assert all(character.isprintable() or character == "\n" for character in page)
    fences = re.findall(r"^```(\w*)$", page, re.MULTILINE)
    assert fences[::2] == ["yaml", "yaml", "yaml", "bash"]
    assert set(fences[1::2]) == {""}
    for line in page.splitlines():
        if line.startswith("- "):
            without_code = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", line)
            assert "`" not in without_code, line


def test_no_case_looks_like_a_secret(page: str, root: Path, tmp_path: Path) -> None:
    """The repository's own scan finds nothing in the page."""
    for arguments in (("init", "-q"), ("add", "-A")):
        (tmp_path / "policies.md").write_text(page, encoding="utf-8")
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, timeout=60)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/secret_scan_allowed.toml").write_text("")
    done = subprocess.run(
        [sys.executable, str(root / "tools/secret_scan.py"), "--tree"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("secret scan: 1 texts read, 0 findings\n", 0)


def test_its_declarations_load(page: str, tmp_path: Path) -> None:
    """Every declaration of the page is one that loads as it stands."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/no_acme.py").write_text(_PYTHON)
    loaded = []
    for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        (tmp_path / "policies.yaml").write_text(block, encoding="utf-8")
        found = load_policy_file(tmp_path / "policies.yaml")
        loaded += [one.policy.name for one in found.enforced]
    assert loaded == ["no-secrets", "max-length", "banned-terms", "schema", "no-print", "no-acme"]
