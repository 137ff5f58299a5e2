"""Makes a draft one that loads and compiles: whatever stands in the way is taken out and listed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.importers._yaml_text import Line, enum_in, write_draft
from lattice_lock.core.importers.draft import UNSET, field_name, free_name, nullable
from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.type_refs import JSON, STR, EntityType
from lattice_lock.exceptions import CompileError, InternalError, LatticeError, UsageError

if TYPE_CHECKING:
    from lattice_lock.core.importers.draft import (
        Draft,
        DraftClause,
        DraftEntity,
        DraftMethod,
        Element,
    )
    from lattice_lock.core.schema import Lattice
    from lattice_lock.exceptions import Problem

__all__ = ["settle"]

_MOST_ROUNDS = 500
_QUOTED = re.compile(r"`([a-z_]+)`")
_FLAGS = ("primary_key", "unique", "index")


def settle(draft: Draft, *, head: str) -> tuple[str, Lattice]:
    """Text of the lattice and what it loads as; the draft lists what had to be taken out.

    Raises:
        UsageError: it is too large to be one lattice.
    """
    draft.spell_clauses()
    _limit_tables(draft)
    for _ in range(_MOST_ROUNDS):
        written = write_draft(draft, head=head)
        try:
            lattice = parse_lattice(written.text, file="lattice.yaml")
            compile_lattice(lattice)
        except (LatticeError, CompileError) as error:
            relaxed = {
                owner.path[:4]: _relax(draft, owner, problem)
                for problem in reversed(error.problems)
                if (owner := written.owners.get(problem.location.line)) and owner.path
            }
            if not any(relaxed.values()):
                raise UsageError(
                    f"what was read does not make one lattice: {error.problems[0].message}",
                    hint="Import a part of it.",
                ) from error
        else:
            return written.text, lattice
    raise InternalError("a draft does not settle")


def _limit_tables(draft: Draft) -> None:
    """Keep out of tables what the compiler keeps out of them."""
    stored = {name for name, one in draft.entities.items() if one.stored}
    for entity in draft.entities.values():
        for name, element in entity.fields.items():
            reference = element.references
            if entity.stored and reference is not None and reference[0] not in stored:
                element.references = None
                draft.leave(
                    element.place,
                    f"foreign key of `{name}`",
                    f"`{reference[0]}` is not a table of the draft",
                )


def _relax(draft: Draft, owner: Line, problem: Problem) -> bool:
    """Take out what a problem is about; whether anything was."""
    section, name, *rest = owner.path
    if section == "entities":
        entity = draft.entities.get(name)
        return entity is not None and _relax_entity(draft, entity, owner, problem)
    interface = draft.interfaces.get(name)
    if interface is None:
        return False
    if rest[:1] == ["methods"] and rest[1] in interface.methods:
        method = interface.methods[rest[1]]
        if not _relax_method(draft, method, rest[2:], owner, problem):
            draft.leave(method.place, f"method `{rest[1]}`", problem.message)
            del interface.methods[rest[1]]
    elif rest == ["description"]:
        draft.leave(interface.place, f"description of `{name}`", problem.message)
        interface.description = None
    else:
        draft.leave(interface.place, f"interface `{name}`", problem.message)
        del draft.interfaces[name]
    if not interface.methods:
        draft.interfaces.pop(name, None)
    return True


def _relax_entity(draft: Draft, entity: DraftEntity, owner: Line, problem: Problem) -> bool:
    _, name, *rest = owner.path
    if rest[:1] == ["fields"]:
        if rest[1] not in entity.fields:
            return False
        return _relax_field(draft, entity, rest[1], owner, problem)
    if rest[:1] == ["ensures"]:
        return _drop_clause(draft, entity.ensures, int(rest[1]), problem)
    if rest[:1] == ["transitions"]:
        draft.leave(entity.place, "transitions", problem.message)
        entity.transitions = {}
    elif rest == ["description"]:
        draft.leave(entity.place, f"description of `{name}`", problem.message)
        entity.description = None
    elif entity.stored and "taken by a class" not in problem.message:
        _unstore(draft, name, entity, problem.message)
    else:
        draft.rename_entity(name, free_name(f"{name}Record", draft.entities))
    return True


def _unstore(draft: Draft, name: str, entity: DraftEntity, why: str) -> None:
    entity.stored = False
    draft.leave(entity.place, f"table of `{name}`", why)
    _limit_tables(draft)


def _drop_clause(draft: Draft, clauses: list[DraftClause], number: int, problem: Problem) -> bool:
    if number >= len(clauses):
        return False
    clause = clauses.pop(number)
    draft.leave(clause.place, f"condition `{clause.text}`", problem.message)
    return True


def _relax_field(
    draft: Draft, entity: DraftEntity, name: str, owner: Line, problem: Problem
) -> bool:
    element = entity.fields[name]
    key = owner.key_at(problem.location.column) or _key_in(element, problem.message)
    if key is not None:
        return _drop_key(draft, element, name, key, problem.message)
    if "is an attribute of every" in problem.message:
        # A suffix does not free a name whose beginning is taken.
        other = f"field_{name}" if name.startswith(("model_", "sqlmodel_")) else f"{name}_"
        new = free_name(field_name(other), entity.fields)
        draft.rename(element.place, name, new)
        entity.fields = {new if one == name else one: two for one, two in entity.fields.items()}
        for clause in entity.ensures:
            clause.text = re.sub(rf"(?<![.'\"\w]){re.escape(name)}\b", new, clause.text)
        _rename_references(draft, entity, name, new)
    elif isinstance(element.kind, EntityType) and "can never be built" in problem.message:
        element.kind, element.default = nullable(element.kind), None
        draft.leave(element.place, f"`{name}` is required", problem.message)
    elif entity.stored:
        owner_name = owner.path[1]
        _unstore(draft, owner_name, entity, problem.message)
    else:
        del entity.fields[name]
        draft.leave(element.place, f"field `{name}`", problem.message)
    return True


def _rename_references(draft: Draft, entity: DraftEntity, old: str, new: str) -> None:
    owner = next(name for name, one in draft.entities.items() if one is entity)
    for element in draft.elements():
        if element.references == (owner, old):
            element.references = (owner, new)


def _key_in(element: Element, message: str) -> str | None:
    """The constraint or reference that a message about a whole field speaks of."""
    for word in _QUOTED.findall(message)[:2]:
        if word in element.constraints:
            return str(word)
    return "references" if element.references and " refers to " in message else None


def _relax_method(
    draft: Draft, method: DraftMethod, rest: list[str], owner: Line, problem: Problem
) -> bool:
    match rest:
        case ["params", name] if name in method.params:
            element = method.params[name]
        case ["returns"] if method.returns is not None:
            element, name = method.returns, "result"
        case ["requires", number]:
            return _drop_clause(draft, method.requires, int(number), problem)
        case ["ensures", number]:
            return _drop_clause(draft, method.ensures, int(number), problem)
        case ["description"]:
            draft.leave(method.place, "description", problem.message)
            method.description = None
            return True
        case _:
            return False
    key = owner.key_at(problem.location.column)
    return key is not None and _drop_key(draft, element, name, key, problem.message)


def _drop_key(draft: Draft, element: Element, name: str, key: str, why: str) -> bool:
    place = element.place
    if key in element.constraints:
        value = element.constraints.pop(key)
        draft.leave(place, f"`{key}: {value}` of `{name}`", why)
    elif key == "default":
        draft.leave(place, f"default of `{name}`", why)
        element.default = UNSET
    elif key == "references":
        draft.leave(place, f"foreign key of `{name}`", why)
        element.references = None
    elif key in _FLAGS:
        draft.leave(place, f"`{key}` of `{name}`", why)
        setattr(element, key, False)
    elif key == "description":
        draft.leave(place, f"description of `{name}`", why)
        element.description = None
    elif key == "enum" and enum_in(element.kind) == element.kind:
        draft.leave(place, f"values of `{name}`", why)
        element.kind = STR
    elif element.kind != JSON:
        draft.leave(place, f"type of `{name}`", why)
        element.kind, element.constraints = JSON, {}
    else:
        return False
    return True
