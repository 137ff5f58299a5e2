"""Drafts a lattice from one source, and holds the draft to what the loader and the compiler say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lattice_lock.core.importers._settle import settle
from lattice_lock.core.importers.draft import Draft
from lattice_lock.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.core.importers.draft import Finding
    from lattice_lock.core.schema import Lattice

__all__ = ["DraftedLattice", "draft_lattice"]

_HEAD = """\
A draft of `lattice-lock import`, from {source}.
Read it, mend it, and delete these two lines. `lattice-lock compile` generates from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedLattice:
    """A lattice that loads and compiles, and what of its source it does not say.

    Attributes:
        text: YAML for `lattice.yaml`.
        lattice: what the loader makes of the text.
        left_behind: what could not be carried over.
        renamed: what was carried over under another name.
    """

    text: str
    lattice: Lattice
    left_behind: tuple[Finding, ...]
    renamed: tuple[Finding, ...]


def draft_lattice(fill: Callable[[Draft], None], *, source: str) -> DraftedLattice:
    """The lattice that `fill` drafts.

    Args:
        fill: adds to a draft what it finds in the source.
        source: what the text says it was drafted from.

    Raises:
        UsageError: nothing was found, or more than one lattice holds.
    """
    draft = Draft()
    fill(draft)
    draft.entities = {name: one for name, one in draft.entities.items() if one.fields}
    if not draft.entities and not draft.interfaces:
        listed = draft.findings[:1]
        raise UsageError(
            f"nothing was found in {source} that a lattice could say",
            hint=f"{listed[0].place}: {listed[0].what}: {listed[0].why}." if listed else None,
        )
    text, lattice = settle(draft, head=_HEAD.format(source=source))
    findings = draft.findings
    return DraftedLattice(
        text=text,
        lattice=lattice,
        left_behind=tuple(one for one in findings if one.kind == "left_behind"),
        renamed=tuple(one for one in findings if one.kind == "renamed"),
    )
