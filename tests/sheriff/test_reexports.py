"""What one module of a project hands on to another is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff.checker import SheriffContext, check_project
from lattice_lock.sheriff.reexports import Links, decode_links, encode_links, find_reexports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lattice_lock.sheriff.rule import Violation

_CONTEXT = SheriffContext(
    lattice=parse_lattice(
        "version: v1.0\ngenerated_module: types_v1\n"
        "config: {forbidden_imports: [requests, float]}\n",
        file="lattice.yaml",
    )
)
_ALLOWED = "import requests  # lattice:ignore[forbidden-import] the one door\n"


def _found(root: Path, files: Mapping[str, str]) -> list[Violation]:
    for path, text in files.items():
        target = root / "src" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return list(check_project(root, _CONTEXT).violations)


@pytest.mark.parametrize(
    "text",
    [
        "from wire import requests\n",
        "from wire import requests as http\n",
        "from wire import (\n    other,\n    requests,\n)\n",
        "import wire\nwire.requests.get\n",
        "import wire as w\nw.requests\n",
        "import wire\ngetattr(wire, 'requests')\n",
        "import importlib\nimportlib.import_module('wire').requests\n",
        "from wire import *\n",
        "def f() -> None:\n    from wire import requests\n",
    ],
)
def test_a_forbidden_module_is_found_behind_another(tmp_path: Path, text: str) -> None:
    """Wherever a name leads to the forbidden module, its importer is reported with the way."""
    (found,) = _found(tmp_path, {"wire.py": _ALLOWED + "other = 1\n", "shop.py": text})
    assert (found.file, found.rule) == ("src/shop.py", "forbidden-import")
    assert "(wire -> requests)" in found.message


@pytest.mark.parametrize(
    "text",
    [
        "import wire\nwire.fetch()\n",
        "from wire import fetch, other\n",
        "import wire\nwire.other\n",
        "from mine import requests\n",
        "import mine\nmine.requests\n",
        "import wire\nclass Shop:\n    def requests(self) -> None:\n        self.requests()\n",
        "import wire\nwire.requests = None\n",
    ],
)
def test_using_a_module_that_uses_a_forbidden_one_is_allowed(tmp_path: Path, text: str) -> None:
    """A module around a driver may be imported for what it does itself."""
    wire = _ALLOWED + "other = 1\ndef fetch() -> None: requests.get('x')\n"
    assert _found(tmp_path, {"wire.py": wire, "shop.py": text}) == []


def test_the_way_is_named_however_long_it_is(tmp_path: Path) -> None:
    """Packages, relative imports, aliases, assignments and stars hand on what they hold."""
    files = {
        "net/wire.py": _ALLOWED + "client = requests\n",
        "net/__init__.py": "from .wire import client as http\n",
        "facade.py": "from net import *\n",
        "shop.py": "import facade\nfacade.http.get('x')\n",
    }
    found = _found(tmp_path, files)
    assert [(each.file, each.line) for each in found] == [
        ("src/facade.py", 1),
        ("src/net/__init__.py", 1),
        ("src/shop.py", 2),
    ]
    assert "(facade -> net -> net.wire -> requests)" in found[-1].message


def test_a_star_takes_what_is_public(tmp_path: Path) -> None:
    """`__all__` decides what a star takes; without it, the underscore."""
    files = {
        "listed.py": _ALLOWED + "__all__ = ['fetch']\nfetch = 1\n",
        "private.py": _ALLOWED.replace("requests ", "requests as _requests ", 1),
        "shop.py": "from listed import *\nfrom private import *\n",
        "desk.py": "from shop import _requests, requests\n",
    }
    assert _found(tmp_path, files) == []
    found = _found(tmp_path, {"listed.py": _ALLOWED + "__all__ = ['requests']\n"})
    assert [(each.file, each.line) for each in found] == [("src/desk.py", 1), ("src/shop.py", 1)]


def test_a_part_of_a_forbidden_module_is_found_too(tmp_path: Path) -> None:
    """What is read from the forbidden module is handed on like the module itself."""
    files = {
        "wire.py": _ALLOWED,
        "part.py": "import wire\nget = wire.requests.get\n",
        "shop.py": "from part import get\n",
    }
    found = _found(tmp_path, files)
    assert [(each.file, each.line) for each in found] == [("src/part.py", 2), ("src/shop.py", 1)]


def test_a_module_is_not_taken_for_a_name_like_it(tmp_path: Path) -> None:
    """A package that holds a forbidden name may hold a module of that name."""
    files = {
        "net/__init__.py": "from requests import old  # lattice:ignore[forbidden-import] why\n",
        "net/old/__init__.py": "",
        "net/old/config.py": "limit = 1\n",
        "shop.py": "from net.old.config import limit\n",
        "desk.py": "import shop\nshop.limit\n",
    }
    assert _found(tmp_path, files) == []


def test_a_forbidden_built_in_is_found_behind_another_name(tmp_path: Path) -> None:
    """An alias of a built-in in one file does not hide it in the next."""
    found = _found(
        tmp_path, {"money.py": "Money = float\n", "shop.py": "from money import Money\n"}
    )
    assert [(each.file, each.line) for each in found] == [("src/shop.py", 1)]


def test_modules_that_hand_on_to_each_other_end(tmp_path: Path) -> None:
    """A circle of imports is walked once."""
    files = {
        "a.py": _ALLOWED + "from b import requests as again\n",
        "b.py": "from a import requests, again\n",
    }
    found = _found(tmp_path, files)
    assert [(each.file, each.line, each.column) for each in found] == [
        ("src/a.py", 2, 15),
        ("src/b.py", 1, 15),
        ("src/b.py", 1, 25),
    ]


def test_a_use_behind_another_module_can_be_suppressed(tmp_path: Path) -> None:
    """A suppression comment at the importing place silences it, and is no finding itself."""
    text = "from wire import requests  # lattice:ignore[forbidden-import] moves next month\n"
    assert _found(tmp_path, {"wire.py": _ALLOWED, "shop.py": text}) == []


def test_links_survive_their_encoding() -> None:
    """What a process or the cache hands on is what it was given."""
    links = Links("a", (("b", "c.b"),), ("d",), ("c", "d"))
    assert decode_links(encode_links(links)) == links


def test_a_long_chain_takes_work_in_its_length() -> None:
    """Ten thousand modules that hand on one name are followed to the end."""
    count = 10_000
    links = [Links("m0", (("http", "requests"),), (), ("requests",))]
    links += [
        Links(f"m{n}", (("http", f"m{n - 1}.http"),), (), (f"m{n - 1}",)) for n in range(1, 50)
    ]
    links += [Links(f"m{n}", (("http", "m0.http"),), (), ("m0",)) for n in range(50, count)]
    found = find_reexports(links, ["requests"])
    assert len(found) == count
    assert len(found["m49"]["http"]) == 50
