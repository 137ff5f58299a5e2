"""Bodies of repositories: the methods whose name and signature say all there is to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_lock.core.emitters.sqlmodel_tables import (
    row_class,
    stored_entities,
    table_name,
    tables_module,
)
from lattice_lock.core.type_refs import BOOL, EntityType, ListType, OptionalType, entities_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lattice_lock.core.schema import Entity, Interface, Lattice, Method

__all__ = ["repository_body", "repository_entities", "repository_imports", "session_class"]

_INDENT = " " * 8


def repository_entities(lattice: Lattice, interface: Interface) -> tuple[Entity, ...]:
    """The entities with a table that the methods of an interface mention."""
    mentioned = {
        name
        for method in interface.methods.values()
        for kind in (method.returns.type, *(param.type for param in method.params.values()))
        for name in entities_in(kind)
    }
    return tuple(one for one in stored_entities(lattice) if one.name in mentioned)


def repository_imports(lattice: Lattice, entities: Iterable[Entity]) -> Iterator[tuple[str, str]]:
    """What the bodies may need, as pairs of `from MODULE import NAME`."""
    session = session_class(lattice)
    yield "sqlmodel", "Session" if session == "Session" else f"Session as {session}"
    yield from (("sqlmodel", name) for name in ("col", "select"))
    yield tables_module(lattice), "memory_session"
    yield from ((tables_module(lattice), row_class(one.name)) for one in entities)


def session_class(lattice: Lattice) -> str:
    """Name for SQLModel's `Session`, which the lattice may need for a class of its own."""
    own = {*lattice.entities, *(one.class_name for one in lattice.interfaces.values())}
    return "DatabaseSession" if "Session" in own else "Session"


def repository_body(method: Method, entities: Iterable[Entity]) -> str | None:
    """The body of a method, indented; None where only its author can know it.

    A body is written for these, where `<noun>` may be left out and is the name of the table, its
    end or the plural of either, and `key` is every field of the primary key in order:

    - `add|create|insert[_<noun>](entity)` that returns the entity or nothing
    - `get|find[_<noun>|_by_<key>](key)` that returns the entity or null
    - `list[_<noun>]()` that returns a list of them
    - `update[_<noun>](entity)` that returns bool, or the entity or null
    - `delete|remove[_<noun>|_by_<key>](key)` that returns bool or nothing

    A method that declares errors has none: when to raise them is for its author to say.
    """
    if method.raises:
        return None
    verb = method.name.partition("_")[0]
    writers = {
        "add": _add,
        "create": _add,
        "insert": _add,
        "get": _get,
        "find": _get,
        "list": _list,
        "update": _update,
        "delete": _delete,
        "remove": _delete,
    }
    if verb not in writers:
        return None
    found = [
        lines
        for entity in entities
        if _means(method.name.removeprefix(verb), entity)
        and (lines := writers[verb](method, entity)) is not None
    ]
    if len(found) != 1:
        return None
    return "".join(f"{_INDENT}{line}\n" for line in found[0])


def _means(rest: str, entity: Entity) -> bool:
    """Whether what follows the verb names the entity, or nothing."""
    words = table_name(entity.name).split("_")
    nouns = {"_".join(words[start:]) for start in range(len(words))}
    keys = "_and_".join(_key(entity))
    known = {"", *nouns, *(f"{noun}s" for noun in nouns), f"by_{keys}"}
    return rest.removeprefix("_") in known


def _key(entity: Entity) -> list[str]:
    return [one.name for one in entity.fields.values() if one.primary_key]


def _takes_entity(method: Method, entity: Entity) -> str | None:
    """Name of the only parameter, where it is the entity."""
    params = list(method.params.values())
    if len(params) == 1 and params[0].type == EntityType(entity.name):
        return params[0].name
    return None


def _takes_key(method: Method, entity: Entity) -> str | None:
    """Text of the key that the parameters give, where they are the primary key."""
    key = [one for one in entity.fields.values() if one.primary_key]
    params = list(method.params.values())
    if [one.type for one in params] != [one.type for one in key]:
        return None
    words = table_name(entity.name).split("_")
    owners = {"", *(f"{'_'.join(words[start:])}_" for start in range(len(words)))}
    for param, field in zip(params, key, strict=True):
        if param.name not in {f"{owner}{field.name}" for owner in owners}:
            return None
    names = [one.name for one in params]
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


def _add(method: Method, entity: Entity) -> list[str] | None:
    given = _takes_entity(method, entity)
    if given is None or method.returns.type not in (None, EntityType(entity.name)):
        return None
    lines = [
        f"self._session.add({row_class(entity.name)}.model_validate({given}))",
        "self._session.flush()",
    ]
    return lines if method.returns.type is None else [*lines, f"return {given}"]


def _get(method: Method, entity: Entity) -> list[str] | None:
    key = _takes_key(method, entity)
    if key is None or method.returns.type != OptionalType(EntityType(entity.name)):
        return None
    return [
        f"stored_row = self._session.get({row_class(entity.name)}, {key})",
        "return None if stored_row is None else stored_row.to_entity()",
    ]


def _list(method: Method, entity: Entity) -> list[str] | None:
    if method.params or method.returns.type != ListType(EntityType(entity.name)):
        return None
    row = row_class(entity.name)
    order = ", ".join(f"col({row}.{name})" for name in _key(entity))
    return [
        f"rows = self._session.exec(select({row}).order_by({order}))",
        "return [row.to_entity() for row in rows]",
    ]


def _update(method: Method, entity: Entity) -> list[str] | None:
    given = _takes_entity(method, entity)
    kind = method.returns.type
    if given is None or kind not in (BOOL, OptionalType(EntityType(entity.name))):
        return None
    names = [f"{given}.{name}" for name in _key(entity)]
    key = names[0] if len(names) == 1 else f"({', '.join(names)})"
    missing, done = ("False", "True") if kind == BOOL else ("None", given)
    return [
        f"stored_row = self._session.get({row_class(entity.name)}, {key})",
        "if stored_row is None:",
        f"    return {missing}",
        f"stored_row.sqlmodel_update({given})",
        "self._session.flush()",
        f"return {done}",
    ]


def _delete(method: Method, entity: Entity) -> list[str] | None:
    key = _takes_key(method, entity)
    if key is None or method.returns.type not in (None, BOOL):
        return None
    lines = [f"stored_row = self._session.get({row_class(entity.name)}, {key})"]
    if method.returns.type is None:
        return [
            *lines,
            "if stored_row is not None:",
            "    self._session.delete(stored_row)",
            "    self._session.flush()",
        ]
    return [
        *lines,
        "if stored_row is None:",
        "    return False",
        "self._session.delete(stored_row)",
        "self._session.flush()",
        "return True",
    ]
