"""Pieces of text that the parts of a contract file have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lattice_lock.core import python_types
from lattice_lock.core.emitters.interfaces import dependency_parameter, implementation_module
from lattice_lock.core.emitters.pydantic_types import constrained_annotation
from lattice_lock.core.emitters.python_text import quoted
from lattice_lock.core.emitters.strategies import narrow
from lattice_lock.core.expressions import to_python
from lattice_lock.core.type_refs import (
    JSON,
    DictType,
    EntityType,
    ListType,
    OptionalType,
    entities_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lattice_lock.core.emitters.python_text import Imports
    from lattice_lock.core.schema import Clause, Constraints, Interface, Lattice, Method
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["Pieces", "assertion", "indented", "is_mutable", "keywords", "message"]

# Names that a contract file uses itself; a parameter of that name gets an underscore.
_TAKEN = frozenset(
    {
        "Annotated",
        "Any",
        "Decimal",
        "Fake",
        "HealthCheck",
        "TypeAdapter",
        "UTC",
        "UUID",
        "ValidationError",
        "assume",
        "contract",
        "date",
        "datetime",
        "deepcopy",
        "example",
        "expected",
        "given",
        "identity",
        "is_known",
        "like",
        "met",
        "mismatch",
        "one_seen",
        "problem",
        "result",
        "same",
        "seen_or",
        "service",
        "settings",
        "spare",
        "st",
        "timedelta",
    }
)


@dataclass(slots=True)
class Pieces:
    """Writes what every part of one contract file needs.

    Attributes:
        adapters: text of each `TypeAdapter` that stands at the head of the file, by its name.
    """

    lattice: Lattice
    imports: Imports
    adapters: dict[str, str] = field(default_factory=dict)

    def names(self, method: Method) -> dict[str, str]:
        """Python name of each parameter of a method."""
        return {name: f"{name}_" if name in _TAKEN else name for name in method.params}

    def python(self, clause: Clause, names: Mapping[str, str]) -> str:
        """A condition as Python text."""
        condition = to_python(clause.expression, names=names)
        self.imports.add_needs(condition.needs)
        return condition.text

    def import_type(self, type_ref: TypeRef) -> None:
        """Import what the annotation and the values of a type are written with."""
        module = self.lattice.generated_module
        self.imports.add(python_types.imports(type_ref, generated_module=module))
        for name in entities_in(type_ref):
            for one in self.lattice.entities[name].fields.values():
                self.imports.add(python_types.imports(one.type, generated_module=module))

    def parameters(self, method: Method) -> str:
        """The parameters of a method as those of a function, annotated."""
        names = self.names(method)
        for param in method.params.values():
            self.import_type(param.type)
        return ", ".join(
            f"{names[param.name]}: {python_types.annotation(param.type)}"
            for param in method.params.values()
        )

    def adapter(self, name: str, type_ref: TypeRef, constraints: Constraints) -> str:
        """Name of the adapter that checks values of a type, declared when it is first used."""
        annotation = constrained_annotation(type_ref, constraints, self.lattice, self.imports)
        self.imports.add([("typing", "Any"), ("pydantic", "TypeAdapter")])
        text = f"TypeAdapter({annotation})"
        while self.adapters.get(name, text) != text:
            name += "_"
        self.adapters[name] = text
        return name

    def limits(self, method: Method) -> dict[str, Constraints]:
        """Constraints of each parameter, tightened by what preconditions say of it alone."""
        limits = {name: param.constraints for name, param in method.params.items()}
        for clause in method.requires:
            limits, _ = narrow(clause, limits)
        return limits

    def preconditions(self, method: Method) -> list[str]:
        """Preconditions that values within `limits` need not fulfil, as Python text."""
        limits = {name: param.constraints for name, param in method.params.items()}
        remaining = []
        for clause in method.requires:
            limits, complete = narrow(clause, limits)
            if not complete or _optional_names(clause, method):
                remaining.append(self.python(clause, self.names(method)))
        return remaining

    def construct(self, interface: Interface) -> str:
        """An object of an implementation with the implementations that it depends on."""
        return self._construct(interface, self.construct)

    def construct_with_fakes(self, interface: Interface, fakes: Mapping[str, str]) -> str:
        """The same with stand-ins; `fakes` has the text of some dependencies by their names."""
        return self._construct(interface, lambda one: fakes.get(one.name) or self.construct(one))

    def _construct(self, interface: Interface, given: Callable[[Interface], str]) -> str:
        module = implementation_module(self.lattice, interface)
        self.imports.add([(module, interface.class_name)])
        dependencies = (self.lattice.interfaces[name] for name in interface.depends_on)
        arguments = {dependency_parameter(one): given(one) for one in dependencies}
        return f"{interface.class_name}({keywords(arguments)})"


def is_mutable(type_ref: TypeRef, lattice: Lattice, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a value of this type, or something in it, can be changed in place."""
    match type_ref:
        case ListType() | DictType():
            return True
        case OptionalType(inner):
            return is_mutable(inner, lattice, seen)
        case EntityType(name) if name not in seen:
            fields = lattice.entities[name].fields.values()
            return any(is_mutable(one.type, lattice, seen | {name}) for one in fields)
        case _:
            return type_ref == JSON


def _optional_names(clause: Clause, method: Method) -> bool:
    source = clause.expression.source
    return any(
        isinstance(param.type, OptionalType) and name in source
        for name, param in method.params.items()
    )


def message(clause: Clause) -> str:
    """What a failed condition says first, as Python text."""
    named = f"{clause.name}: " if clause.name else ""
    return quoted(f"{clause.path}: {named}{clause.expression.source}")


def assertion(condition: str, text: str) -> list[str]:
    """Lines of an assertion with its message."""
    return [f"assert {condition}, (", f"    {text}", ")"]


def indented(lines: Iterable[str], depth: int = 1) -> str:
    """Lines as a block."""
    return "".join(f"{'    ' * depth}{line}".rstrip() + "\n" for line in lines)


def keywords(values: Mapping[str, str]) -> str:
    """Keyword arguments of a call."""
    return ", ".join(f"{name}={text}" for name, text in values.items())
