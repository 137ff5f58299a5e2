"""What a reviewer would say twice, said by a test."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lattice_lock
from lattice_lock.providers.discovery import client_class, provider_names

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
_SOURCES = sorted((ROOT / "src").rglob("*.py"))
_TEST_FILES = [
    path
    for path in sorted((ROOT / "tests").rglob("*.py"))
    if "golden" not in path.parts  # what the compiler wrote
]
_TESTS = [path for path in _TEST_FILES if path.name.startswith("test_")]
_PYTHON = [*_SOURCES, *_TEST_FILES, *sorted((ROOT / "tools").glob("*.py"))]

# Where a process meets what it cannot trust, and only there, everything is caught.
_BOUNDARIES = {
    "src/lattice_lock/cli/main.py": {"run"},
    "src/lattice_lock/errors/middleware.py": {"error_boundary"},
    # An entry point of another distribution may raise anything when it is loaded.
    "src/lattice_lock/providers/discovery.py": {"_load"},
    "src/lattice_lock/secret_sources.py": {"_load", "ask_source"},
    # A user's function, called for a model: whatever it raises becomes a result of the call.
    "src/lattice_lock/orchestrator/functions.py": {"_call", "_settle"},
    # The sandboxed process: whatever untrusted code raises becomes an answer.
    "src/lattice_lock/gauntlet/_worker.py": {"_serve", "answer", "_call", "_text_of"},
    "src/lattice_lock/gauntlet/_attached_worker.py": {"_serve"},
    "src/lattice_lock/gauntlet/_attached_callees.py": {"check", "type_hints"},
    "src/lattice_lock/gauntlet/_attached_compare.py": {"observe"},
    "src/lattice_lock/gauntlet/_symbolic_worker.py": {"_serve"},
    "src/lattice_lock/gauntlet/_attached_objects.py": {"_quietly"},
    # A project's own policy is Python code: whatever it raises is said at its declaration.
    "src/lattice_lock/core/policies.py": {"_run"},
    # A policy may be anybody's, and an error in it is not a pass.
    "src/lattice_lock/policies/policy_set.py": {"_scanned"},
    "src/lattice_lock/gauntlet/_attached_contracts.py": {
        "_quietly",
        "judge",
        "_capture",
        "shown",
        "_text_of",
    },
}
_EMPTY_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _names(node: ast.expr | None) -> set[str]:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return {part.id for part in parts if isinstance(part, ast.Name)}


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


@pytest.mark.parametrize("path", _TESTS, ids=_relative)
def test_every_test_says_what_it_shows(path: Path) -> None:
    """Each test has a docstring that is a sentence."""
    for function in _functions(_parse(path)):
        if function.name.startswith("test_"):
            docstring = ast.get_docstring(function) or ""
            assert docstring.rstrip().endswith("."), f"{function.name} at line {function.lineno}"


@pytest.mark.parametrize("path", _SOURCES, ids=_relative)
def test_nothing_catches_or_raises_everything(path: Path) -> None:
    """Only a process boundary swallows every exception, and nobody raises a bare `Exception`."""
    boundaries = _BOUNDARIES.get(_relative(path), set())
    for function in _functions(_parse(path)):
        for node in ast.walk(function):
            where = f"{function.name} at line {getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.ExceptHandler) and not _raises_again(node):
                everything = node.type is None or _names(node.type) & {"Exception", "BaseException"}
                assert not everything or function.name in boundaries, where
            if isinstance(node, ast.Raise):
                raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                assert not _names(raised) & {"Exception", "BaseException"}, where


@pytest.mark.parametrize("path", _SOURCES, ids=_relative)
def test_no_coroutine_sleeps_the_thread(path: Path) -> None:
    """`time.sleep` is never called in a coroutine, under any name it was imported by."""
    tree = _parse(path)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
        if alias.name == "sleep"
    }
    for function in _functions(tree):
        if isinstance(function, ast.AsyncFunctionDef):
            calls = [ast.unparse(n.func) for n in ast.walk(function) if isinstance(n, ast.Call)]
            assert not {"time.sleep", *imported} & set(calls), function.name


@pytest.mark.parametrize("path", _SOURCES, ids=_relative)
def test_modules_are_named_for_what_they_do(path: Path) -> None:
    """No module has a name that says nothing."""
    assert path.stem.strip("_") not in _EMPTY_NAMES


@pytest.mark.parametrize("path", _PYTHON, ids=_relative)
def test_nothing_is_left_open(path: Path) -> None:
    """No file defers work in a comment, and no function of the package is empty."""
    text = path.read_text(encoding="utf-8")
    marks = "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"])
    assert re.search(rf"#.*\b(?:{marks})\b", text) is None
    for node in ast.walk(_parse(path)) if path in _SOURCES else ():
        if isinstance(node, ast.Raise) and node.exc is not None:
            assert "NotImplementedError" not in ast.unparse(node.exc), f"line {node.lineno}"


@pytest.mark.parametrize(
    "name",
    [
        module.name
        for module in pkgutil.walk_packages(lattice_lock.__path__, "lattice_lock.")
        if not module.name.endswith("__main__")
    ],
)
def test_public_names_exist(name: str) -> None:
    """Everything that a module's `__all__` promises can be imported from it."""
    module = import_module(name)
    promised = getattr(module, "__all__", ())
    assert [public for public in promised if not hasattr(module, public)] == []
    assert len(set(promised)) == len(promised)


def test_no_provider_imports_another() -> None:
    """A provider is one file of its own beside what all share; no other provider is part of it."""
    package = "lattice_lock.providers"
    for provider in provider_names():
        others = {f"{package}.{name}" for name in provider_names() if name != provider}
        imported: set[str] = set()
        for node in ast.walk(
            _parse(Path(str(import_module(client_class(provider).__module__).__file__)))
        ):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        assert imported & others == set(), provider


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_names_a_machine() -> None:
    """No tracked file holds a home folder, a work folder or the address of a package index."""
    foreign = re.compile(
        "|".join(
            [
                r"(?<![\w.$}])/(?:ho" + r"me|Us" + r"ers|wo" + r"rk|ro" + r"ot)/\w\w",
                r"/opt/(?:py" + r"pi|wheels)",
                r"(?:py" + r"pi\.org|pythonhosted\.org|regis" + r"try\.npmjs)",
                r"--(?:extra-)?index-url\s+\S*://",
            ]
        )
    )
    found = [
        f"{_relative(path)}: {match[0]}"
        for path in _tracked()
        if (match := foreign.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert found == []


def test_dependencies_are_explained() -> None:
    """Every dependency has exactly one row with a reason in the document, and no row is stale."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = [
        *project["project"]["dependencies"],
        *(r for rs in project["project"]["optional-dependencies"].values() for r in rs),
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    names = {re.split(r"[\s\[<>=!~;]", requirement)[0] for requirement in requirements}
    page = (ROOT / "docs" / "explanation" / "dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| (.{10,}) \|$", page, flags=re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(names - {"lattice-lock"})


def test_news_fragments_are_sentences() -> None:
    """Each news fragment is named for its kind and holds one sentence per line."""
    kinds = {"breaking", "deprecation", "change"}
    for path in sorted((ROOT / "changelog.d").iterdir()):
        if path.name in {"README.md", "template.md.jinja"}:
            continue
        assert re.fullmatch(rf"[a-z0-9-]+\.(?:{'|'.join(sorted(kinds))})\.md", path.name), path.name
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines, path.name
        assert all(re.fullmatch(r"\S.*\.", line) for line in lines), path.name


def test_env_example_names_every_variable() -> None:
    """`.env.example` lists exactly the variables that the package reads, each without a value."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    ending = r"(?:AD_TOKEN|API_KEY|API_VERSION|BASE_URL|ENDPOINT|HOST|ORG_ID|PROJECT_ID)"
    variable = re.compile(rf"LATTICE_LOCK_[A-Z_]+|DIAL_URL|[A-Z]+(?:_[A-Z]+)*_{ending}")
    read = {
        node.value
        for path in _SOURCES
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and variable.fullmatch(node.value)
    }
    assert sorted(listed) == sorted(f"{name}=" for name in read)


def _classes() -> dict[str, Path]:
    """Every class of the package by name, with its file."""
    return {
        node.name: path
        for path in _SOURCES
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.ClassDef)
    }


def test_there_are_no_twins_of_clients_and_managers() -> None:
    """One client talks to xAI, one manager falls back, and both only in coroutines."""
    classes = _classes()
    assert [name for name in classes if "xai" in name.lower() or "grok" in name.lower()] == [
        "XAIClient"
    ]
    assert [name for name in classes if "fallback" in name.lower()] == ["FallbackManager"]
    (manager,) = (
        node
        for node in ast.walk(_parse(classes["FallbackManager"]))
        if isinstance(node, ast.ClassDef) and node.name == "FallbackManager"
    )
    public = [
        node
        for node in manager.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_"
    ]
    assert public
    assert all(isinstance(node, ast.AsyncFunctionDef) for node in public)


@pytest.mark.parametrize("path", _SOURCES, ids=_relative)
def test_nothing_has_a_twin_that_waits_differently(path: Path) -> None:
    """There is one implementation of each thing: no `_sync` or `_async` twin, and no `sync=`."""
    for function in _functions(_parse(path)):
        assert not re.search(r"(^|_)a?sync$|^a?sync_", function.name), function.name
        arguments = [*function.args.args, *function.args.kwonlyargs]
        assert not {"sync", "is_async", "async_"} & {one.arg for one in arguments}, function.name


def test_the_option_for_json_has_no_twin() -> None:
    """Commands print JSON for `--format json`, and no other option asks for it."""
    for path in _SOURCES:
        if "cli" in path.parts:
            options = re.findall(r'"(--[a-z-]*json[a-z-]*)"', path.read_text(encoding="utf-8"))
            assert options == [], path
