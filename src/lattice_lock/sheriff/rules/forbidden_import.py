"""The rule `forbidden-import`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, ClassVar, Final

from typing_extensions import override

from lattice_lock.sheriff.annotations import annotation_names
from lattice_lock.sheriff.imports import (
    DYNAMIC_NODE_TYPES,
    STATEMENT_NODE_TYPES,
    builds_names,
    dynamic_imports,
    may_import_dynamically,
    may_reach,
    statement_imports,
)
from lattice_lock.sheriff.module import may_mention, spelling
from lattice_lock.sheriff.names import BUILTIN_NAMES
from lattice_lock.sheriff.reexports import covering, forbidden_names
from lattice_lock.sheriff.rule import ModuleRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.imports import ImportedName
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.reexports import Reexports
    from lattice_lock.sheriff.rule import Violation
    from lattice_lock.sheriff.scopes import Scope

__all__ = ["ForbiddenImport"]

_TYPE_TESTS: Final = frozenset({"builtins.isinstance", "builtins.issubclass"})


class ForbiddenImport(ModuleRule):
    """Reports use of a module or built-in that `config.forbidden_imports` lists.

    A listed module is forbidden with everything below it: `requests` covers `requests.adapters`,
    not `requests_html`. It is found in

    - `import` and `from ... import` at any place (in functions, in `try`, under `TYPE_CHECKING`),
      under any alias, and through relative imports;
    - calls that import, find or hand out a module by name: `importlib.import_module`,
      `__import__`, `importlib.util.find_spec` and `spec_from_*`, `importlib.resources`, `pkgutil`,
      `runpy.run_module`, `pydoc.locate`, `pytest.importorskip`, `sys.modules`; under any alias,
      read by `getattr`, `vars` or `__dict__`, handed to `map` or `functools.partial`;
    - text that is handed to `exec`, `eval` or `compile`;
    - names that another module of the project hands on: where `wire.py` says `import requests`,
      `from wire import requests` and `wire.requests` are reported with the way they take. A module
      that only calls functions of `wire` is not: that is what a module around a driver is for.

    The name may be put together from literals: by `+`, `%s`, f-strings, `join`, `format`,
    `replace`, slices, constants of the file and loops over them. What is known only when the code
    runs (a parameter, a file, the environment) is not found, nor is `importlib.metadata`, which
    reads names of distributions and imports nothing.

    The name of a built-in, such as `float`, forbids it in annotations (written as strings too), as
    a base class, in calls, and handed to a call as an argument. Testing for it with `isinstance`
    is allowed, and so is the name where the file binds it to something else.

    ## Why it matters

    The list says which doors a project keeps closed: a driver that would bypass the repository
    interfaces, a library that is being retired, binary floating point where money is counted.

    ## What to do

    Do without it: depend on an interface of the lattice, or use the type that the lattice names.
    """

    id: ClassVar[str] = "LLS001"
    name: ClassVar[str] = "forbidden-import"
    node_types: ClassVar[frozenset[type[ast.AST]]] = (
        STATEMENT_NODE_TYPES | DYNAMIC_NODE_TYPES | {ast.Attribute, ast.ClassDef}
    )

    @override
    def wanted(self, source: SourceFile, context: SheriffContext) -> frozenset[type[ast.AST]]:
        forbidden = context.lattice.config.forbidden_imports
        if not forbidden:
            return frozenset()
        if not context.reexports and not may_reach(source, forbidden_names(forbidden)):
            return frozenset()
        wanted = STATEMENT_NODE_TYPES | {ast.ClassDef}
        builtin = [name for name in forbidden if name in BUILTIN_NAMES]
        if may_import_dynamically(source.text) or may_mention(source.text, *builtin):
            wanted |= DYNAMIC_NODE_TYPES
        if context.reexports:
            wanted |= {ast.Attribute}
            # Else no call or subscript stands for a module or what is in it.
            if builds_names(spelling(source.text)):
                wanted |= DYNAMIC_NODE_TYPES
        return wanted

    @override
    def check_module(self, module: Module, context: SheriffContext) -> Iterator[Violation]:
        forbidden = context.lattice.config.forbidden_imports
        if not forbidden:
            return
        builtin = frozenset(f"builtins.{name}" for name in forbidden if name in BUILTIN_NAMES)
        check = _Check(self, module, forbidden_names(forbidden), builtin)
        yield from check.imports(context.reexports)
        if context.reexports:
            yield from check.reexported_attributes(context.reexports)
        if any(module.mentions(name.removeprefix("builtins.")) for name in builtin):
            yield from check.annotations()
            yield from check.builtin_uses()


class _Check:
    """The rule at work on one file.

    `forbidden` holds dotted names; those of built-ins, `builtins.float`, are also in `builtin`.
    """

    def __init__(
        self,
        rule: ForbiddenImport,
        module: Module,
        forbidden: frozenset[str],
        builtin: frozenset[str],
    ) -> None:
        self._rule: Final = rule
        self._module: Final = module
        self._forbidden: Final = forbidden
        self._builtin: Final = builtin

    def imports(self, reexports: Reexports) -> Iterator[Violation]:
        last = {name.rpartition(".")[2] for name in self._forbidden}
        # What a statement imports is spelt in it.
        spelt = reexports or may_mention(self._module.source.text, *last)
        for imported in statement_imports(self._module) if spelt else ():
            if covering(imported.name, self._forbidden):
                yield from self._import(imported.node, imported.name)
                continue
            for alias, name in imported.members:
                # What is imported may be a module too.
                yield from self._import(alias, name)
            yield from self._reexported_members(imported, reexports)
        seen: set[tuple[int, str | None]] = set()
        for imported in dynamic_imports(self._module):
            key = id(imported.node), covering(imported.name, self._forbidden)
            if key not in seen:
                seen.add(key)
                yield from self._import(imported.node, imported.name)

    def _import(self, node: ast.stmt | ast.alias | ast.expr, name: str) -> Iterator[Violation]:
        listed = covering(name, self._forbidden)
        if listed is not None:
            reason = "it" if listed == name else f"`{listed}`"
            yield self._violation(
                node, f"`{name}` may not be imported: the lattice forbids {reason}.", listed
            )

    def _reexported_members(
        self, imported: ImportedName, reexports: Reexports
    ) -> Iterator[Violation]:
        held = reexports.get(imported.name, {})
        for alias, name in imported.members if held else ():
            if alias.name in held:
                yield self._reexport(alias, name, (imported.name, *held[alias.name]))

    def reexported_attributes(self, reexports: Reexports) -> Iterator[Violation]:
        """Names that are read from a module of the project as its attributes."""
        seen: set[tuple[int, int]] = set()
        known = {name for held in reexports.values() for name in held}
        for node, scope in self._module.nodes(ast.Attribute, ast.Call, ast.Subscript):
            if not isinstance(node, ast.expr) or isinstance(getattr(node, "ctx", None), ast.Store):
                continue
            if isinstance(node, ast.Attribute) and node.attr not in known:
                continue
            for meaning in sorted(self._module.resolve(node, scope)):
                module, _, name = meaning.rpartition(".")
                place = node.lineno, node.col_offset
                if name in reexports.get(module, {}) and place not in seen:
                    seen.add(place)
                    yield self._reexport(node, meaning, (module, *reexports[module][name]))

    def _reexport(
        self, node: ast.stmt | ast.alias | ast.expr, name: str, way: tuple[str, ...]
    ) -> Violation:
        listed = way[-1]
        shown = listed.removeprefix("builtins.")
        return self._violation(
            node,
            f"`{name}` hands on `{shown}`, which the lattice forbids"
            f" ({' -> '.join(way[:-1])} -> {shown}).",
            listed,
        )

    def annotations(self) -> Iterator[Violation]:
        for annotation, scope in self._module.annotations:
            for name, written in annotation_names(self._module, annotation, scope):
                yield from self._use(name, scope, written)

    def builtin_uses(self) -> Iterator[Violation]:
        for node, scope in self._module.nodes(ast.Call, ast.ClassDef):
            used: list[ast.expr] = []
            if isinstance(node, ast.ClassDef):
                used = node.bases
            elif isinstance(node, ast.Call):
                used = [node.func]
                if not self._module.resolve(node.func, scope) & _TYPE_TESTS:
                    used = [node.func, *node.args, *(each.value for each in node.keywords)]
            for expression in used:
                yield from self._use(expression, scope, expression)

    def _use(self, name: ast.expr, scope: Scope, written: ast.expr) -> Iterator[Violation]:
        for meaning in sorted(self._module.resolve(name, scope)):
            listed = covering(meaning, self._builtin)
            if listed is not None:
                builtin = listed.removeprefix("builtins.")
                yield self._violation(
                    written, f"the lattice forbids the built-in `{builtin}`.", listed
                )
                return

    def _violation(
        self, node: ast.stmt | ast.alias | ast.expr, message: str, listed: str
    ) -> Violation:
        if listed in self._builtin:
            listed = listed.removeprefix("builtins.")
        hint = f"Do without `{listed}`, which `config.forbidden_imports` of the lattice lists."
        return self._rule.violation(self._module, self._module.span(node), message, hint=hint)
