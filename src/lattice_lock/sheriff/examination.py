"""Examines one file: runs the rules that look at it, and what suppression comments silence."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lattice_lock.sheriff.imports import (
    STATEMENT_NODE_TYPES,
    dynamic_imports,
    may_reach,
    may_read,
    statement_imports,
)
from lattice_lock.sheriff.module import Unparsable, parse_module, source_lines
from lattice_lock.sheriff.outline import Outline
from lattice_lock.sheriff.reexports import Links, covering, encode_links, forbidden_names
from lattice_lock.sheriff.registry import load_rules
from lattice_lock.sheriff.rule import (
    GeneratedFileRule,
    MissingFileRule,
    ModuleRule,
    OutlineRule,
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
    from lattice_lock.sheriff.reexports import Reexports
    from lattice_lock.sheriff.suppressions import Suppression

__all__ = [
    "Examination",
    "FileReport",
    "examine_data",
    "examine_generated",
    "examine_missing",
    "examine_unparsable",
    "examine_written",
    "link_data",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What was found in one file, and what its suppression comments silenced."""

    violations: tuple[Violation, ...] = ()
    suppressions: tuple[Suppression, ...] = ()


class Examination(NamedTuple):
    """What was found in one file, and what it has to do with others.

    Attributes:
        links: the encoded `Links`, empty where nothing is forbidden or the file has none; None
            where nothing forbidden is named, so that they matter only if another file hands it on.
        hands_on: whether a global name of the file stands for something forbidden.
    """

    report: FileReport
    links: bytes | None = b""
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


def link_data(
    path: str, data: bytes | Unparsable, context: SheriffContext, handed_on: Reexports
) -> bytes | None:
    """The encoded links of a file that people or models write.

    None where it certainly reads nothing that other modules hand on, or cannot be parsed.
    """
    if isinstance(data, Unparsable):
        return None
    source = context.source_file(path, data.decode("utf-8-sig", "replace"))
    if not may_read(source, handed_on):
        return None
    module = parse_module(source, wanted=STATEMENT_NODE_TYPES)
    if isinstance(module, Unparsable):
        return None
    try:
        return encode_links(_links(module))
    finally:
        module.release()


def examine_written(source: SourceFile, context: SheriffContext) -> Examination:
    """What is found in a file that people or models write."""
    forbidden = forbidden_names(context.lattice.config.forbidden_imports)
    linked = bool(forbidden) and may_reach(source, forbidden)
    asking = {rule: wanted for rule in _module_rules() if (wanted := rule.wanted(source, context))}
    if not linked and _is_clean(source, context, asking):
        return Examination(FileReport(), None if forbidden else b"")
    wanted = STATEMENT_NODE_TYPES if linked else frozenset[type[ast.AST]]()
    module = parse_module(source, wanted=wanted.union(*asking.values()))
    if isinstance(module, Unparsable):
        return Examination(examine_unparsable(source.path, module, source.text))
    try:
        report = _report(module, context)
        if not linked:
            return Examination(report, None if forbidden else b"")
        links = _links(module)
        hands_on = any(covering(meaning, forbidden) for _, meaning in links.names)
        return Examination(report, encode_links(links), hands_on)
    finally:
        module.release()


@functools.cache
def _module_rules() -> tuple[ModuleRule, ...]:
    return tuple(rule for rule in load_rules() if isinstance(rule, ModuleRule))


def _is_clean(source: SourceFile, context: SheriffContext, asking: Iterable[ModuleRule]) -> bool:
    """Whether it is certain without a tree that nothing is found, and that there are no comments.

    Args:
        source: the file.
        context: the project.
        asking: the rules that may find something.
    """
    outlined = [rule for rule in asking if isinstance(rule, OutlineRule)]
    if len(outlined) < len(list(asking)) or "lattice" in source.text.lower():
        return False
    outline = Outline(source)
    return all(rule.is_clean(outline, context) for rule in outlined) and outline.is_parsable


def _report(module: Module, context: SheriffContext) -> FileReport:
    rules = load_rules()
    found = [
        violation for rule in _module_rules() for violation in rule.check_module(module, context)
    ]
    remaining, used, complaints = apply_suppressions(
        module, found, {rule.name: rule.suppressible for rule in rules}
    )
    for rule in rules:
        if isinstance(rule, SuppressionRule):
            remaining.extend(rule.check_suppressions(module, complaints))
    return FileReport(violations=_sorted(remaining), suppressions=tuple(used))


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
