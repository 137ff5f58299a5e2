"""A project for an agent to work on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.workspace import open_workspace

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one method that keeps its contract, compiled."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "lattice.yaml").write_text(_LATTICE)
    workspace = open_workspace(folder)
    workspace.project.write_files(workspace.plan())
    source = folder / "src" / "twice.py"
    source.write_text(
        re.sub("raise NotImplementedError.*", "return number * 2", source.read_text())
    )
    return folder
