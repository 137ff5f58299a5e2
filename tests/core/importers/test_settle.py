"""What stands in the way of a draft is taken out and listed, and the rest loads and compiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.importers.draft import (
    Draft,
    DraftClause,
    DraftEntity,
    DraftInterface,
    DraftMethod,
    Element,
    condition_text,
    literal,
    nullable,
)
from lattice_lock.core.importers.drafting import draft_lattice
from lattice_lock.core.type_refs import (
    INT,
    STR,
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.core.importers.drafting import DraftedLattice


def element(kind: Any = INT, **more: Any) -> Element:
    """Something with a type, from place 1."""
    return Element(kind=kind, place="models.py:1", **more)


def entity(fields: dict[str, Element] | None = None, **more: Any) -> DraftEntity:
    """An entity with a field of its own."""
    found = {"size": element()} if fields is None else fields
    return DraftEntity(place="models.py:2", fields=found, **more)


def shop(**methods: DraftMethod) -> DraftInterface:
    """An interface with one sound method besides."""
    sound = DraftMethod(place="api.yaml:3", params={"count": element()}, returns=element())
    return DraftInterface(
        place="api.yaml:1", file="src/services/shop.py", methods={"count": sound, **methods}
    )


def clause(text: str) -> DraftClause:
    """A condition from place 9."""
    return DraftClause(text=text, place="models.py:9")


def method(**more: Any) -> DraftMethod:
    """A method of one parameter."""
    fields: dict[str, Any] = {"params": {"n": element()}, "returns": element()}
    return DraftMethod(place="api.yaml:7", **(fields | more))


def drafted(
    entities: dict[str, DraftEntity], interfaces: dict[str, DraftInterface] | None = None
) -> DraftedLattice:
    """The lattice of a draft; it loads and compiles, or this fails."""

    def fill(draft: Draft) -> None:
        draft.entities.update(entities)
        draft.interfaces.update(interfaces or {})

    found = draft_lattice(fill, source="a test")
    compile_lattice(found.lattice)
    return found


_BROKEN: dict[str, Callable[[], tuple[dict[str, DraftEntity], dict[str, DraftInterface], str]]] = {
    "a constraint that the type has not": lambda: (
        {"Box": entity({"size": element(STR, constraints={"gt": 0})})},
        {},
        "of `size`",
    ),
    "limits that leave nothing": lambda: (
        {"Box": entity({"size": element(constraints={"gt": 5, "lt": 3})})},
        {},
        "of `size`",
    ),
    "a pattern that cannot be": lambda: (
        {"Box": entity({"size": element(STR, constraints={"pattern": "(a"})})},
        {},
        "of `size`",
    ),
    "a default of another type": lambda: (
        {"Box": entity({"size": element(default="many")})},
        {},
        "default of `size`",
    ),
    "a reference to nothing": lambda: (
        {"Box": entity({"size": element(references=("Nobody", "id"))})},
        {},
        "foreign key of `size`",
    ),
    "a condition over an unknown name": lambda: (
        {"Box": entity(ensures=[clause("weight > 0")])},
        {},
        "condition `weight > 0`",
    ),
    "a condition that nothing meets": lambda: (
        {"Box": entity(ensures=[clause("size > size")])},
        {},
        "condition",
    ),
    "transitions of no enum": lambda: (
        {"Box": entity(transitions={"size": {"a": ["b"]}})},
        {},
        "transitions",
    ),
    "two names of enum values alike": lambda: (
        {"Box": entity({"size": element(EnumType("BoxSize", ("a", "a")))})},
        {},
        "of `size`",
    ),
    "an entity that holds itself": lambda: (
        {"Box": entity({"inner": element(EntityType("Box")), "size": element()})},
        {},
        "`inner` is required",
    ),
    "a key that may be null": lambda: (
        {"Box": entity({"size": element(nullable(INT), primary_key=True)})},
        {},
        "of `size`",
    ),
    "a table without a key": lambda: ({"Box": entity(stored=True)}, {}, "table of `Box`"),
    "a foreign key out of the tables": lambda: (
        {
            "Box": entity(
                {
                    "box_id": element(primary_key=True),
                    "lid": element(references=("Lid", "size")),
                },
                stored=True,
            ),
            "Lid": entity(),
        },
        {},
        "foreign key of `lid`",
    ),
    "a method with a wrong requirement": lambda: (
        {"Box": entity()},
        {"IShop": shop(pay=method(requires=[clause("m > 0")]))},
        "condition `m > 0`",
    ),
    "a method with a wrong promise": lambda: (
        {"Box": entity()},
        {"IShop": shop(pay=method(ensures=[clause("result == nothing")]))},
        "condition `result == nothing`",
    ),
    "a parameter with a wrong limit": lambda: (
        {"Box": entity()},
        {"IShop": shop(pay=method(params={"n": element(STR, constraints={"gt": 0})}))},
        "of `n`",
    ),
    "a result of an unknown type": lambda: (
        {"Box": entity()},
        {"IShop": shop(pay=method(returns=element(EntityType("Nobody"))))},
        "method `pay`",
    ),
    "a method by a name that is none": lambda: (
        {"Box": entity()},
        {"IShop": shop(**{"class": method()})},
        "method `class`",
    ),
}


@pytest.mark.parametrize("name", _BROKEN)
def test_what_does_not_load_is_taken_out_and_listed(name: str) -> None:
    """The sound rest of the draft is kept, and what went is named with its place."""
    entities, interfaces, what = _BROKEN[name]()
    found = drafted(entities, interfaces)
    assert "Box" in found.lattice.entities
    assert any(what in one.what for one in found.left_behind), found.left_behind
    assert all(":" in one.place for one in found.left_behind)
    if interfaces:
        assert "count" in found.lattice.interfaces["IShop"].methods


@pytest.mark.parametrize("name", ["model_dump", "copy", "json", "model_fields"])
def test_a_field_named_like_an_attribute_is_renamed_everywhere(name: str) -> None:
    """Conditions and foreign keys follow the new name."""
    found = drafted(
        {
            "Box": entity({name: element(primary_key=True)}, ensures=[clause(f"{name} > 0")]),
            "Lid": entity({"box": element(references=("Box", name))}),
        }
    )
    ((new, kept),) = found.lattice.entities["Box"].fields.items()
    assert new != name
    assert any(name in one.what for one in found.renamed)
    assert kept.primary_key
    reference = found.lattice.entities["Lid"].fields["box"].references
    assert reference is not None
    assert (reference.entity, reference.field) == ("Box", new)
    texts = [one.expression.source for one in found.lattice.entities["Box"].ensures]
    assert texts == [f"{new} > 0"]


def test_an_entity_named_like_an_imported_class_is_renamed_everywhere() -> None:
    """Lists, dictionaries, optional values and methods of it follow."""
    found = drafted(
        {
            "Decimal": entity(),
            "Box": entity(
                {
                    "many": element(ListType(EntityType("Decimal"))),
                    "named": element(DictType(EntityType("Decimal"))),
                    "one": element(OptionalType(EntityType("Decimal"))),
                }
            ),
        },
        {"IShop": shop(find=method(returns=element(EntityType("Decimal"))))},
    )
    (new,) = set(found.lattice.entities) - {"Box"}
    assert new.startswith("DecimalRecord")
    fields = found.lattice.entities["Box"].fields
    assert fields["many"].type == ListType(EntityType(new))
    assert fields["named"].type == DictType(EntityType(new))
    assert fields["one"].type == OptionalType(EntityType(new))
    assert found.lattice.interfaces["IShop"].methods["find"].returns.type == EntityType(new)


def test_limits_are_spelt_as_conditions() -> None:
    """What a key cannot say of a value is said by a condition, texts in quotes."""
    assert condition_text("size", "gt", 3) == "size > 3"
    assert condition_text("size", "unknown", 3) is None
    assert literal("it's") == '"it\'s"'
