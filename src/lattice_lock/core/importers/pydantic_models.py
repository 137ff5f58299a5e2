"""Drafts entities from Pydantic models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lattice_lock.core.importers._described import default_value, element_from
from lattice_lock.core.importers.child import described
from lattice_lock.core.importers.draft import (
    DraftClause,
    DraftEntity,
    as_text,
    class_name,
    field_name,
    free_name,
    nullable,
)

if TYPE_CHECKING:
    from lattice_lock.core.importers.draft import Draft

__all__ = ["draft_pydantic"]

_NAMED = re.compile(r"([A-Za-z_]\w*): (.+)", re.DOTALL)


def draft_pydantic(source: str, draft: Draft, *, python: str, timeout_s: float) -> None:
    """Fill a draft from `package.module` or `path.py`, optionally `:Model`.

    Raises:
        UsageError: it cannot be imported.
    """
    task = {"kind": "pydantic", "source": source}
    found = described(task, what=f"`{source}`", python=python, timeout_s=timeout_s)
    for place, what, why in found["left"]:
        draft.leave(place, what, why)
    entities: dict[str, str] = {}
    for model in found["models"]:
        name = free_name(class_name(model["name"]), entities.values())
        draft.rename(model["place"], model["name"], name)
        entities[model["key"]] = name
    for model in found["models"]:
        draft.entities[entities[model["key"]]] = _entity(draft, model, entities)


def _entity(draft: Draft, model: dict[str, Any], entities: dict[str, str]) -> DraftEntity:
    place = model["place"]
    entity = DraftEntity(place=place, description=as_text(model["doc"]))
    for what, why in model["left"]:
        draft.leave(place, f"{what} of `{model['name']}`", why)
    for text, label in model["clauses"]:
        named = _NAMED.fullmatch(text)
        entity.ensures.append(
            DraftClause(text=named[2], name=named[1], place=f"{place} {label}")
            if named
            else DraftClause(text=text, place=f"{place} {label}")
        )
    for field in model["fields"]:
        old = field["name"]
        at = f"{place} {model['name']}.{old}"
        element = element_from(draft, field["element"], entities=entities, place=at, name=old)
        for what, why in field["left"]:
            draft.leave(at, f"{what} of `{old}`", why)
        texts = [as_text(field.get("title")), as_text(field.get("description"))]
        element.description = ": ".join(filter(None, texts)) or None
        if "default" in field:
            element.default = default_value(draft, element, field["default"], old)
            if element.default is None:
                element.kind = nullable(element.kind)
        name = free_name(field_name(old), entity.fields)
        draft.rename(at, old, name)
        entity.fields[name] = element
    return entity
