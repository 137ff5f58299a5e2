"""What is spared for speed changes no finding."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff import examination, imports
from lattice_lock.sheriff.checker import SheriffContext, check_project
from lattice_lock.sheriff.context import SourceFile
from lattice_lock.sheriff.imports import may_import, may_import_dynamically, may_reach, may_read
from lattice_lock.sheriff.rules import blocking_call, forbidden_import, import_beyond_package
from lattice_lock.sheriff.rules.import_beyond_package import ImportBeyondPackage

if TYPE_CHECKING:
    from tests.sheriff.conftest import Check

    from lattice_lock.sheriff.checker import SheriffReport

_LATTICE = """\
version: v1.0
generated_module: types_v1
config: {{source_root: ., forbidden_imports: [{}]}}
"""


def _wide(letter: str) -> str:
    """A look-alike that Python takes for the letter in identifiers."""
    return chr(ord(letter) + 0xFEE0)


_PACKAGES = ("click", "towncrier", "_pytest/_py")


def _check(root: Path, forbidden: str, packages: tuple[str, ...] | None = None) -> SheriffReport:
    lattice = parse_lattice(_LATTICE.format(forbidden), file="lattice.yaml")
    return check_project(root, SheriffContext(lattice=lattice), paths=packages)


def _take_no_shortcut(patch: pytest.MonkeyPatch) -> None:
    def always(*_: object) -> bool:
        return True

    patch.setattr(examination, "_is_clean", lambda *_: False)
    for module in (examination, forbidden_import):
        patch.setattr(module, "may_reach", always)
    patch.setattr(imports, "may_import_dynamically", always)
    patch.setattr(forbidden_import, "may_import_dynamically", always)
    patch.setattr(blocking_call, "_may_block", always)
    node_types = import_beyond_package.ImportBeyondPackage.node_types
    patch.setattr(ImportBeyondPackage, "wanted", lambda *_: node_types)


@pytest.mark.parametrize("forbidden", ["socket, typing", "float, os.path, click._compat"])
def test_installed_packages_are_found_the_same(
    monkeypatch: pytest.MonkeyPatch, forbidden: str
) -> None:
    """With every file read to the last expression, the report on real code is the same."""
    root = Path(sysconfig.get_path("purelib"))
    quick = _check(root, forbidden, _PACKAGES)
    with monkeypatch.context() as patch:
        _take_no_shortcut(patch)
        slow = _check(root, forbidden, _PACKAGES)
    assert quick == slow
    assert {each.rule for each in slow.violations} >= {"forbidden-import", "missing-annotation"}


def test_a_chain_of_modules_is_found_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that name nothing forbidden hand it on under other names and by stars."""
    files = {
        "a/__init__.py": "from .wire import http as link\n",
        "a/wire.py": "import requests as http\n",
        "a/inner.py": "from . import *\n",
        "a/deep.py": "from a import (\n    wire,\n    other,\n)\nwire.http\n",
        "b.py": "from a.inner import link as door\n",
        "c.py": "import b\ngetattr(b, 'do' 'or')\n",
        "d.py": "import a.wire\nvars(a.wire)['http']\n",
        "e.py": "x = 1\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    quick = _check(tmp_path, "requests")
    assert [each.file for each in quick.violations] == [
        *("a/__init__.py", "a/deep.py", "a/inner.py", "a/wire.py"),
        *("b.py", "c.py", "d.py"),
    ]
    _take_no_shortcut(monkeypatch)
    assert quick == _check(tmp_path, "requests")


@pytest.mark.parametrize(
    "text",
    [
        "import sys\n",
        "import os, sys as s\n",
        "if x: from sys import path\n",
        "import os, \\\n  sys\n",
        "from \\\r\n  sys import path\n",
        "from a import (\n    b,\n    sys, c\n)\n",
        "from a import (\n    sys as s,  # why\n)\n",
        "from a import (b,\n    sys\n)\n",
        "from . \\\n  sys import x\n",
    ],
)
def test_a_statement_that_names_a_module_is_noticed(text: str) -> None:
    """However an import is laid out, the file may import what it names."""
    assert may_import(text, "sys")


@pytest.mark.parametrize(
    "text",
    ["sys.exit(1)\n", "x = sys\n", "import system\n", "import my_sys\n", "", "    a.sys()\n"],
)
def test_a_mention_elsewhere_is_no_import(text: str) -> None:
    """Most files that hold a word do not import it, and are spared."""
    assert not may_import(text, "sys")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')\n",
        "import importlib as i\ni.import_module('os')\n",
        "from sys import modules as m\n",
        "import sys\nsys . modules['os']\n",
        "import sys\nvars(sys)['mod' 'ules']\n",
        "import sys\nsys.__dict__['mod' 'ules']\n",
        "e = exec\ne('import os')\n",
        "compile('import os', '', 'exec')\n",
        f"import {_wide('s')}ys\nsys.{_wide('m')}odules['os']\n",
    ],
)
def test_an_import_by_name_is_noticed(text: str) -> None:
    """Each way to import without a statement leaves a trace in the text."""
    assert may_import_dynamically(text)


@pytest.mark.parametrize(
    "text",
    ["self.exec()\n", "execute(1)\n", "import sys\nsys.exit()\n", "import importlib.metadata\n"],
)
def test_most_files_import_by_statements_only(text: str) -> None:
    """Methods, parts of words, and other members of the same modules are no such trace."""
    assert not may_import_dynamically(text)


@pytest.mark.parametrize(
    ("module", "text", "forbidden"),
    [
        ("a", f"import {_wide('r')}equests\n", "requests"),
        ("shop.db.a", "from . import b\n", "shop.db"),
        ("a", "import os\ngetattr(os, 'pa' + 'th')\n", "os.path"),
        ("a", "x: float\n", "builtins.float"),
    ],
)
def test_what_is_forbidden_is_reached_without_its_name(
    module: str, text: str, forbidden: str
) -> None:
    """Look-alikes, relative imports and names put together count as naming it."""
    source = SourceFile(path="a.py", module=module, text=text)
    assert may_reach(source, frozenset((forbidden,)))


def test_a_word_in_a_text_reaches_nothing() -> None:
    """A forbidden module is reached by a statement, and not by speaking of it."""
    source = SourceFile(path="a.py", module="a", text="'''requests'''\nrequests = 1\n")
    assert not may_reach(source, frozenset(("requests",)))


def test_a_name_that_is_handed_on_is_read_from_its_module() -> None:
    """A file that names the module and the name may read it; one of the two is not enough."""
    handed_on = {"shop.wire": {"http": ("requests",), "*": ("requests",)}}

    def reads(text: str, module: str = "a") -> bool:
        return may_read(SourceFile(path="a.py", module=module, text=text), handed_on)

    assert reads("from shop import wire\nwire.http\n")
    assert reads("from shop.wire import *\n")
    assert reads("from . import http\n", module="shop.wire.inner")
    assert reads("from shop import wire\ngetattr(wire, name)\n")
    assert not reads("from shop import wire\nwire.fetch()\n")
    assert not reads("from shop import other\nother.http\n")


@pytest.mark.parametrize(
    "text",
    [
        "import time as t\nasync def f() -> None:\n    t.sleep(1)\n",
        "import time\nasync def f() -> None:\n    getattr(time, 'sle' + 'ep')(1)\n",
        "read = open\nasync def f() -> None:\n    read('x')\n",
        "async def f() -> None:\n    if r := open:\n        r('x')\n",
        "async def f() -> None:\n    globals()['op' 'en']('x')\n",
        f"async \\\n  def f() -> None:\n    {_wide('o')}pen('x')\n",
    ],
)
def test_a_blocking_call_is_found_behind_another_name(check: Check, text: str) -> None:
    """No spelling hides a call that blocks from the look at the text that comes first."""
    assert [each.rule for each in check(text)] == ["blocking-call"]


def test_a_file_without_a_finding_is_still_parsed(check: Check) -> None:
    """A file in which no rule looks for anything must be one that Python can parse."""
    assert [each.rule for each in check("x = (\n")] == ["unparsable-file"]
    assert [each.rule for each in check("x = (\n", "tests/test_a.py")] == ["unparsable-file"]


def test_the_first_parameter_of_a_static_method_needs_a_type(check: Check) -> None:
    """A method is known to be static without its decorator being read, or its file is parsed."""
    static = "class A:\n    @staticmethod\n    def f(a) -> None: ...\n"
    assert [each.rule for each in check(static)] == ["missing-annotation"]
    hidden = "class A:\n    @globals()['static' 'method']\n    def f(a) -> None: ...\n"
    assert [each.rule for each in check(hidden)] == ["missing-annotation"]
    assert check("class A:\n    def f(a) -> None: ...\n") == ()


@pytest.mark.parametrize(
    "binding",
    [
        "float, x = 1, 2",
        "[x, [float]] = y",
        "with y as (float, x): pass",
        "for _, float in y: pass",
    ],
)
def test_a_name_bound_within_a_target_is_bound(check: Check, binding: str) -> None:
    """A name that a file binds in a list of targets is no longer the built-in."""
    assert check(f"{binding}\nz: float\n") != check("x = 1\nz: float\n")
