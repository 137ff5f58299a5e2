"""Examines one file: runs the rules that look at it, and what suppression comments silence."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lattice_lock.sheriff.imports import dynamic_imports, statement_imports
from lattice_lock.sheriff.module import Unparsable, parse_module, source_lines
from lattice_lock.sheriff.reexports import Links, covering, encode_links, forbidden_names
from lattice_lock.sheriff.registry import load_rules
from lattice_lock.sheriff.rule import (
    GeneratedFileRule,
    MissingFileRule,
    ModuleRule,
    SuppressionRule,
    UnparsableFileRule,
    Violation,
)
from lattice_lock.sheriff.scopes import Alias, Imported
from lattice_lock.sheriff.suppressions import apply_suppressions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.suppressions import Suppression

__all__ = [
    "Examination",
    "FileReport",
    "examine_data",
    "examine_generated",
    "examine_missing",
    "examine_unparsable",
    "examine_written",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What was found in one file, and what its suppression comments silenced."""

    violations: tuple[Violation, ...] = ()
    suppressions: tuple[Suppression, ...] = ()


class Examination(NamedTuple):
    """What was found in one file, and what it has to do with others.

    Attributes:
        links: the encoded `Links`, empty where nothing is forbidden or the file has none.
        hands_on: whether a global name of the file stands for something forbidden.
    """

    report: FileReport
    links: bytes = b""
    hands_on: bool = False


def examine_data(path: str, data: bytes | Unparsable, context: SheriffContext) -> Examination:
    """What is found in a file with this content, or whose content cannot be had."""
    if isinstance(data, Unparsable):
        return Examination(examine_unparsable(path, data))
    expected = context.generated.get(path)
    if expected is not None:
        return Examination(examine_generated(path, data, expected))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        problem = Unparsable(
            message=f"this file is not UTF-8: {error.reason} at byte {error.start}.",
            hint="Store the file as UTF-8.",
            line=len(source_lines(before)),
        )
        return Examination(examine_unparsable(path, problem))
    return examine_written(context.source_file(path, text), context)


def examine_written(source: SourceFile, context: SheriffContext) -> Examination:
    """What is found in a file that people or models write."""
    wanted = frozenset[type[ast.AST]]().union(
        *(rule.wanted(source, context) for rule in load_rules() if isinstance(rule, ModuleRule))
    )
    module = parse_module(source, wanted=wanted)
    if isinstance(module, Unparsable):
        return Examination(examine_unparsable(source.path, module, source.text))
    try:
        return _examine(module, context)
    finally:
        module.release()


def _examine(module: Module, context: SheriffContext) -> Examination:
    rules = load_rules()
    module_rules = [rule for rule in rules if isinstance(rule, ModuleRule)]
    found = [violation for rule in module_rules for violation in rule.check_module(module, context)]
    remaining, used, complaints = apply_suppressions(
        module, found, {rule.name: rule.suppressible for rule in rules}
    )
    for rule in rules:
        if isinstance(rule, SuppressionRule):
            remaining.extend(rule.check_suppressions(module, complaints))
    report = FileReport(violations=_sorted(remaining), suppressions=tuple(used))
    forbidden = context.lattice.config.forbidden_imports
    if not forbidden:
        return Examination(report)
    links = _links(module)
    hands_on = any(covering(meaning, forbidden_names(forbidden)) for _, meaning in links.names)
    return Examination(report, encode_links(links), hands_on)


def _links(module: Module) -> Links:
    """What a file has to do with other modules."""
    sources: set[str] = set()
    for imported in (*statement_imports(module), *dynamic_imports(module)):
        sources.add(imported.name)
        sources.update(name for _, name in imported.members)
    names = {
        (name, meaning)
        for name, bindings in module.scope.bindings.items()
        if any(isinstance(binding, Imported | Alias) for binding in bindings)
        for meaning in module.meanings(name)
    }
    return Links(
        module=module.source.module,
        names=tuple(sorted(names)),
        stars=tuple(sorted(set(module.scope.stars))),
        sources=tuple(sorted(sources)),
        public=_public(module),
    )


def _public(module: Module) -> tuple[str, ...] | None:
    """What `__all__` lists, None where there is none or it is not a plain list of literals."""
    match module.scope.bindings.get("__all__"):
        case [Alias(value=ast.List(elts=names) | ast.Tuple(elts=names))]:
            listed = [name.value for name in names if isinstance(name, ast.Constant)]
            known = len(listed) == len(names)
            return tuple(str(name) for name in listed) if known else None
        case _:
            return None


def examine_unparsable(path: str, problem: Unparsable, text: str = "") -> FileReport:
    """What is found in a file that cannot be examined; `text` is its content, if known."""
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


def examine_generated(path: str, actual: bytes, expected: str) -> FileReport:
    """What is found in a file that the compiler owns."""
    return FileReport(
        violations=_sorted(
            violation
            for rule in load_rules()
            if isinstance(rule, GeneratedFileRule)
            for violation in rule.check_generated(path, actual, expected)
        )
    )


def examine_missing(path: str, context: SheriffContext) -> FileReport:
    """What is found where the lattice promises a file and there is none."""
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
