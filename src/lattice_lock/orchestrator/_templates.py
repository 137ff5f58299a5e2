"""Texts with places for values: `{{ draft }}`, `{{ plan.points }}`, `{{ inputs.topic }}`.

A template is taken apart once, when it is read. Values are put between its pieces as text and
never read as a template themselves, so what a model writes cannot fetch anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

import msgspec
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Reference", "Template", "as_text", "split_template"]

_REFERENCE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")
# Four braces stand for two; a place is closed in its own line.
_PLACE = re.compile(r"\{\{(?:(\{\{)|([^{}\n]*)(\}\})?)")


class Reference(msgspec.Struct, frozen=True):
    """A value by its name, `root`, and the fields that lead to the part that is meant."""

    root: str
    fields: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The reference that `text` writes as `root.field.field`; None where it is none."""
        if _REFERENCE.fullmatch(text) is None:
            return None
        root, *fields = text.split(".")
        return cls(root, tuple(fields))

    @override
    def __str__(self) -> str:
        return ".".join((self.root, *self.fields))


class Template(msgspec.Struct, frozen=True):
    """A text in which references stand for values."""

    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every reference, in the order of the text."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    def render(self, value_of: Callable[[Reference], object]) -> str:
        """The text, each reference replaced by its value; see `as_text`."""
        return "".join(
            as_text(value_of(part)) if isinstance(part, Reference) else part for part in self.parts
        )


def as_text(value: object) -> str:
    """A text as it is, any other value as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def split_template(text: str) -> Iterator[tuple[int, str | Reference | None]]:
    """The parts of a template with their offsets in `text`; None is a place that cannot be read."""
    end = 0
    for place in _PLACE.finditer(text):
        if place.start() > end:
            yield end, text[end : place.start()]
        end = place.end()
        if place[1]:
            yield place.start(), "{{"
        else:
            yield place.start(), Reference.parse(place[2].strip()) if place[3] else None
    if end < len(text):
        yield end, text[end:]
