"""What a verdict depends on: whatever is changed in the project is noticed, or does not matter."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from lattice_lock.gauntlet.dependencies import is_current, trace
from lattice_lock.gauntlet.runner import GauntletRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILES = {
    "services/shop.py": "from services.helpers import tax\nfrom shared.types_v1 import Order\n",
    "services/helpers/__init__.py": "from .rates import rate as tax\n",
    "services/helpers/rates.py": "import decimal\nimport common\n\ndef rate() -> int: return 1\n",
    "common.py": "if True:\n    def later():\n        import lazily\n",
    "lazily.py": "",
    "unrelated.py": "import random\n",
    "tools/unrelated.py": "",
    "data/rates.json": "{}",
}
TAG = sys.implementation.cache_tag
TYPES = "from pydantic import BaseModel\n\nclass Order(BaseModel):\n    number: int\n"


def make_request(root: Path, **texts: str) -> GauntletRequest:
    """The request to judge `services.shop`, with generated types that are not on disk."""
    modules = {"shared.types_v1": TYPES, **texts}
    return GauntletRequest(
        source_root=root,
        modules=modules,
        trusted_modules=frozenset({"shared.types_v1"}),
        implementation_modules=("services.shop",),
        contract_file="test_shop.py",
        contract_text="",
        expected_tests=(("test_total", "total"),),
        seed=0,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A source root with an implementation and what it imports."""
    write(tmp_path / "src", FILES)
    return tmp_path / "src"


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files by their path."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def remove(path: str) -> Callable[[Path], None]:
    """A change that deletes a file."""
    return lambda root: (root / path).unlink()


def put(path: str, text: str = "") -> Callable[[Path], None]:
    """A change that writes a file, whether it is there or not."""
    return lambda root: write(root, {path: text})


@pytest.mark.parametrize(
    "change",
    [
        put("services/shop.py", "from services.helpers import tax\n"),
        put("services/helpers/__init__.py", "from .rates import rate as tax  #\n"),
        put("services/helpers/rates.py"),
        put("lazily.py", "1"),
        remove("services/shop.py"),
        remove("services/helpers/rates.py"),
        remove("services/helpers/__init__.py"),
        remove("lazily.py"),
        put("services/__init__.py"),
        put("services/helpers.py"),
        put("services/helpers/rates/__init__.py"),
        put("shared/__init__.py", "import os"),
        put("decimal.py"),
        put("decimal/context.py"),
        put("pydantic.py"),
        put("numbers.py"),  # which `decimal` imports
        put(f"services/__pycache__/shop.{TAG}.pyc", "compiled"),
        put(f"services/helpers/__pycache__/__init__.{TAG}.pyc", "compiled"),
        put(f"__pycache__/lazily.{TAG}.pyc", "compiled"),
        lambda root: shutil.move(root / "common.py", root / "common.pyc"),
        shutil.rmtree,
    ],
)
def test_a_change_of_what_is_imported_counts(change: Callable[[Path], None], root: Path) -> None:
    """Edited, deleted, added and hidden modules make a verdict worth nothing."""
    traced = trace(make_request(root))
    assert traced is not None
    assert is_current(traced.dependencies, root)
    change(root)
    assert not is_current(traced.dependencies, root)


@pytest.mark.parametrize(
    "change",
    [
        put("unrelated.py", "import os\n"),
        remove("tools/unrelated.py"),
        put("services/other.py"),
        put("data/rates.json", "[]"),
        put("notes.md"),
        put(f"services/__pycache__/other.{TAG}.pyc"),
        put("services/shop.py", FILES["services/shop.py"]),
        lambda root: os.utime(root / "services/shop.py", ns=(1, 1)),
    ],
)
def test_other_changes_do_not_count(change: Callable[[Path], None], root: Path) -> None:
    """What cannot be imported from the implementation does not cost a verdict."""
    traced = trace(make_request(root))
    assert traced is not None
    change(root)
    assert is_current(traced.dependencies, root)


@pytest.mark.parametrize(
    "text",
    [
        "rates = open('data/rates.json')",
        "from pathlib import Path",
        "from importlib import import_module",
        "import importlib.resources",
        "lazy = __import__('common')",
        "exec('import common')",
        "place = __file__",
        "import sqlmodel",
        "class A:\n    x = __builtins__",
        "import services.native",
    ],
)
@pytest.mark.parametrize("file", ["services/shop.py", "lazily.py"])
def test_code_that_reaches_further_depends_on_every_file(text: str, file: str, root: Path) -> None:
    """Where imports do not tell it all, any edited, added or deleted file counts."""
    write(root, {file: FILES[file] + text, "services/native.so": "machine code"})
    traced = trace(make_request(root))
    assert traced is not None
    for change, undo in (
        (put("data/rates.json", "[]"), put("data/rates.json", "{}")),
        (put("data/more.json"), remove("data/more.json")),
        (remove("unrelated.py"), put("unrelated.py", FILES["unrelated.py"])),
    ):
        change(root)
        assert not is_current(traced.dependencies, root)
        undo(root)
        assert is_current(traced.dependencies, root)


@pytest.mark.parametrize(
    "text",
    [
        "import random",
        "from time import monotonic",
        "from datetime import date\nday = date.today()",
        "from datetime import datetime\nnow = datetime.now",
        "from uuid import uuid4",
        "import no_such_library",
        "def broken(:",
        "x = '\0'",
    ],
)
def test_of_code_that_may_answer_differently_nothing_is_known(text: str, root: Path) -> None:
    """Time, chance, libraries from nobody knows where, and code that does not parse."""
    write(root, {"lazily.py": text})
    assert trace(make_request(root)) is None


def test_a_linked_folder_makes_it_unknowable(root: Path) -> None:
    """Where everything counts, what lies behind a link to a folder would as well."""
    (root / "linked").symlink_to(root.parent)
    write(root, {"lazily.py": "from pathlib import Path"})
    assert trace(make_request(root)) is None


def test_a_linked_module_counts_with_its_content(root: Path) -> None:
    """A module that is a link is followed, and its target's edit is noticed."""
    target = root.parent / "target.py"
    shutil.move(root / "lazily.py", target)
    (root / "lazily.py").symlink_to(target)
    traced = trace(make_request(root))
    assert traced is not None
    target.write_text("1")
    assert not is_current(traced.dependencies, root)


def test_a_missing_source_root_is_unknowable(tmp_path: Path) -> None:
    """No folder, no dependencies."""
    assert trace(make_request(tmp_path / "none")) is None


def test_given_text_is_read_in_place_of_the_file(root: Path) -> None:
    """What the request brings along is followed, and the file of that name does not count."""
    traced = trace(make_request(root, **{"services.shop": "import unrelated_b"}))
    assert traced is None
    traced = trace(make_request(root, **{"services.shop": "import lazily"}))
    assert traced is not None
    write(root, {"services/shop.py": ""})
    assert is_current(traced.dependencies, root)
    write(root, {"lazily.py": "1"})
    assert not is_current(traced.dependencies, root)


@pytest.mark.parametrize("more", ["", "place = __file__"])
def test_an_edit_that_was_taken_back_is_seen_by_its_stamps(more: str, root: Path) -> None:
    """The verdict counts again, but what was judged in between is known to be in doubt."""
    write(root, {"lazily.py": more})
    before = trace(make_request(root))
    file = root / "lazily.py"
    file.write_text("wrong")
    file.unlink()
    write(root, {"lazily.py": more})
    after = trace(make_request(root))
    assert before is not None
    assert after is not None
    assert before.dependencies == after.dependencies
    assert before != after
    assert is_current(before.dependencies, root)


def test_only_a_file_is_read(root: Path) -> None:
    """A pipe in place of a module ends nothing; it makes the verdict unknowable."""
    (root / "lazily.py").unlink()
    traced = trace(make_request(root))
    assert traced is None
    os.mkfifo(root / "lazily.py")
    assert trace(make_request(root)) is None
