"""Runs the rules: over one text, or over a project."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lattice_lock.sheriff.cache import ReportCache
from lattice_lock.sheriff.context import SheriffContext, SourceFile
from lattice_lock.sheriff.examination import (
    Examination,
    FileReport,
    examine_generated,
    examine_missing,
    examine_written,
)
from lattice_lock.sheriff.files import ProjectFiles
from lattice_lock.sheriff.pool import examine_files, link_files
from lattice_lock.sheriff.reexports import decode_links, find_reexports, reached_by

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lattice_lock.sheriff.reexports import Links, Reexports
    from lattice_lock.sheriff.rule import Violation
    from lattice_lock.sheriff.suppressions import Suppression

__all__ = [
    "FileReport",
    "SheriffContext",
    "SheriffReport",
    "SourceFile",
    "check_project",
    "check_source",
    "examine_source",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SheriffReport:
    """What was found in a project, ordered by file, line and column.

    Attributes:
        files_checked: number of files that were looked at, missing ones not counted.
        reexports: what they hand on to each other although it is forbidden.
    """

    violations: tuple[Violation, ...]
    suppressions: tuple[Suppression, ...]
    files_checked: int
    reexports: Reexports = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found that is more than a warning."""
        return all(one.severity == "warning" for one in self.violations)


def check_source(source: SourceFile, context: SheriffContext) -> tuple[Violation, ...]:
    """Violations in one text, which need not be on disk."""
    return examine_source(source, context).violations


def examine_source(source: SourceFile, context: SheriffContext) -> FileReport:
    """Violations in one text, and what its suppression comments silenced.

    At the path of a generated file only the comparison with the compiler's text is made. What
    other modules of the project hand on is known from `context.reexports` alone.
    """
    expected = context.generated.get(source.path)
    if expected is not None:
        return examine_generated(source.path, source.text.encode("utf-8", "replace"), expected)
    return examine_written(source, context).report


def check_project(
    root: Path,
    context: SheriffContext,
    *,
    paths: Iterable[str | Path] | None = None,
    cache: Path | None = None,
    cache_key: bytes = b"",
) -> SheriffReport:
    """Violations in a project.

    Every Python file is looked at, and every file that the lattice promises. What one file hands on
    to another is followed among the files that are looked at.

    Args:
        root: the folder that holds `lattice.yaml`.
        context: what the code is checked against.
        paths: files and folders to look at, relative to `root` or absolute; None for all.
        cache: folder in which results are kept for the next run; None to keep none. What it holds
            is used only for files, a lattice and rules that are the same as then.
        cache_key: seals the cache, so that nobody without the key can change what it says.

    Raises:
        SheriffError: a path is not in the project, or a folder cannot be listed.
    """
    files = ProjectFiles(root, source_root=context.lattice.config.source_root)
    chosen = None if paths is None else [files.relative(path) for path in paths]
    promised = {
        *context.generated,
        *(interface.file for interface in context.lattice.interfaces.values()),
    }
    # A file that is named is looked at, whatever it is called and wherever it lies.
    named = [path for path in chosen or () if files.is_file(path)]
    listed = set(files.python_files())
    candidates = sorted({*listed, *promised, *named})
    selected = [path for path in candidates if chosen is None or _is_chosen(path, chosen)]
    there = [path for path in selected if path in listed or files.exists(path)]
    is_whole = chosen is None
    with ReportCache.open(cache, context, is_whole=is_whole, seal_key=cache_key) as known:
        examined = examine_files(there, files, context, known)
        reexports, again = _examine_again(examined, files, context, known)
        examined |= again
    reports = [
        examined[path].report if path in examined else examine_missing(path, context)
        for path in selected
    ]
    return SheriffReport(
        violations=tuple(itertools.chain.from_iterable(r.violations for r in reports)),
        suppressions=tuple(itertools.chain.from_iterable(r.suppressions for r in reports)),
        files_checked=len(there),
        reexports=reexports,
    )


def _is_chosen(path: str, chosen: Iterable[str]) -> bool:
    return any(each in {".", path} or path.startswith(f"{each}/") for each in chosen)


def _examine_again(
    examined: dict[str, Examination],
    files: ProjectFiles,
    context: SheriffContext,
    known: ReportCache,
) -> tuple[Reexports, dict[str, Examination]]:
    """What is handed on, and the files to which it is, checked with knowledge of that."""
    if not any(each.hands_on for each in examined.values()):
        return {}, {}
    links, reexports = _follow(examined, files, context, known)
    reached = reached_by(reexports, links)
    informed = dataclasses.replace(context, reexports=reexports)
    return reexports, examine_files(reached, files, informed, known.informed_by(reexports))


def _follow(
    examined: dict[str, Examination],
    files: ProjectFiles,
    context: SheriffContext,
    known: ReportCache,
) -> tuple[dict[str, Links], Reexports]:
    """What is handed on, and the links of the files that may have a part in it."""
    links = {path: decode_links(each.links) for path, each in examined.items() if each.links}
    others = {
        path: context.module_of(path) for path, each in examined.items() if each.links is None
    }
    forbidden = context.lattice.config.forbidden_imports
    before: dict[str, set[str]] | None = None
    while True:
        unlinked = [path for path in others if path not in links]
        modules = [others[path] for path in unlinked]
        reexports = find_reexports(links.values(), forbidden, modules)
        held = {module: set(names) for module, names in reexports.items()}
        if held == before or not unlinked:
            return links, reexports
        before = held
        section = known.informed_by("links", {name: sorted(held[name]) for name in held})
        for path, found in link_files(unlinked, files, context, section, reexports).items():
            links[path] = decode_links(found)
