"""The program that runs a project's code, as the interpreter of that project runs it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

MODELS = """\
from pydantic import BaseModel

class Box(BaseModel):
    size: int = 1

NOTHING = 3
"""
TABLES = """\
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase): ...

class Box(Base):
    __tablename__ = "box"
    box_id: Mapped[int] = mapped_column(primary_key=True)
"""
PROGRAM = "from lattice_lock.core.importers._child_main import main; main()"


def described(folder: Path, **task: Any) -> tuple[subprocess.CompletedProcess[str], Any]:
    """How the program ended, and what it wrote; None where it wrote nothing."""
    target = folder / "found.json"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(task | {"target": str(target)}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, json.loads(target.read_text()) if target.is_file() else None


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with models below `src`, tables in a package, and a database."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "models.py").write_text(MODELS)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "tables.py").write_text(TABLES)
    connection = sqlite3.connect(tmp_path / "own.db")
    connection.execute("CREATE TABLE box (box_id INTEGER PRIMARY KEY)")
    connection.close()
    return tmp_path


@pytest.mark.parametrize(
    "task",
    [
        {"kind": "pydantic", "source": "models"},
        {"kind": "pydantic", "source": "models:Box"},
        {"kind": "pydantic", "source": "src/models.py"},
        {"kind": "sqlalchemy", "source": "shop/tables.py"},
        {"kind": "sqlalchemy", "source": "shop.tables:Base"},
        {"kind": "database", "url": "sqlite:///own.db"},
    ],
    ids=lambda task: task.get("source") or task["kind"],
)
def test_each_source_is_described(project: Path, task: dict[str, str]) -> None:
    """A module, a file or a database is described as JSON, written in one step."""
    done, found = described(project, **task)
    assert done.returncode == 0, done.stderr
    assert "ox" in json.dumps(found)
    assert not (project / "found.json.part").exists()


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"kind": "pydantic", "source": "src/none.py"}, "there is no file `src/none.py`"),
        ({"kind": "pydantic", "source": "models:NOTHING"}, "is not a Pydantic model"),
        ({"kind": "pydantic", "source": "none"}, "No module named 'none'"),
    ],
    ids=["no file", "no model", "no module"],
)
def test_what_goes_wrong_ends_it_with_a_traceback(
    project: Path, task: dict[str, str], words: str
) -> None:
    """Nothing is written, and the last line says what it was."""
    done, found = described(project, **task)
    assert (done.returncode, found) == (1, None)
    assert words in done.stderr.splitlines()[-1]
