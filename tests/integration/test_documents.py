"""Documents that a lattice asks for, from its file to the drift that names an edited one."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.documents import DOCUMENT_PATHS, Document
from lattice_lock.core.loader import parse_lattice
from lattice_lock.exceptions import LatticeError, UnsupportedByTargetError

if TYPE_CHECKING:
    from pathlib import Path

LATTICE = """\
version: v1.0
generated_module: types_v1
config: {documents: [json_schema, typescript, markdown]}
entities:
  Line:
    fields:
      price: {type: decimal, ge: 0, scale: 2}
      count: {type: int, ge: 1}
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """One command line of `lattice-lock`, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lattice_lock", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_documents_are_written_watched_and_removed(tmp_path: Path) -> None:
    """What is asked for is written, an edit of it is drift, and dropping it deletes the file."""
    (tmp_path / "lattice.yaml").write_text(LATTICE)
    assert run("compile", tmp_path).returncode == 0
    files = [tmp_path / path for path in DOCUMENT_PATHS.values()]
    assert all(file.is_file() for file in files)
    assert run("verify", tmp_path).returncode == 0
    for file in files:
        text = file.read_text()
        file.write_text(f"{text} ")
        done = run("verify", tmp_path)
        assert done.returncode == 1
        assert f"`docs/{file.name}` was edited" in done.stdout
        assert run("check", tmp_path).returncode == 1
        file.write_text(text)
    (tmp_path / "lattice.yaml").write_text(LATTICE.replace("[json_schema, typescript, ", "["))
    assert run("compile", tmp_path).returncode == 0
    assert [file.name for file in files if file.is_file()] == ["lattice.md"]
    assert run("verify", tmp_path).returncode == 0


def test_no_document_is_written_unasked() -> None:
    """A lattice that asks for none has none, and is not held to what one can express."""
    text = LATTICE.replace("config: {documents: [json_schema, typescript, markdown]}\n", "")
    text = text.replace("ge: 0, scale: 2", "multiple_of: 3")
    generated = compile_lattice(parse_lattice(text, file="lattice.yaml")).generated
    assert not set(generated) & set(DOCUMENT_PATHS.values())


def test_what_a_wanted_document_cannot_express_is_an_error() -> None:
    """Compiling fails at the place of the constraint."""
    text = LATTICE.replace("ge: 0, scale: 2", "multiple_of: 3")
    with pytest.raises(UnsupportedByTargetError, match=r"lattice\.yaml:7:7: .*multiple_of"):
        compile_lattice(parse_lattice(text, file="lattice.yaml"))


def test_an_unknown_document_is_refused() -> None:
    """A misspelt name is told with its place and the name that was meant."""
    with pytest.raises(LatticeError, match=r"lattice\.yaml:3:22: .*`json_shema`.*`json_schema`"):
        parse_lattice(LATTICE.replace("json_schema", "json_shema"), file="lattice.yaml")


@pytest.mark.parametrize("document", Document)
def test_the_lattice_knows_every_document(document: Document) -> None:
    """Each document can be asked for by its name."""
    text = LATTICE.replace("json_schema, typescript, markdown", document.value)
    assert parse_lattice(text, file="lattice.yaml").config.documents == (document.value,)


def test_compile_warns_of_too_small_a_version(tmp_path: Path) -> None:
    """A breaking change under the old version compiles with a warning, said once."""
    (tmp_path / "lattice.yaml").write_text(LATTICE)
    assert run("compile", tmp_path).returncode == 0
    (tmp_path / "lattice.yaml").write_text(LATTICE.replace("ge: 1", "ge: 2"))
    done = run("compile", tmp_path)
    assert (done.returncode, "needs a new major version, this is v1.0" in done.stderr) == (0, True)
    assert "needs a new" not in run("compile", tmp_path).stderr


def test_the_example_of_the_page_compiles(root: Path) -> None:
    """The lattice of the reference page asks for every document and gets it."""
    page = (root / "docs" / "reference" / "compiler-outputs.md").read_text()
    [example] = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    generated = compile_lattice(parse_lattice(example, file="lattice.yaml")).generated
    assert set(DOCUMENT_PATHS.values()) <= set(generated)
