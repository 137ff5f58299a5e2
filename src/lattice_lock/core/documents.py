"""Documents of a lattice for those who do not read Python, each at a path of its own."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lattice_lock.core.emitters.json_schema import emit_json_schema
from lattice_lock.core.emitters.markdown_page import emit_markdown
from lattice_lock.core.emitters.typescript import emit_typescript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lattice_lock.core.schema import Lattice

__all__ = ["DOCUMENT_PATHS", "Document", "emit_documents"]


class Document(StrEnum):
    """A document by the name that `config.documents` uses."""

    JSON_SCHEMA = "json_schema"
    TYPESCRIPT = "typescript"
    MARKDOWN = "markdown"


DOCUMENT_PATHS: Final[Mapping[Document, str]] = MappingProxyType(
    {
        Document.JSON_SCHEMA: "docs/lattice.schema.json",
        Document.TYPESCRIPT: "docs/lattice.d.ts",
        Document.MARKDOWN: "docs/lattice.md",
    }
)
"""Where each is written, relative to the lattice; the same path for every version."""

_EMITTERS: Final[Mapping[Document, Callable[[Lattice], str]]] = MappingProxyType(
    {
        Document.JSON_SCHEMA: emit_json_schema,
        Document.TYPESCRIPT: emit_typescript,
        Document.MARKDOWN: emit_markdown,
    }
)


def emit_documents(lattice: Lattice, wanted: Iterable[Document]) -> dict[str, str]:
    """Path to text of every document that is wanted.

    Raises:
        UnsupportedByTargetError: a document cannot express what the lattice says.
    """
    return {DOCUMENT_PATHS[one]: _EMITTERS[one](lattice) for one in wanted}
