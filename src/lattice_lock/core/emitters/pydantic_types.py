"""Entities and enums as Pydantic models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lattice_lock.core import python_types
from lattice_lock.core.emitters.python_text import (
    Imports,
    docstring,
    enum_member,
    enums_in,
    header,
    literal,
    quoted,
)
from lattice_lock.core.expressions import to_python
from lattice_lock.core.type_refs import (
    STR,
    DictType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
    TypeRef,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lattice_lock.core.schema import Clause, Constraints, Entity, Field, Lattice
    from lattice_lock.core.type_refs import EnumType

__all__ = ["CLASS_HOMES", "UNIQUE_ITEMS_CHECK", "constrained_annotation", "emit_types"]


def emit_types(lattice: Lattice) -> str:
    """Text of the generated types module."""
    imports = Imports(home=f"{python_types.SHARED_PACKAGE}.{lattice.generated_module}")
    blocks = [_enum(enum, imports) for enum in _all_enums(lattice)]
    blocks += [_entity(entity, lattice, imports) for entity in lattice.entities.values()]
    exported = sorted(
        {enum.name for enum in _all_enums(lattice)} | set(lattice.entities), key=str.lower
    )
    unique = any(
        field.constraints.unique_items
        for one in lattice.entities.values()
        for field in one.fields.values()
    )
    names = "".join(f'    "{name}",\n' for name in exported)
    text = header(lattice, f"Entities of the lattice, as of {lattice.version}.")
    if unique:
        blocks.insert(0, UNIQUE_ITEMS_CHECK)
    if any("(_storable)" in block for block in blocks):
        blocks.insert(0, _STORABLE_CHECK)
    if any("_PLAIN]" in block for block in blocks):
        imports.add([("decimal", "Decimal"), ("pydantic", "PlainSerializer")])
        blocks.insert(0, _PLAIN_DECIMAL)
    rendered = imports.render("".join(blocks))
    if rendered:
        text += f"\n{rendered}\n"
    text += f"\n__all__ = [\n{names}]\n" if exported else "\n__all__: list[str] = []\n"
    return text + "".join(f"\n\n{block}" for block in blocks)


UNIQUE_ITEMS_CHECK = """def _without_repetition(items: list[Any]) -> list[Any]:
    if any(item in items[:index] for index, item in enumerate(items)):
        raise ValueError("items must not repeat")
    return items
"""


_STORABLE_CHECK = """def _storable(text: str) -> str:
    if "\\0" in text:
        raise ValueError("a text in a table cannot hold the character 0")
    text.encode()  # a lone surrogate is a ValueError
    return text
"""


# Written out, `1E+999999999` would be a gigabyte.
_PLAIN_DECIMAL = """def _without_exponent(value: Decimal) -> str:
    return str(value) if abs(value.adjusted()) > 400 else f"{value:f}"


_PLAIN = PlainSerializer(_without_exponent, return_type=str, when_used="json")
"""


def _all_enums(lattice: Lattice) -> tuple[EnumType, ...]:
    types: list[TypeRef | None] = [
        field.type for entity in lattice.entities.values() for field in entity.fields.values()
    ]
    for interface in lattice.interfaces.values():
        for method in interface.methods.values():
            types += [*(param.type for param in method.params.values()), method.returns.type]
    return tuple(dict.fromkeys(enum for one in types for enum in enums_in(one)))


def _enum(enum: EnumType, imports: Imports) -> str:
    imports.add([("enum", "StrEnum")])
    members = "".join(
        f"    {enum_member(enum, value)} = {quoted(value)}\n" for value in enum.values
    )
    return f"class {enum.name}(StrEnum):\n{members}"


def _entity(entity: Entity, lattice: Lattice, imports: Imports) -> str:
    imports.add([("pydantic", "BaseModel"), ("pydantic", "ConfigDict")])
    text = f"class {entity.name}(BaseModel):\n"
    text += docstring(entity.description or f"`{entity.name}` of the lattice.", indent="    ")
    text += (
        "\n    model_config = ConfigDict(\n"
        '        extra="forbid",\n'
        "        frozen=True,\n"
        '        regex_engine="python-re",\n'
        '        revalidate_instances="always",\n'
        "    )\n\n"
    )
    names = set(entity.fields)
    stored = entity.persistence == "table"
    text += "".join(
        _field(field, names, lattice, imports, stored=stored) for field in entity.fields.values()
    )
    for number, clause in enumerate(entity.ensures):
        text += f"\n{_invariant(clause, number, entity, imports)}"
    return text


def _field(
    field: Field, names: set[str], lattice: Lattice, imports: Imports, *, stored: bool
) -> str:
    annotation = constrained_annotation(
        field.type, field.constraints, lattice, imports, stored=stored, dumped=True
    )
    default = ""
    if field.default is not None:
        value = literal(field.default.value, field.type, lattice.entities)
        if isinstance(field.default.value, list | dict):
            imports.add([("pydantic", "Field")])
            empty = {"[]": "list", "{}": "dict"}
            default = f" = Field(default_factory={empty.get(value, f'lambda: {value}')})"
        else:
            default = f" = {value}"
    # A field named like a class would hide that class from the annotations after it.
    for name in sorted(names & CLASS_HOMES.keys()):
        annotation = re.sub(rf"\b(?<![.\"']){name}\b(?!=)", f"_{name}", annotation)
        if not default.startswith(' = "'):
            default = re.sub(rf"\b(?<![.\"']){name}\b(?=[(.]|\)$)", f"_{name}", default)
        imports.add([(CLASS_HOMES[name], f"{name} as _{name}")])
    text = f"    {field.name}: {annotation}{default}\n"
    if field.description:
        text += docstring(field.description, indent="    ")
    return text


CLASS_HOMES = {
    **dict.fromkeys(("date", "datetime", "timedelta"), "datetime"),
    **dict.fromkeys(("bool", "bytes", "dict", "float", "int", "list", "str"), "builtins"),
}
"""Classes of annotations that a field may be called like, with the module of each."""


def constrained_annotation(
    type_ref: TypeRef,
    constraints: Constraints,
    lattice: Lattice,
    imports: Imports,
    *,
    stored: bool = False,
    dumped: bool = False,
) -> str:
    """Annotation that makes Pydantic check a type together with its constraints.

    Where `unique_items` is used, the module needs the function of `UNIQUE_ITEMS_CHECK`.

    Args:
        stored: whether a column of a table holds the value, which no database does of every text.
        dumped: whether the value becomes JSON, in which the module's `_PLAIN` writes a `Decimal`.
    """
    imports.add(python_types.imports(type_ref, generated_module=lattice.generated_module))
    if isinstance(type_ref, OptionalType):
        inner = constrained_annotation(
            type_ref.inner, constraints, lattice, imports, stored=stored, dumped=dumped
        )
        return f"{inner} | None"
    arguments = list(_field_arguments(type_ref, constraints, lattice))
    metadata = [f"Field({', '.join(arguments)})"] if arguments else []
    if constraints.unique_items:
        metadata.append("AfterValidator(_without_repetition)")
        imports.add([("pydantic", "AfterValidator"), ("typing", "Any")])
    if stored and type_ref == STR:
        metadata.append("AfterValidator(_storable)")
        imports.add([("pydantic", "AfterValidator")])
    if dumped and type_ref == ScalarType(ScalarName.DECIMAL):
        metadata.append("_PLAIN")
        base = python_types.annotation(type_ref)
    else:
        base = _checked_annotation(type_ref, imports, dumped=dumped)
    if not metadata:
        return base
    if arguments:
        imports.add([("pydantic", "Field")])
    imports.add([("typing", "Annotated")])
    return f"Annotated[{base}, {', '.join(metadata)}]"


def _checked_annotation(type_ref: TypeRef, imports: Imports, *, dumped: bool) -> str:
    """The plain annotation, with the classes by which Pydantic checks more than Python's own."""
    match type_ref:
        case ScalarType(ScalarName.DATETIME):
            imports.add([("pydantic", "AwareDatetime")])
            return "AwareDatetime"
        case ScalarType(ScalarName.FLOAT):
            imports.add([("pydantic", "FiniteFloat")])
            return "FiniteFloat"
        case ScalarType(ScalarName.DECIMAL) if dumped:
            imports.add([("typing", "Annotated")])
            return "Annotated[Decimal, _PLAIN]"
        case ListType(item):
            return f"list[{_checked_annotation(item, imports, dumped=dumped)}]"
        case DictType(item):
            return f"dict[str, {_checked_annotation(item, imports, dumped=dumped)}]"
        case OptionalType(inner):
            return f"{_checked_annotation(inner, imports, dumped=dumped)} | None"
        case _:
            return python_types.annotation(type_ref)


def _field_arguments(
    type_ref: TypeRef, constraints: Constraints, lattice: Lattice
) -> Iterable[str]:
    for name in ("gt", "ge", "lt", "le", "multiple_of"):
        limit = getattr(constraints, name)
        if limit is not None:
            yield f"{name}={literal(limit, type_ref, lattice.entities)}"
    if constraints.precision is not None:
        yield f"max_digits={constraints.precision}"
    if constraints.scale is not None:
        yield f"decimal_places={constraints.scale}"
    for name in ("min_length", "max_length"):
        length = getattr(constraints, name)
        if length is not None:
            yield f"{name}={length}"
    if constraints.pattern is not None:
        whole = rf"\A(?:{constraints.pattern})\Z"
        yield f"pattern={quoted(whole)}"


def _invariant(clause: Clause, number: int, entity: Entity, imports: Imports) -> str:
    imports.add([("pydantic", "model_validator"), ("typing", "Self")])
    condition = to_python(clause.expression, names={name: f"self.{name}" for name in entity.fields})
    imports.add_needs(condition.needs)
    label = f"{clause.name}: " if clause.name else ""
    message = f"{label}{clause.expression.source}"
    return (
        '    @model_validator(mode="after")\n'
        f"    def _invariant_{number}(self) -> Self:\n"
        f"        if not ({condition.text}):\n"
        f"            raise ValueError({quoted(message)})\n"
        "        return self\n"
    )
