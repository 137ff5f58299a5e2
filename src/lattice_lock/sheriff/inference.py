"""Which generated type an expression has, where annotations leave no doubt about it.

A parameter or variable that is annotated with an entity, enum or interface of the lattice has that
type; so has what a generated class is called for, a field of an entity, an item of a list, what a
declared method returns, and an attribute of `self` that is assigned once. A name that is bound more
than once, or that the file narrows (`isinstance`, `match`, `hasattr`), has no certain type.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from lattice_lock.core.emitters.interfaces import protocols_module
from lattice_lock.core.emitters.python_text import enums_in
from lattice_lock.core.python_types import SHARED_PACKAGE
from lattice_lock.core.type_refs import DictType, EntityType, ListType, OptionalType
from lattice_lock.sheriff.annotations import means, unquote
from lattice_lock.sheriff.scopes import Alias, Declared, Item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.core.schema import Interface, Lattice
    from lattice_lock.core.type_refs import EnumType, TypeRef
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.scopes import Binding, Scope

__all__ = ["INFERENCE_NODE_TYPES", "GeneratedNames", "Inference", "InterfaceType", "Known"]

INFERENCE_NODE_TYPES: Final[frozenset[type[ast.AST]]] = frozenset(
    {ast.AnnAssign, ast.Assign, ast.Call, ast.Match}
)
"""What `Inference` asks `Module.nodes` for."""

_MAX_DEPTH: Final = 20
"""Most steps from an expression to the annotation that says what it is."""

_NARROWING: Final = frozenset(
    {"builtins.isinstance", "builtins.issubclass", "builtins.hasattr", "builtins.type"}
)
_COPIES: Final = frozenset({"model_copy", "copy"})
_MAKERS: Final = frozenset({"model_validate", "model_validate_json", "model_construct"})


@dataclass(frozen=True, slots=True)
class InterfaceType:
    """An implementation of an interface, known by its Protocol."""

    interface: Interface


Known: TypeAlias = "TypeRef | InterfaceType"


class GeneratedNames:
    """The classes that are generated for a lattice, by the dotted names they are imported by."""

    def __init__(self, lattice: Lattice) -> None:
        self.lattice: Final = lattice
        self.types_module: Final = f"{SHARED_PACKAGE}.{lattice.generated_module}"
        self.protocols_module: Final = protocols_module(lattice)
        self._known: Final[dict[str, Known]] = {}
        for name in lattice.entities:
            self._known[f"{self.types_module}.{name}"] = EntityType(name)
        for enum in _enums(lattice):
            self._known[f"{self.types_module}.{enum.name}"] = enum
        for interface in lattice.interfaces.values():
            name = f"{self.protocols_module}.{interface.name}"
            self._known[name] = InterfaceType(interface)

    def get(self, meanings: frozenset[str]) -> Known | None:
        """The generated class that a name certainly stands for."""
        if len(meanings) != 1:
            return None
        (name,) = meanings
        return self._known.get(name)


def _enums(lattice: Lattice) -> Iterator[EnumType]:
    for entity in lattice.entities.values():
        for field in entity.fields.values():
            yield from enums_in(field.type)
    for interface in lattice.interfaces.values():
        for method in interface.methods.values():
            for param in method.params.values():
                yield from enums_in(param.type)
            yield from enums_in(method.returns.type)


class Inference:
    """Types of the expressions of one file, parsed with `INFERENCE_NODE_TYPES`."""

    def __init__(self, module: Module, names: GeneratedNames) -> None:
        self._module: Final = module
        self._names: Final = names
        self._narrowed: Final = {
            (id(owner), name) for name, owner in self._narrowings() if owner is not None
        }
        self._own: Final[dict[tuple[int, str], list[Alias | Declared | None]]] = {}
        self._note_own_attributes()

    def class_of(self, expression: ast.expr, scope: Scope) -> Known | None:
        """The generated class that an expression names."""
        return self._names.get(self._module.resolve(expression, scope))

    def type_of(self, expression: ast.expr, scope: Scope, depth: int = 0) -> Known | None:
        """The type that an expression certainly has apart from None, or None where unknown."""
        if depth > _MAX_DEPTH:
            return None
        depth += 1
        found: Known | None = None
        match expression:
            case ast.Name(id=name):
                found = self._type_of_name(name, scope, depth)
            case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
                found = self._type_of_own(attribute, scope, depth)
            case ast.Attribute(value=value, attr=attribute):
                match self.type_of(value, scope, depth):
                    case EntityType(name):
                        field = self._names.lattice.entities[name].fields.get(attribute)
                        found = field.type if field is not None else None
                    case _:
                        pass
            case ast.Subscript(value=value, slice=key) if not isinstance(key, ast.Slice):
                match self.type_of(value, scope, depth):
                    case ListType(item) | DictType(item):
                        found = item
                    case _:
                        pass
            case ast.Call(func=func):
                found = self._type_of_call(func, scope, depth)
            case ast.NamedExpr(value=value):
                found = self.type_of(value, scope, depth)
            case _:
                pass
        return found.inner if isinstance(found, OptionalType) else found

    def _type_of_call(self, func: ast.expr, scope: Scope, depth: int) -> Known | None:
        made = self.class_of(func, scope)
        if made is not None:
            return None if isinstance(made, InterfaceType) else made
        if not isinstance(func, ast.Attribute):
            return None
        made = self.class_of(func.value, scope)
        if func.attr in _MAKERS and isinstance(made, EntityType):
            return made
        match self.type_of(func.value, scope, depth):
            case InterfaceType(interface) if func.attr in interface.methods:
                return interface.methods[func.attr].returns.type
            case EntityType() as entity if func.attr in _COPIES:
                return entity
            case _:
                return None

    def _type_of_name(self, name: str, scope: Scope, depth: int) -> Known | None:
        owner = scope.owner(name)
        if owner is None or (id(owner), name) in self._narrowed:
            return None
        match owner.bindings[name]:
            case [Alias() | Declared() as binding]:
                return self._type_of_binding(binding, depth)
            case [Item(container=container, scope=where)]:
                match self.type_of(container, where, depth):
                    case ListType(item):
                        return item.inner if isinstance(item, OptionalType) else item
                    case _:
                        return None
            case _:
                return None

    def _type_of_binding(self, binding: Alias | Declared, depth: int) -> Known | None:
        if binding.annotation is not None:
            return self._annotated(binding.annotation, binding.scope, depth)
        if isinstance(binding, Alias):
            return self.type_of(binding.value, binding.scope, depth)
        return None

    def _annotated(self, annotation: ast.expr, scope: Scope, depth: int) -> Known | None:
        """The type that an annotation says, `| None` left out."""
        if depth > _MAX_DEPTH:
            return None
        depth += 1
        annotation = unquote(annotation)
        match annotation:
            case ast.Name() | ast.Attribute():
                return self.class_of(annotation, scope)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                others = [each for each in (left, right) if not _is_none(each)]
                return self._annotated(others[0], scope, depth) if len(others) == 1 else None
            case ast.Subscript(value=value, slice=inner):
                meanings = self._module.resolve(value, scope)
                if means(self._module, value, scope, "Optional", "Final"):
                    return self._annotated(inner, scope, depth)
                if "builtins.list" in meanings or means(self._module, value, scope, "List"):
                    item = self._annotated(inner, scope, depth)
                    if item is not None and not isinstance(item, InterfaceType):
                        return ListType(item)
                return None
            case _:
                return None

    def _narrowings(self) -> Iterator[tuple[str, Scope | None]]:
        """Names that the file tests for what they are, each with the block that binds it."""
        for node, scope in self._module.nodes(ast.Call, ast.Match):
            tested: ast.expr | None = None
            if isinstance(node, ast.Match):
                tested = node.subject
            elif isinstance(node, ast.Call) and self._narrows(node, scope):
                tested = node.args[0]
            while isinstance(tested, ast.Attribute):
                tested = tested.value
            if isinstance(tested, ast.Name):
                yield tested.id, scope.owner(tested.id)

    def _narrows(self, call: ast.Call, scope: Scope) -> bool:
        return bool(call.args and self._module.resolve(call.func, scope) & _NARROWING)

    def _note_own_attributes(self) -> None:
        """What is assigned to attributes of `self`, by class and name."""
        for node, scope in self._module.nodes(ast.Assign, ast.AnnAssign):
            found: Alias | Declared | None = None
            targets: list[ast.expr] = []
            if isinstance(node, ast.Assign):
                targets, found = node.targets, Alias(node.value, scope)
            elif isinstance(node, ast.AnnAssign):
                targets, found = [node.target], Declared(node.annotation, scope)
                if scope.kind == "class" and node.value is None:
                    # It binds nothing, so that the block does not know it.
                    name = getattr(node.target, "id", "")
                    self._own.setdefault((id(scope), name), []).append(found)
            for target in targets:
                match target:
                    case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
                        owner = _class_around(scope)
                        if owner is not None:
                            self._own.setdefault((id(owner), attribute), []).append(found)
                    case _:
                        pass

    def _type_of_own(self, attribute: str, scope: Scope, depth: int) -> Known | None:
        owner = _class_around(scope)
        if owner is None:
            return self._type_of_self_parameter(attribute, scope, depth)
        receiver = scope.owner("self")
        if receiver is None or (id(receiver), "self") in self._narrowed:
            return None
        found: list[Binding] = [*self._own.get((id(owner), attribute), [])]
        found += owner.bindings.get(attribute, [])
        declared = [
            each
            for each in found
            if isinstance(each, Alias | Declared) and each.annotation is not None
        ]
        match declared or found:
            case [Alias() | Declared() as binding]:
                return self._type_of_binding(binding, depth)
            case _:
                return None

    def _type_of_self_parameter(self, attribute: str, scope: Scope, depth: int) -> Known | None:
        """Outside of classes, `self` is a name like any other."""
        match self._type_of_name("self", scope, depth):
            case EntityType(name):
                field = self._names.lattice.entities[name].fields.get(attribute)
                return field.type if field is not None else None
            case _:
                return None


def _class_around(scope: Scope) -> Scope | None:
    """The class whose method a block is part of."""
    around: Scope | None = scope
    while around is not None and around.kind != "class":
        around = around.parent
    return around


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
