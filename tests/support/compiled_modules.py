"""Compiles a lattice and imports what was generated, without a file being written."""

from __future__ import annotations

import sys
import types
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import parse_lattice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["imported_modules"]


@contextmanager
def imported_modules(text: str) -> Iterator[Mapping[str, types.ModuleType]]:
    """Every generated module by its dotted name below the source root, while the block runs.

    Contract files go by their file's name. Implementations are the scaffolds.
    """
    compilation = compile_lattice(parse_lattice(text, file="lattice.yaml"))
    files = {**compilation.generated, **compilation.scaffolds}
    sources = {
        path.removeprefix("src/").removeprefix("tests/contracts/").removesuffix(".py"): source
        for path, source in files.items()
    }
    sources = {name.replace("/", "."): source for name, source in sources.items()}
    packages = {name.partition(".")[0] for name in sources if "." in name}
    names = [*sorted(packages), *sorted(sources, key=_in_order)]
    before = {name: sys.modules.get(name) for name in names}
    try:
        for name in names:
            sys.modules[name] = types.ModuleType(name)
            package, _, child = name.rpartition(".")
            if package:
                setattr(sys.modules[package], child, sys.modules[name])
        for name in names:
            if name in sources:
                code = compile(sources[name], name, "exec")
                exec(code, vars(sys.modules[name]))  # noqa: S102 -- text that we generated
        yield {name: sys.modules[name] for name in names}
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def _in_order(name: str) -> tuple[int, str]:
    """Types before what imports them, implementations before their tests."""
    if not name.startswith("shared."):
        return (4 if name.startswith("test_") else 3), name
    return (2 if name.endswith("_tables") else 1 if name.endswith("_interfaces") else 0), name
