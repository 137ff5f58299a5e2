"""Sheriff and ruff report the same, or for a reason that is known."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_FILES = {
    "shop/wire.py": "import requests\ndef f(a) -> None: ...\n",
    "shop/desk.py": "from shop.wire import requests\n__import__('requests')\n",
    "shop/wire.pyi": "import requests\n",
    "shop/tests/test_wire.py": "def test_wire(): ...\n",
}
_REASONS = {
    "shop/desk.py:1": "Sheriff alone: another module",
    "shop/desk.py:2": "Sheriff alone: a call",
    "shop/wire.pyi:1": "ruff alone: a type stub",
    "shop/tests/test_wire.py:1": "ruff alone: a test",
}


def _compare(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "tools/sheriff_differential.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_difference_has_a_reason(root: Path, tmp_path: Path) -> None:
    """Each kind of difference is told apart, and what both find is counted."""
    for path, text in _FILES.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    done = _compare(root, "--root", str(tmp_path), "--list", "shop")
    assert done.returncode == 0, done.stderr
    assert "| `forbidden-import` | 1 | both |" in done.stdout
    assert "| `missing-annotation` | 1 | both |" in done.stdout
    listed = re.findall(r"^(shop\S+): [a-z-]+: (.*)$", done.stdout, re.MULTILINE)
    assert {place for place, _ in listed} == _REASONS.keys()
    for place, reason in listed:
        assert reason.startswith(_REASONS[place])


def test_real_packages_give_no_unexplained_difference(root: Path) -> None:
    """On packages that are installed for the tests anyway, every difference has its reason."""
    done = _compare(root, "click", "attr", "rich")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| both |" in done.stdout


@pytest.mark.parametrize("reason", sorted(_REASONS.values()))
def test_the_page_names_every_reason(root: Path, reason: str) -> None:
    """The reference page shows the table that the tool prints."""
    page = (root / "docs/reference/sheriff-differential.md").read_text(encoding="utf-8")
    assert re.search(rf"\| [\d,]+ \| {re.escape(reason)}", page)
