"""The rule `undeclared-dependency`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.core.emitters.interfaces import implementation_module, protocols_module
from lattice_lock.sheriff.imports import (
    DYNAMIC_NODE_TYPES,
    STATEMENT_NODE_TYPES,
    dynamic_imports,
    may_import_dynamically,
    statement_imports,
)
from lattice_lock.sheriff.rule import ModuleRule

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator, Mapping

    from lattice_lock.core.schema import Lattice
    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.rule import Violation

__all__ = ["UndeclaredDependency"]


class UndeclaredDependency(ModuleRule):
    """Reports an implementation that imports an interface which it does not depend on.

    In the file of an interface, imports of the implementation of another interface, and of its
    generated Protocol, are reported unless `depends_on` of the interface lists it. Every form that
    `forbidden-import` knows counts. Files that implement no interface may import any of them.

    ## Why it matters

    `depends_on` is the map of who uses whom: it decides what an implementation is given, what is
    replaced when it is judged, and that there is no circle. An import beside it is on no map.

    ## What to do

    Add the interface to `depends_on` and run `lattice-lock compile`, or do without it.
    """

    id: ClassVar[str] = "LLS008"
    name: ClassVar[str] = "undeclared-dependency"
    node_types: ClassVar[frozenset[type[ast.AST]]] = STATEMENT_NODE_TYPES | DYNAMIC_NODE_TYPES

    @override
    def wanted(self, source: SourceFile, context: SheriffContext) -> frozenset[type[ast.AST]]:
        if not _own(context.lattice, source.path):
            return frozenset()
        if may_import_dynamically(source.text):
            return self.node_types
        return STATEMENT_NODE_TYPES

    @override
    def check_module(self, module: Module, context: SheriffContext) -> Iterator[Violation]:
        lattice = context.lattice
        own = _own(lattice, module.source.path)
        if not own:
            return
        allowed = {*own, *(name for each in own for name in lattice.interfaces[each].depends_on)}
        homes = _homes(lattice, allowed)
        users = " and ".join(f"`{name}`" for name in own)
        for imported in (*statement_imports(module), *dynamic_imports(module)):
            for node, name in ((imported.node, imported.name), *imported.members):
                other = homes.get(name)
                if other is not None:
                    yield self.violation(
                        module,
                        module.span(node),
                        f"`{name}` belongs to `{other}`, which {users} does not depend on.",
                        hint=f"Add `{other}` to `depends_on` of {users} in the lattice.",
                    )
                    break


def _own(lattice: Lattice, path: str) -> tuple[str, ...]:
    return tuple(each.name for each in lattice.interfaces.values() if each.file == path)


def _homes(lattice: Lattice, allowed: set[str]) -> Mapping[str, str]:
    """Per dotted name that may not be imported, the interface that it belongs to."""
    free = {implementation_module(lattice, lattice.interfaces[name]) for name in allowed}
    homes: dict[str, str] = {}
    for interface in lattice.interfaces.values():
        if interface.name not in allowed:
            homes[f"{protocols_module(lattice)}.{interface.name}"] = interface.name
            module = implementation_module(lattice, interface)
            if module not in free:
                homes[module] = interface.name
    return homes
