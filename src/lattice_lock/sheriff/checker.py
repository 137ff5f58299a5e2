"""Runs the rules: over one text, or over a project."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lattice_lock.sheriff.context import SheriffContext, SourceFile
from lattice_lock.sheriff.files import ProjectFiles
from lattice_lock.sheriff.module import Unparsable, parse_module, source_lines
from lattice_lock.sheriff.registry import load_rules
from lattice_lock.sheriff.rule import (
    GeneratedFileRule,
    MissingFileRule,
    ModuleRule,
    SuppressionRule,
    UnparsableFileRule,
    Violation,
)
from lattice_lock.sheriff.suppressions import apply_suppressions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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
class FileReport:
    """What was found in one file, and what its suppression comments silenced."""

    violations: tuple[Violation, ...] = ()
    suppressions: tuple[Suppression, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SheriffReport:
    """What was found in a project, ordered by file, line and column.

    Attributes:
        files_checked: number of files that were looked at, missing ones not counted.
    """

    violations: tuple[Violation, ...]
    suppressions: tuple[Suppression, ...]
    files_checked: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.violations


def check_source(source: SourceFile, context: SheriffContext) -> tuple[Violation, ...]:
    """Violations in one text, which need not be on disk."""
    return examine_source(source, context).violations


def examine_source(source: SourceFile, context: SheriffContext) -> FileReport:
    """Violations in one text, and what its suppression comments silenced.

    At the path of a generated file only the comparison with the compiler's text is made.
    """
    expected = context.generated.get(source.path)
    if expected is not None:
        return _check_generated(source.path, source.text.encode("utf-8", "replace"), expected)
    return _check_written(source, context)


def check_project(
    root: Path, context: SheriffContext, *, paths: Iterable[str | Path] | None = None
) -> SheriffReport:
    """Violations in a project.

    Every Python file is looked at, and every file that the lattice promises.

    Args:
        root: the folder that holds `lattice.yaml`.
        context: what the code is checked against.
        paths: files and folders to look at, relative to `root` or absolute; None for all.

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
    candidates = sorted({*files.python_files(), *promised, *named})
    selected = [path for path in candidates if chosen is None or _is_chosen(path, chosen)]
    reports = [
        _examine_file(path, files, context) if files.exists(path) else _missing(path, context)
        for path in selected
    ]
    return SheriffReport(
        violations=tuple(itertools.chain.from_iterable(r.violations for r in reports)),
        suppressions=tuple(itertools.chain.from_iterable(r.suppressions for r in reports)),
        files_checked=sum(files.exists(path) for path in selected),
    )


def _is_chosen(path: str, chosen: Iterable[str]) -> bool:
    return any(each in {".", path} or path.startswith(f"{each}/") for each in chosen)


def _examine_file(path: str, files: ProjectFiles, context: SheriffContext) -> FileReport:
    data = files.read(path)
    if isinstance(data, Unparsable):
        return _unparsable(path, data)
    expected = context.generated.get(path)
    if expected is not None:
        return _check_generated(path, data, expected)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        problem = Unparsable(
            message=f"this file is not UTF-8: {error.reason} at byte {error.start}.",
            hint="Store the file as UTF-8.",
            line=len(source_lines(before)),
        )
        return _unparsable(path, problem)
    return _check_written(context.source_file(path, text), context)


def _check_written(source: SourceFile, context: SheriffContext) -> FileReport:
    rules = load_rules()
    module_rules = [rule for rule in rules if isinstance(rule, ModuleRule)]
    wanted = frozenset(itertools.chain.from_iterable(rule.node_types for rule in module_rules))
    module = parse_module(source, wanted=wanted)
    if isinstance(module, Unparsable):
        return _unparsable(source.path, module, source.text)
    found = [violation for rule in module_rules for violation in rule.check_module(module, context)]
    remaining, used, complaints = apply_suppressions(
        module, found, {rule.name: rule.suppressible for rule in rules}
    )
    for rule in rules:
        if isinstance(rule, SuppressionRule):
            remaining.extend(rule.check_suppressions(module, complaints))
    return FileReport(violations=_sorted(remaining), suppressions=tuple(used))


def _unparsable(path: str, problem: Unparsable, text: str = "") -> FileReport:
    lines = source_lines(text)
    excerpt = lines[problem.line - 1] if problem.line <= len(lines) else ""
    return FileReport(
        violations=_sorted(
            violation
            for rule in load_rules()
            if isinstance(rule, UnparsableFileRule)
            for violation in rule.check_unparsable(path, problem, excerpt)
        )
    )


def _check_generated(path: str, actual: bytes, expected: str) -> FileReport:
    return FileReport(
        violations=_sorted(
            violation
            for rule in load_rules()
            if isinstance(rule, GeneratedFileRule)
            for violation in rule.check_generated(path, actual, expected)
        )
    )


def _missing(path: str, context: SheriffContext) -> FileReport:
    return FileReport(
        violations=_sorted(
            violation
            for rule in load_rules()
            if isinstance(rule, MissingFileRule)
            for violation in rule.check_missing(path, context)
        )
    )


def _sorted(violations: Iterable[Violation]) -> tuple[Violation, ...]:
    return tuple(sorted(violations, key=lambda violation: violation.sort_key))
