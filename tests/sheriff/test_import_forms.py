"""Every way by which a program really gets at a module is reported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff.checker import SheriffContext, check_source

if TYPE_CHECKING:
    from pathlib import Path

_CONTEXT = SheriffContext(
    lattice=parse_lattice(
        "version: v1.0\ngenerated_module: types_v1\nconfig: {forbidden_imports: [banned]}\n",
        file="lattice.yaml",
    )
)
_WAYS = {
    "plain": "import banned",
    "aliased": "import banned as b",
    "among others": "import os, banned",
    "submodule": "import banned.part",
    "from": "from banned import value",
    "from, aliased": "from banned import value as v",
    "from a submodule": "from banned.part import value",
    "submodule by from": "from banned import part",
    "star": "from banned import *",
    "in a function": "def f():\n    import banned\nf()",
    "in a class": "class A:\n    import banned",
    "conditional": "import sys\nif sys.path:\n    import banned",
    "in try": "try:\n    import banned\nexcept ImportError:\n    pass",
    "after a semicolon": "x = 1; import banned",
    "import_module": "import importlib\nimportlib.import_module('banned')",
    "import_module, from": "from importlib import import_module\nimport_module('banned')",
    "import_module, aliased": "import importlib as il\nil.import_module('banned')",
    "import_module, assigned": "import importlib\nim = importlib.import_module\nim('banned')",
    "import_module, relative": "import importlib\nimportlib.import_module('.part', 'banned')",
    "import_module, keyword": "import importlib\nimportlib.import_module(name='banned')",
    "getattr": "import importlib\ngetattr(importlib, 'import_module')('banned')",
    "vars": "import importlib\nvars(importlib)['import_module']('banned')",
    "__import__": "__import__('banned')",
    "__import__, importlib": "import importlib\nimportlib.__import__('banned')",
    "builtins": "import builtins\nbuiltins.__import__('banned')",
    "importlib by name": "__import__('importlib').import_module('banned')",
    "partial": "import functools\nfunctools.partial(__import__, 'banned')()",
    "map": "list(map(__import__, ['banned']))",
    "walrus": "import importlib\n(im := importlib.import_module)('banned')",
    "exec": "exec('import banned')",
    "eval": "eval('__import__(\"banned\")')",
    "compile": "exec(compile('import banned', 'x', 'exec'))",
    "concatenated": "__import__('ban' + 'ned')",
    "constant": "NAME = 'banned'\n__import__(NAME)",
    "f-string": "PART = 'ned'\n__import__(f'ban{PART}')",
    "percent": "__import__('ban%s' % 'ned')",
    "format": "__import__('{}ned'.format('ban'))",
    "join": "__import__(''.join(['ban', 'ned']))",
    "reversed": "__import__('dennab'[::-1])",
    "loop": "for name in ('json', 'banned'):\n    __import__(name)",
    "mapping": "NAMES = {'a': 'banned'}\n__import__(NAMES['a'])",
    "resolve_name": "import pkgutil\npkgutil.resolve_name('banned:value')",
    "get_data": "import pkgutil\npkgutil.get_data('banned', '__init__.py')",
    "run_module": "import runpy\nrunpy.run_module('banned.part')",
    "locate": "import pydoc\npydoc.locate('banned.value')",
    "resources": "import importlib.resources\nimportlib.resources.files('banned')",
    "importorskip": "import pytest\npytest.importorskip('banned')",
    "find_spec of a part": "import importlib.util\nimportlib.util.find_spec('banned.part')",
}


@pytest.fixture
def banned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package `banned` that can be imported, and that nothing has imported yet."""
    (tmp_path / "banned").mkdir()
    for name in ("__init__", "part"):
        (tmp_path / f"banned/{name}.py").write_text("value = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("banned", "banned.part"):
        # Set first, so that the end of the test restores that there was none.
        monkeypatch.setitem(sys.modules, name, sys)
        del sys.modules[name]


@pytest.mark.usefixtures("banned")
@pytest.mark.parametrize("program", _WAYS.values(), ids=_WAYS.keys())
def test_a_way_to_a_module_is_found(program: str) -> None:
    """The program does import the module, and exactly one line of it is reported."""
    exec(compile(program, "program", "exec"), {"__name__": "program"})  # noqa: S102
    assert "banned" in sys.modules
    found = check_source(_CONTEXT.source_file("src/program.py", program), _CONTEXT)
    lines = {violation.line for violation in found if violation.rule == "forbidden-import"}
    assert len(lines) == 1
