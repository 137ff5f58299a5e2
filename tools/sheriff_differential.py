"""Compare Sheriff with ruff on installed packages, and say why where they differ.

Imports of the same modules are forbidden to both (TID251), annotations are asked for by both
(ANN001 to ANN003, ANN201 to ANN206). Every difference must have one of the reasons below; one that
has none is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter, defaultdict
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff.checker import SheriffContext, check_project

__all__ = ["main"]

_PACKAGES: Final = (
    *("pip", "attr", "rich", "click", "pydantic", "hypothesis", "_pytest", "setuptools"),
    *("aiohttp", "jinja2", "mypy", "openai"),
)
_FORBIDDEN: Final = (
    *("logging", "requests", "socket", "ssl", "subprocess", "typing_extensions", "urllib"),
)
_ANNOTATIONS: Final = (
    *("ANN001", "ANN002", "ANN003", "ANN201", "ANN202", "ANN204", "ANN205", "ANN206"),
)
_RULES: Final = ("forbidden-import", "missing-annotation")

_BY_NAME: Final = "Sheriff alone: a call imports, finds or hands out the module by its name"
_HANDED_ON: Final = "Sheriff alone: another module of the project hands the forbidden name on"
_STUB: Final = "ruff alone: a type stub (`.pyi`), which never runs"
_TEST: Final = "ruff alone: a test, which Sheriff asks for no annotations"
_UNEXPLAINED: Final = "no reason known"


class _Difference(NamedTuple):
    """One line that only one of the two reports."""

    rule: str
    place: str
    reason: str


class _Comparison(NamedTuple):
    """What both found, by rule, and each difference."""

    agreed: dict[str, int]
    differences: list[_Difference]
    lines: int


def _compare(root: Path, packages: list[str]) -> _Comparison:
    """Run both on the packages below `root`."""
    ours, messages = _sheriff(root, packages)
    theirs = _ruff(root, packages)
    differences: list[_Difference] = []
    for rule in _RULES:
        for file, line in sorted(ours[rule] ^ theirs[rule]):
            message = messages.get((rule, file, line))
            reason = (
                _reason_for_us(message, root / file, line)
                if message
                else _reason_for_ruff(rule, file)
            )
            differences.append(_Difference(rule, f"{file}:{line}", reason))
    agreed = {rule: len(ours[rule] & theirs[rule]) for rule in _RULES}
    files = [path for name in packages for path in sorted((root / name).rglob("*.py"))]
    return _Comparison(agreed, differences, sum(path.read_bytes().count(b"\n") for path in files))


_Lines = defaultdict[str, set[tuple[str, int]]]


def _sheriff(root: Path, packages: list[str]) -> tuple[_Lines, dict[tuple[str, str, int], str]]:
    lattice = parse_lattice(
        "version: v1.0\ngenerated_module: types_v1\n"
        f"config: {{source_root: ., forbidden_imports: [{', '.join(_FORBIDDEN)}]}}\n",
        file="lattice.yaml",
    )
    lines: _Lines = defaultdict(set)
    messages: dict[tuple[str, str, int], str] = {}
    for found in check_project(root, SheriffContext(lattice=lattice), paths=packages).violations:
        lines[found.rule].add((found.file, found.line))
        messages[found.rule, found.file, found.line] = found.message
    return lines, messages


def _ruff(root: Path, packages: list[str]) -> _Lines:
    settings = f"lint.select = {json.dumps(['TID251', *_ANNOTATIONS])}\n"
    settings += 'target-version = "py311"\nexclude = []\n'
    for name in _FORBIDDEN:
        settings += f'[lint.flake8-tidy-imports.banned-api."{name}"]\nmsg = "forbidden"\n'
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "ruff.toml"
        config.write_text(settings, encoding="utf-8")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ruff", "check", "--config", str(config), "--no-cache"),
                *("--ignore-noqa", "--no-respect-gitignore", "--output-format", "json"),
                *packages,
            ],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
    lines: _Lines = defaultdict(set)
    for found in json.loads(done.stdout):
        rule = "forbidden-import" if found["code"] == "TID251" else "missing-annotation"
        if found["code"] in {"TID251", *_ANNOTATIONS}:
            file = Path(found["filename"]).relative_to(root).as_posix()
            lines[rule].add((file, found["location"]["row"]))
    return lines


def _reason_for_us(message: str, file: Path, line: int) -> str:
    if "hands on" in message:
        return _HANDED_ON
    tree = ast.parse(file.read_bytes())
    kinds = {
        type(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt | ast.expr)
        and node.lineno <= line <= (node.end_lineno or node.lineno)
    }
    is_statement = bool(kinds & {ast.Import, ast.ImportFrom})
    return _BY_NAME if kinds & {ast.Call, ast.Subscript} and not is_statement else _UNEXPLAINED


def _reason_for_ruff(rule: str, file: str) -> str:
    if file.endswith(".pyi"):
        return _STUB
    name = Path(file).name
    is_test = {"tests", "test"} & set(Path(file).parts[:-1]) or name == "conftest.py"
    is_test = is_test or name.startswith("test_") or name.endswith("_test.py")
    return _TEST if rule == "missing-annotation" and is_test else _UNEXPLAINED


def _render(comparison: _Comparison) -> str:
    """The comparison as a Markdown table."""
    rows = ["| rule | lines | found by |", "|---|---:|---|"]
    counted = Counter((each.rule, each.reason) for each in comparison.differences)
    for rule in _RULES:
        rows.append(f"| `{rule}` | {comparison.agreed[rule]:,} | both |")
        rows += [
            f"| `{rule}` | {count:,} | {reason} |"
            for (about, reason), count in sorted(counted.items())
            if about == rule
        ]
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where a difference has no reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", default=list(_PACKAGES))
    parser.add_argument("--root", type=Path, default=Path(sysconfig.get_path("purelib")))
    parser.add_argument("--list", action="store_true", help="print every difference too")
    options = parser.parse_args(arguments)
    comparison = _compare(options.root, options.packages)
    print(f"{comparison.lines:,} lines of Python, ruff {metadata.version('ruff')}\n")
    print(_render(comparison))
    unexplained = [each for each in comparison.differences if each.reason == _UNEXPLAINED]
    for each in comparison.differences if options.list else unexplained:
        print(f"{each.place}: {each.rule}: {each.reason}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
