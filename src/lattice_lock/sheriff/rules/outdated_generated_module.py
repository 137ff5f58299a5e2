"""The rule `outdated-generated-module`."""

from __future__ import annotations

import ast
import functools
import re
from typing import TYPE_CHECKING, ClassVar, Final

from typing_extensions import override

from lattice_lock.core.python_types import SHARED_PACKAGE
from lattice_lock.sheriff.fixes import Edit, Fix
from lattice_lock.sheriff.imports import (
    DYNAMIC_NODE_TYPES,
    STATEMENT_NODE_TYPES,
    dynamic_imports,
    may_import_dynamically,
    statement_imports,
)
from lattice_lock.sheriff.module import may_mention
from lattice_lock.sheriff.rule import ModuleRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.rule import Violation

__all__ = ["OutdatedGeneratedModule"]

_VERSIONED: Final = re.compile(r"(?P<stem>.*?[^\W\d])(?P<version>\d+(?:_\d+)*)")


class OutdatedGeneratedModule(ModuleRule):
    """Reports an import of the generated module of another version of the lattice.

    Where the lattice says `generated_module: types_v2`, imports of `shared.types_v1` and of what is
    generated beside it, such as `shared.types_v1_interfaces`, are reported, in every form that
    `forbidden-import` knows. The modules of other versions themselves may import each other. A
    generated module whose name does not end in a number has no other versions.

    ## Why it matters

    Modules of earlier versions stay importable, so that code can move over file by file. What still
    imports one runs against a schema that nothing checks any more.

    ## What to do

    Import from the module that the lattice names. Code that reads both versions on purpose, such as
    a migration of stored data, says so in a comment that ignores this rule. `--fix` changes
    `from shared.types_v1 import Order` where the current module holds every name as well.
    """

    id: ClassVar[str] = "LLS006"
    name: ClassVar[str] = "outdated-generated-module"
    node_types: ClassVar[frozenset[type[ast.AST]]] = STATEMENT_NODE_TYPES | DYNAMIC_NODE_TYPES

    @override
    def wanted(self, source: SourceFile, context: SheriffContext) -> frozenset[type[ast.AST]]:
        stem = _VERSIONED.fullmatch(context.lattice.generated_module)
        if stem is None or not may_mention(source.text, stem["stem"]):
            return frozenset()
        if may_import_dynamically(source.text):
            return self.node_types
        return STATEMENT_NODE_TYPES

    @override
    def check_module(self, module: Module, context: SheriffContext) -> Iterator[Violation]:
        current = context.lattice.generated_module
        versioned = _VERSIONED.fullmatch(current)
        if versioned is None or not module.mentions(versioned["stem"]):
            return
        pattern = re.compile(
            rf"{SHARED_PACKAGE}\.(?P<module>{re.escape(versioned['stem'])}\d+(?:_\d+)*)"
            r"(?P<part>(?:_[a-z]+)*)(?:\..*)?"
        )
        own = pattern.fullmatch(module.source.module)
        if own is not None and own["module"] != current:
            return
        for imported in (*statement_imports(module), *dynamic_imports(module)):
            places = [(imported.node, imported.name), *imported.members]
            for node, name in places:
                found = pattern.fullmatch(name)
                if found is not None and found["module"] != current:
                    yield self.violation(
                        module,
                        module.span(node),
                        f"`{SHARED_PACKAGE}.{found['module']}{found['part']}` belongs to another"
                        f" version; the lattice says `{current}`.",
                        hint=f"Import from `{SHARED_PACKAGE}.{current}{found['part']}`.",
                        fix=_fix(
                            module, node, found["module"], f"{current}{found['part']}", context
                        ),
                    )
                    break


def _fix(
    module: Module, node: ast.AST, outdated: str, current: str, context: SheriffContext
) -> Fix | None:
    """The same names from the current module; certain where it is known to hold them all."""
    if not isinstance(node, ast.ImportFrom):
        return None
    span = module.span(node)
    line = module.excerpt(span.line)
    written = re.compile(rf"from\s+[\w.]*?\b({re.escape(outdated)}\w*)\s+import\b").match(
        line, span.column - 1
    )
    if written is None:
        return None
    edit = Edit(span.line, written.start(1) + 1, span.line, written.end(1) + 1, current)
    root = context.lattice.config.source_root
    text = context.generated.get(f"{root}/{SHARED_PACKAGE}/{current}.py")
    return Fix(
        title=f"Import from `{SHARED_PACKAGE}.{current}`",
        edits=(edit,),
        certain=text is not None and {alias.name for alias in node.names} <= _defined(text),
    )


@functools.lru_cache(maxsize=8)
def _defined(text: str) -> frozenset[str]:
    """The classes of a generated module, which are what it is imported for."""
    tree = ast.parse(text)
    return frozenset(node.name for node in tree.body if isinstance(node, ast.ClassDef))
