"""Find files whose functions carry contracts, by reading them and never by running them."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lattice_lock.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ContractFile", "Target", "find_contract_files"]

_OURS: Final = {
    f"lattice_lock.gauntlet.decorators.{name}": name for name in ("requires", "ensures", "raises")
}
_ICONTRACT: Final = {
    f"icontract.{name}": name for name in ("require", "ensure", "snapshot", "invariant")
}
_DECORATORS: Final = {**_OURS, **_ICONTRACT}
_MARKS: Final = (b"icontract", b"lattice_lock")
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Something with a contract.

    Attributes:
        name: qualified name within its module.
        line: where it is defined, counted from 1.
        unreachable: why it cannot be called from outside, empty when it can.
    """

    name: str
    line: int
    unreachable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractFile:
    """A file with contracts.

    Attributes:
        path: where it is.
        module: the name under which it is imported.
        import_root: the folder from which that name counts.
        import_path: folders in which it finds what it imports, `import_root` first.
        targets: what is to be checked, in the order of the file.
        text: what to judge in place of what the file holds, None for the file itself.
    """

    path: Path
    module: str
    import_root: Path
    import_path: tuple[Path, ...]
    targets: tuple[Target, ...]
    text: str | None = None


def find_contract_files(path: Path) -> tuple[ContractFile, ...]:
    """The files at a path that hold contracts, in the order of their names.

    Args:
        path: a Python file, or a folder that is searched with all folders below.

    Raises:
        UsageError: there is no such path, or a file that was named cannot be parsed.
    """
    if not path.exists():
        raise UsageError(f"there is no `{path}`", hint="Name a Python file or a folder.")
    if path.is_file():
        found = _read(path, must_parse=True)
        return (found,) if found else ()
    return tuple(found for each in _python_files(path) if (found := _read(each, must_parse=False)))


def _python_files(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED
            and not Path(root, name, "pyvenv.cfg").exists()
        )
        yield from (Path(root, name) for name in sorted(files) if name.endswith(".py"))


def _read(path: Path, *, must_parse: bool) -> ContractFile | None:
    data = path.read_bytes()
    if not any(mark in data for mark in _MARKS) and not must_parse:
        return None
    try:
        tree = ast.parse(data, filename=str(path))
    except (SyntaxError, ValueError) as error:
        if not must_parse:
            return None
        line = getattr(error, "lineno", None)
        raise UsageError(
            f"`{path}` is no Python that this interpreter understands"
            + (f", at line {line}" if line else ""),
            hint="Correct the file, or name another.",
        ) from None
    targets = tuple(_targets(tree, _imported(tree)))
    if not targets:
        return None
    absolute = path.absolute()
    root, module = _import_name(absolute)
    import_path = tuple(dict.fromkeys((root, *_folders_of_imports(tree, root))))
    return ContractFile(
        path=path, module=module, import_root=root, import_path=import_path, targets=targets
    )


def _imported(tree: ast.Module) -> dict[str, str]:
    """What names mean that imports bind, as dotted paths."""
    meanings: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                meanings[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                meanings[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                if alias.name == "*":
                    meanings |= {
                        name: path
                        for path, name in _DECORATORS.items()
                        if path.rpartition(".")[0] == node.module
                    }
    return meanings


def _targets(  # noqa: C901  # two walks that belong together
    tree: ast.Module, meanings: Mapping[str, str]
) -> Iterator[Target]:
    def kinds(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
        found = set()
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            first, _, rest = ast.unparse(called).partition(".")
            path = meanings.get(first, first) + (f".{rest}" if rest else "")
            found.add(_DECORATORS.get(path, ""))
        return found - {""}

    def walk(body: list[ast.stmt], prefix: str, inside: str) -> Iterator[Target]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if kinds(node):
                    yield Target(name=prefix + node.name, line=node.lineno, unreachable=inside)
                name = f"{prefix}{node.name}.<locals>."
                yield from walk(node.body, name, f"it is defined inside `{node.name}`")
            elif isinstance(node, ast.ClassDef):
                if "invariant" in kinds(node):
                    yield Target(name=prefix + node.name, line=node.lineno, unreachable=inside)
                yield from walk(node.body, f"{prefix}{node.name}.", inside)
            else:
                for block in ("body", "orelse", "finalbody"):
                    yield from walk(getattr(node, block, []), prefix, inside)

    seen: dict[str, Target] = {}
    for target in walk(tree.body, "", ""):
        seen.setdefault(target.name, target)
    yield from sorted(seen.values(), key=lambda target: target.line)


def _import_name(path: Path) -> tuple[Path, str]:
    """Import root and dotted name of a file."""
    names = [path.stem]
    folder = path.parent
    while (folder / "__init__.py").exists() and folder != folder.parent:
        names.append(folder.name)
        folder = folder.parent
    if not all(name.isidentifier() for name in names):
        return path.parent, path.stem.replace("-", "_").replace(".", "_")
    if names[0] == "__init__" and len(names) > 1:
        names = names[1:]
    return folder, ".".join(reversed(names))


def _folders_of_imports(tree: ast.Module, root: Path) -> Iterator[Path]:
    """Folders above the import root in which something that the file imports lies."""
    wanted = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            wanted.add(node.module.partition(".")[0])
    for folder in (root, *root.parents):
        if folder == folder.parent:
            return
        found = {
            name for name in wanted if (folder / name).is_dir() or (folder / f"{name}.py").is_file()
        }
        if found:
            yield folder
        wanted -= found
