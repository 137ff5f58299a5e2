"""What the methods of a repository mean by name and signature alone, see `repository_body`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lattice_lock.core.emitters.repository import repository_body, repository_entities

if TYPE_CHECKING:
    from lattice_lock.core.schema import Entity, Interface, Lattice, Method

__all__ = ["Meaning", "is_adding", "key_fields", "repository_meaning"]

_VERBS: Final = {"create": "add", "insert": "add", "find": "get", "remove": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a method does to the stored values of an entity.

    Attributes:
        verb: one of `add`, `get`, `list`, `update`, `delete`.
        entity: what is stored; `get` and `delete` take the fields of its key, in order.
    """

    verb: str
    entity: Entity


def repository_meaning(lattice: Lattice, interface: Interface, method: Method) -> Meaning | None:
    """What a method means; None where only its contract says it, and for other scaffolds."""
    if interface.scaffold != "repository_pattern":
        return None
    entities = repository_entities(lattice, interface)
    if repository_body(method, entities) is None:
        return None
    (entity,) = (one for one in entities if repository_body(method, [one]) is not None)
    return Meaning(verb=_verb(method), entity=entity)


def is_adding(method: Method) -> bool:
    """Whether a method adds something that may not be there yet, by its name."""
    return _verb(method) == "add"


def key_fields(entity: Entity) -> list[str]:
    """Names of the fields of the primary key."""
    return [one.name for one in entity.fields.values() if one.primary_key]


def _verb(method: Method) -> str:
    verb = method.name.partition("_")[0]
    return _VERBS.get(verb, verb)
