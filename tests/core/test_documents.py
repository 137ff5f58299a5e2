"""Documents of a lattice: their paths and their golden files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lattice_lock.core.documents import DOCUMENT_PATHS, Document, emit_documents
from lattice_lock.core.loader import load_lattice

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "compiler-outputs.md"
GOLDEN = Path(__file__).parent / "emitters" / "golden"


@pytest.mark.parametrize("document", Document)
def test_every_document_equals_its_golden_form(document: Document) -> None:
    """A change of what is emitted shows in review; run `emitters/golden/update.py`."""
    [(path, text)] = emit_documents(load_lattice(GOLDEN / "lattice.yaml"), [document]).items()
    assert path == DOCUMENT_PATHS[document]
    assert text == (GOLDEN / Path(path).name).read_text(encoding="utf-8")


def test_only_what_is_wanted_is_emitted() -> None:
    """Nobody who wants no JSON Schema is held to what it can express."""
    assert emit_documents(load_lattice(GOLDEN / "lattice.yaml"), ()) == {}


def test_the_hash_seed_does_not_matter() -> None:
    """Two interpreters with different hash seeds write the same bytes."""
    program = (
        "import sys; from pathlib import Path\n"
        "from lattice_lock.core.documents import Document, emit_documents\n"
        "from lattice_lock.core.loader import load_lattice\n"
        "print(emit_documents(load_lattice(Path(sys.argv[1])), Document))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, str(GOLDEN / "lattice.yaml")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_the_examples_of_the_page_run() -> None:
    """Every Python block of the reference page does what it says."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), {"__name__": "example"})  # noqa: S102


def test_the_page_names_every_document() -> None:
    """The page says where each document is written and how to ask for it."""
    text = PAGE.read_text()
    for document, path in DOCUMENT_PATHS.items():
        assert f"| `{path}` | `documents: [{document}]` |" in text
