"""Import project modules from text that was handed over, before anything on disk."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import CodeType, ModuleType

__all__ = ["TextFinder", "use_sources_below"]


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles a module from its source, whatever compiled form of it lies around."""

    @override
    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def use_sources_below(root: str) -> None:
    """Import what lies below `root` from its source alone, from now on in this process.

    A compiled form is believed by date and size of the source, and whoever writes the source can
    write it too: it could do something else.
    """
    find = importlib.machinery.FileFinder.path_hook(
        (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
        (_SourceLoader, importlib.machinery.SOURCE_SUFFIXES),
    )

    def hook(path: str) -> importlib.abc.PathEntryFinder:
        if path != root and not path.startswith(root.rstrip("/") + "/"):
            raise ImportError(f"`{path}` is not below `{root}`", path=path)
        return find(path)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


class TextFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds modules in a mapping from name to source text, and the packages above them.

    A package above them that has no text comes from disk where there is one, else it is empty.

    Args:
        sources: module name to source text.
        root: import root on disk, None to never look there. Modules are named as if they stood
            below it.
    """

    def __init__(self, sources: Mapping[str, str], *, root: str | None = None) -> None:
        self._sources = dict(sources)
        self._root = root
        parts = (name.split(".")[:-1] for name in self._sources)
        self._packages = {
            ".".join(names[:end]) for names in parts for end in range(1, len(names) + 1)
        }

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        is_package = fullname in self._packages
        if fullname not in self._sources and not is_package:
            return None
        on_disk = self._find_on_disk(fullname, path) if is_package else None
        if fullname not in self._sources and on_disk is not None:
            return on_disk
        loader = self if fullname in self._sources else None
        spec = importlib.machinery.ModuleSpec(
            fullname, loader, origin=self.file_name(fullname), is_package=is_package
        )
        spec.has_location = loader is not None
        if is_package:
            locations = on_disk.submodule_search_locations if on_disk is not None else None
            spec.submodule_search_locations = list(locations or ())
        return spec

    def _find_on_disk(
        self, fullname: str, path: Sequence[str] | None
    ) -> importlib.machinery.ModuleSpec | None:
        if self._root is None:
            return None
        return importlib.machinery.PathFinder.find_spec(fullname, path or [self._root])

    def file_name(self, fullname: str) -> str:
        """File name under which a module appears in tracebacks."""
        stem = "/".join([*filter(None, [self._root]), *fullname.split(".")])
        return f"{stem}/__init__.py" if fullname in self._packages else f"{stem}.py"

    @override
    def get_source(self, fullname: str) -> str:
        return self._sources[fullname]

    @override
    def get_code(self, fullname: str) -> CodeType:
        return compile(self._sources[fullname], self.file_name(fullname), "exec", dont_inherit=True)
