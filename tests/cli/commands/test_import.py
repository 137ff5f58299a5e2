"""`lattice-lock import`."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_process import Outcome

SCHEMA = '{"title": "Line", "required": ["n"], "properties": {"n": {"type": "integer"}}}'
LATTICE = """\
# A draft of `lattice-lock import`, from `line.json`.
# Read it, mend it, and delete these two lines. `lattice-lock compile` generates from it.
version: v1.0
generated_module: types_v1
entities:
  Line:
    fields:
      n: int
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one schema, which is where commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.json").write_text(SCHEMA)
    return tmp_path


def test_a_draft_is_printed(lattice_lock: Callable[..., Outcome]) -> None:
    """The draft is all of standard output, the summary goes beside it, and complete means 0."""
    outcome = lattice_lock("import", "json-schema", "line.json")
    assert (outcome.code, outcome.out) == (0, LATTICE)
    assert outcome.err == "1 entity, 0 interfaces; 0 left behind, 0 renamed.\n"


def test_a_draft_is_written_compiled_and_never_overwritten(
    folder: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """`-o` writes what `compile` takes; a file that is there stays without `--force`."""
    assert lattice_lock("import", "json-schema", "line.json", "-o", "lattice.yaml").code == 0
    assert (folder / "lattice.yaml").read_text() == LATTICE
    assert lattice_lock("compile").code == 0
    assert "class Line(BaseModel)" in (folder / "src/shared/types_v1.py").read_text()
    (folder / "lattice.yaml").write_text("mine")
    refused = lattice_lock("import", "json-schema", "line.json", "-o", "lattice.yaml")
    assert refused.code == 2
    assert "`lattice.yaml` exists already" in refused.err
    assert (folder / "lattice.yaml").read_text() == "mine"
    forced = lattice_lock("import", "json-schema", "line.json", "-o", "lattice.yaml", "--force")
    assert forced.code == 0
    assert (folder / "lattice.yaml").read_text() == LATTICE
    lost = lattice_lock("import", "json-schema", "line.json", "-o", "no/lattice.yaml")
    assert (lost.code, "nothing was written" in lost.err) == (2, True)


def test_the_report_is_json(folder: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """`--format json` holds the draft and what was left behind, which exits 1, or renamed."""
    (folder / "odd.yaml").write_text(
        "title: Odd\nproperties:\n  class: {type: string, format: email}\n"
    )
    outcome = lattice_lock("import", "json-schema", "odd.yaml", "--format", "json")
    assert outcome.code == 1
    report = outcome.json
    assert "class_: {type: str | null, default: null}" in report.pop("text")
    assert report == {
        "output": None,
        "entities": ["Odd"],
        "interfaces": [],
        "left_behind": [
            {
                "place": "odd.yaml:3:25",
                "what": "`format: email`",
                "why": "a lattice does not check this format",
            }
        ],
        "renamed": [{"place": "odd.yaml:3:3", "what": "`class`", "why": "called `class_`"}],
    }
    written = lattice_lock(
        "import", "json-schema", "odd.yaml", "--format", "json", "-o", "lattice.yaml"
    )
    assert (written.json["output"], written.json["text"]) == ("lattice.yaml", None)


def test_wrong_sources_are_refused_and_write_nothing(
    folder: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """A file of another kind, a module that is not there and a URL that is none end with 2."""
    (folder / "empty.py").write_text("x = 1\n")
    for arguments, message in (
        (("openapi", "line.json"), "is not an OpenAPI description"),
        (("json-schema", "gone.json"), "`gone.json` cannot be read"),
        (("pydantic", "gone.py"), "there is no file `gone.py`"),
        (("pydantic", "no.such.module"), "No module named 'no'"),
        (("pydantic", "empty.py"), "nothing was found in `empty.py`"),
        (("pydantic", "empty.py:Gone"), "there is no `Gone` in `empty`"),
        (("pydantic", "empty.py:x"), "`x` is not a Pydantic model"),
        (("sqlalchemy", "empty.py"), "nothing was found"),
        (("database", "app.db"), "a database is named by a URL"),
        (("database", "sqlite:///gone.db"), "there is no file `gone.db`"),
        (("database", "sqlite://"), "a SQLite URL names a file"),
        (("database", "nosql://host/name"), "NoSuchModuleError"),
    ):
        outcome = lattice_lock("import", *arguments, "-o", "lattice.yaml")
        assert (outcome.code, outcome.out) == (2, ""), outcome
        assert message in outcome.err
    assert not (folder / "lattice.yaml").exists()
    assert not (folder / "gone.db").exists()


def test_imports_may_print_crash_hang_and_end(
    folder: Path,
    lattice_lock: Callable[..., Outcome],
    lattice_lock_process: Callable[..., Outcome],
) -> None:
    """What a module does when it is imported cannot reach the output, and failures say where."""
    (folder / "noisy.py").write_text(
        "import os, sys\nfrom pydantic import BaseModel\nprint('noise')\n"
        "os.write(1, b'more noise')\n"
        "print('errors', file=sys.stderr)\nclass A(BaseModel):\n    n: int\n"
    )
    outcome = lattice_lock_process("import", "pydantic", "noisy.py")
    assert outcome.code == 0
    assert "noise" not in outcome.out + outcome.err.replace("noisy", "")
    for source, message in (
        ("raise RuntimeError('boom')", "RuntimeError: boom (at broken.py:1)"),
        ("\n\ndef f(:", "SyntaxError: invalid syntax (at broken.py:3)"),
        ("import sys\nsys.exit(0)", "ended the interpreter with exit code 0"),
        ("import os\nos._exit(5)", "ended the interpreter with exit code 5"),
        ("import os\nos.abort()", "with signal 6"),
    ):
        (folder / "broken.py").write_text(source)
        outcome = lattice_lock("import", "pydantic", "broken.py")
        assert (outcome.code, outcome.out) == (2, "")
        assert message in outcome.err
    (folder / "broken.py").write_text("import threading\nthreading.Event().wait()")
    outcome = lattice_lock("import", "pydantic", "broken.py", "--timeout", "1")
    assert outcome.code == 2
    assert "did not come to an end within 1 seconds" in outcome.err


def test_the_interpreter_is_the_projects(
    folder: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """`--python` names the interpreter; one that is not there, or lacks the library, is told."""
    absent = lattice_lock("import", "pydantic", "a.b", "--python", "./no-python")
    assert absent.code == 2
    assert "`./no-python` cannot be run" in absent.err
    bare = folder / "bare-python"
    bare.write_text(
        "#!/bin/sh\necho 'Traceback (most recent call last):' >&2\n"
        "echo \"ModuleNotFoundError: No module named 'sqlalchemy'\" >&2\nexit 1\n"
    )
    bare.chmod(0o755)
    lacking = lattice_lock("import", "sqlalchemy", "a.b", "--python", "./bare-python")
    assert lacking.code == 2
    assert "has no SQLAlchemy" in lacking.err
    assert "lattice-lock[tables]" in lacking.err


@pytest.mark.parametrize("url", [
    "postgresql://ann:s3cr%40t@127.0.0.1:1/db",
    "postgresql+psycopg://ann@127.0.0.1:1/db?password=s3cr%40t",
    "postgresql://ann:s3cr%40t@127.0.0.1:notaport/db",
    "nosql://ann:s3cr%40t@127.0.0.1/db",
])  # fmt: skip
def test_a_password_is_never_shown(url: str, lattice_lock: Callable[..., Outcome]) -> None:
    """Whatever fails about a database, its password stands in no message and no JSON."""
    for extra in ((), ("--format", "json")):
        outcome = lattice_lock("import", "database", url, *extra)
        assert outcome.code == 2
        told = outcome.out + outcome.err
        assert "127.0.0.1" in told
        assert not any(secret in told for secret in ("s3cr@t", "s3cr%40t", "s3cr"))


def test_a_password_is_taken_out_of_what_a_driver_says(
    folder: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """A driver that repeats its password, plain or quoted, is told without it."""
    leaky = folder / "leaky-python"
    leaky.write_text(
        "#!/bin/sh\ncat >/dev/null\necho 'Traceback (most recent call last):' >&2\n"
        "echo 'ValueError: no s3cr@t, s3cr%40t or t0ken' >&2\nexit 1\n"
    )
    leaky.chmod(0o755)
    url = "postgresql://ann:s3cr%40t@127.0.0.1/db?access_token=t0ken"
    outcome = lattice_lock("import", "database", url, "--python", "./leaky-python")
    assert outcome.code == 2
    assert "`postgresql://ann:***@127.0.0.1/db` cannot be read" in outcome.err
    assert "ValueError: no ***, *** or ***" in outcome.err


def test_a_database_is_only_read(folder: Path, lattice_lock: Callable[..., Outcome]) -> None:
    """A SQLite file is the same, byte for byte, after its tables were drafted."""
    connection = sqlite3.connect(folder / "app.db")
    connection.execute(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email VARCHAR(80) NOT NULL UNIQUE,"
        " age INT CHECK (age >= 18), kind TEXT DEFAULT 'new' CHECK (kind IN ('new', 'old')))"
    )
    connection.close()
    before = (folder / "app.db").read_bytes()
    outcome = lattice_lock("import", "database", "sqlite:///app.db")
    assert "      email: {type: str, unique: true, max_length: 80}\n" in outcome.out
    assert "      age: {type: int | null, ge: 18, default: null}\n" in outcome.out
    assert "      kind: {type: enum | null, enum: [new, old], default: new}\n" in outcome.out
    assert (folder / "app.db").read_bytes() == before
    assert [path.name for path in folder.glob("app.db*")] == ["app.db"]


def test_the_page_shows_what_is_printed(
    root: Path, folder: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """The example of the how-to page is what the command prints."""
    page = (root / "docs/how-to/import-an-existing-project.md").read_text()
    (source,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (folder / "order.json").write_text(source)
    (shown,) = re.findall(r"\$ lattice-lock (import .*?)\n(.*?)```", page, re.DOTALL)
    outcome = lattice_lock(*shown[0].split())
    assert (outcome.code, outcome.out + outcome.err) == (1, shown[1])
