"""JSON Schemas as nodes: references followed, `allOf` merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag, urljoin

from lattice_lock.core.importers._documents import DataDocument, Pointer, load_document
from lattice_lock.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.importers.draft import Draft

__all__ = ["FlatSchema", "SchemaNode", "SchemaSource"]

_DEEPEST = 40
_LOWER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_UPPER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_ANNOTATIONS = frozenset({"title", "description", "default", "example", "examples", "$comment"})
_STRUCTURE = frozenset(
    {"$schema", "$id", "id", "$anchor", "$defs", "definitions", "$dynamicAnchor", "components"}
)
# Dialects in which nothing counts that stands beside `$ref`.
_LONE_REFERENCES = ("draft-04", "draft-05", "draft-06", "draft-07")


@dataclass(frozen=True, slots=True)
class SchemaNode:
    """A schema with its place."""

    document: DataDocument
    pointer: Pointer
    value: object

    @property
    def key(self) -> tuple[str, Pointer]:
        """What tells it from every other node."""
        return str(self.document.path), self.pointer

    @property
    def place(self) -> str:
        """`file:line:column`."""
        return self.document.place(self.pointer)

    @property
    def words(self) -> Mapping[str, object]:
        """Its keywords; none of one that is `true`, `false` or no schema at all."""
        return self.value if isinstance(self.value, dict) else {}

    def child(self, *parts: str) -> SchemaNode:
        """What stands below it."""
        value = self.value
        for part in parts:
            value = value[int(part)] if isinstance(value, list) else value[part]  # type: ignore[index]  # the caller saw it
        return SchemaNode(self.document, (*self.pointer, *parts), value)

    def children(self, word: str) -> list[SchemaNode]:
        """The schemas of a list such as `anyOf`."""
        found = self.words.get(word)
        count = len(found) if isinstance(found, list) else 0
        return [self.child(word, str(number)) for number in range(count)]

    def members(self, word: str) -> dict[str, SchemaNode]:
        """The schemas of a mapping such as `properties`."""
        found = self.words.get(word)
        return {key: self.child(word, key) for key in found} if isinstance(found, dict) else {}


@dataclass(slots=True)
class FlatSchema:
    """Schemas that hold together, as one: each keyword with the node that says it.

    Attributes:
        more: further `pattern` and `not`, of which a lattice says one and none.
    """

    place: str
    words: dict[str, SchemaNode] = field(default_factory=dict)
    properties: dict[str, list[SchemaNode]] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    more: list[SchemaNode] = field(default_factory=list)

    def take(self, word: str) -> object:
        """The value of a keyword, which counts as understood from now on."""
        node = self.words.pop(word, None)
        return None if node is None else node.value

    def get(self, word: str) -> object:
        """The value of a keyword."""
        node = self.words.get(word)
        return None if node is None else node.value


class SchemaSource:
    """The files that were given, and what their references point to."""

    def __init__(self, path: Path, draft: Draft) -> None:
        self._draft = draft
        self._folder = (path if path.is_dir() else path.parent).resolve()
        self._documents: dict[Path, DataDocument] = {}
        self._identities: dict[str, SchemaNode] = {}
        self.followed: set[tuple[str, Pointer]] = set()
        """The schemas that a reference led to."""

    def load(self, path: Path) -> DataDocument:
        """One file, read once.

        Raises:
            UsageError: it cannot be read.
        """
        known = path.resolve()
        if known not in self._documents:
            document = load_document(path)
            self._documents[known] = document
            self._identify(SchemaNode(document, (), document.root))
        return self._documents[known]

    def _identify(self, root: SchemaNode) -> None:
        """Note what goes by an `$id` or `$anchor`, wherever in the file it stands."""
        todo = [(root, self._base(root.document))]
        while todo:
            node, base = todo.pop()
            if isinstance(node.value, list):
                todo += [(node.child(str(at)), base) for at in range(len(node.value))]
                continue
            identity = node.words.get("$id")
            if isinstance(identity, str):
                base = _joined(base, identity)
                self._identities.setdefault(base.rstrip("#"), node)
            for word in ("$anchor", "$dynamicAnchor"):
                if isinstance(anchor := node.words.get(word), str):
                    self._identities.setdefault(f"{urldefrag(base)[0]}#{anchor}", node)
            todo += [(node.child(key), base) for key in node.words]

    @staticmethod
    def _base(document: DataDocument) -> str:
        return document.path.resolve().as_uri()

    def _base_of(self, node: SchemaNode) -> str:
        """The address that references in a node are relative to."""
        base = self._base(node.document)
        value: object = node.document.root
        for depth in range(len(node.pointer) + 1):
            if depth:
                part = node.pointer[depth - 1]
                value = value[int(part)] if isinstance(value, list) else value[part]  # type: ignore[index]  # it is there
            identity = value.get("$id") if isinstance(value, dict) else None
            if isinstance(identity, str):
                base = _joined(base, identity)
        return base

    def target(self, node: SchemaNode, reference: object) -> SchemaNode | None:
        """What a reference of a node points to; None where it is listed as left behind."""
        found = self._pointed(node, reference)
        if found is not None:
            self.followed.add(found.key)
        return found

    def _pointed(self, node: SchemaNode, reference: object) -> SchemaNode | None:
        if not isinstance(reference, str):
            return self._lost(node, reference, "a reference is text")
        address, fragment = urldefrag(_joined(self._base_of(node), reference))
        named = self._identities.get(f"{address}#{fragment}" if fragment else address)
        if named is not None:
            return named
        root = self._identities.get(address) or self._file(node, reference, address)
        if root is None or not fragment:
            return root
        if not fragment.startswith("/"):
            return self._lost(node, reference, "there is no such anchor")
        found = root
        for part in fragment[1:].split("/"):
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            inside = found.value
            if (isinstance(inside, dict) and key in inside) or (
                isinstance(inside, list) and key.isdigit() and int(key) < len(inside)
            ):
                found = found.child(key)
            else:
                return self._lost(node, reference, "it points to nothing")
        return found

    def _file(self, node: SchemaNode, reference: str, address: str) -> SchemaNode | None:
        if not address.startswith("file:"):
            return self._lost(node, reference, "nothing is fetched from elsewhere")
        path = Path(unquote(address.removeprefix("file://"))).resolve()
        if not path.is_relative_to(self._folder):
            return self._lost(node, reference, f"it leads out of `{self._folder.name}`")
        try:
            return SchemaNode(document := self.load(path), (), document.root)
        except UsageError as error:
            return self._lost(node, reference, error.message)

    def _lost(self, node: SchemaNode, reference: object, why: str) -> SchemaNode | None:
        self._draft.leave(node.place, f"reference `{reference}`", why)
        return None

    def resolved(self, node: SchemaNode) -> SchemaNode:
        """The schema itself, where `node` is nothing but a reference to it."""
        for _ in range(_DEEPEST):
            if "$ref" not in node.words or not (
                self.is_lone(node) or set(node.words) <= {"$ref", *_ANNOTATIONS}
            ):
                break
            target = self.target(node, node.words["$ref"])
            if target is None:
                break
            node = target
        return node

    @staticmethod
    def is_lone(node: SchemaNode) -> bool:
        """Whether its dialect ignores what stands beside `$ref`."""
        root = node.document.root
        if not isinstance(root, dict):
            return False
        dialect = str(root.get("$schema", ""))
        return any(one in dialect for one in _LONE_REFERENCES) or str(
            root.get("openapi", "")
        ).startswith("3.0")

    def flat(self, nodes: list[SchemaNode]) -> FlatSchema:
        """Schemas that all hold, as one."""
        found = FlatSchema(place=nodes[0].place)
        for node in nodes:
            self.merge(found, node)
        return found

    def merge(self, found: FlatSchema, node: SchemaNode) -> None:
        """Let one more schema hold."""
        self._merge(found, node, ())

    def _merge(  # noqa: C901, PLR0912  # one case for each kind of keyword
        self, found: FlatSchema, node: SchemaNode, above: tuple[tuple[str, Pointer], ...]
    ) -> None:
        if node.key in above or len(above) > _DEEPEST:
            self._draft.leave(node.place, "schema that contains itself", "it never ends")
            return
        inside = (*above, node.key)
        words = node.words
        if node.value is False:
            self._draft.leave(node.place, "schema `false`", "no value satisfies it")
        elif not isinstance(node.value, dict | bool):
            self._draft.leave(node.place, "schema", "a schema is an object")
        lone = "$ref" in words and self.is_lone(node)
        for word, value in words.items():
            child = node.child(word)
            if word in _STRUCTURE or (word in {"allOf", "$ref"}):
                continue
            if lone and word not in _ANNOTATIONS and word != "nullable":
                self._draft.leave(child.place, f"`{word}` beside `$ref`", "its dialect ignores it")
            elif word == "properties":
                for key, one in node.members(word).items():
                    found.properties.setdefault(key, []).append(one)
            elif word == "required" and isinstance(value, list):
                found.required |= {key for key in value if isinstance(key, str)}
            else:
                self._keep(found, word, child)
        if "$ref" in words:
            target = self.target(node, words["$ref"])
            if target is not None:
                self._merge(found, target, inside)
        if not lone:
            for one in node.children("allOf"):
                self._merge(found, one, inside)

    def _keep(self, found: FlatSchema, word: str, node: SchemaNode) -> None:
        """Let one more schema say a keyword; the narrower counts."""
        before = found.words.get(word)
        if before is None:
            found.words[word] = node
            return
        one, other = before.value, node.value
        if one == other or word in _ANNOTATIONS:
            return
        if word in _LOWER | _UPPER and _is_number(one) and _is_number(other):
            narrower = other > one if word in _LOWER else other < one  # type: ignore[operator]  # numbers
            found.words[word] = node if narrower else before
        elif word == "type":
            self._narrow_type(found, before, node)
        elif word == "enum" and isinstance(one, list) and isinstance(other, list):
            both = [value for value in one if value in other]
            found.words[word] = SchemaNode(node.document, node.pointer, both)
        elif word == "additionalProperties":
            found.words[word] = before if one is False else node
        elif word in {"pattern", "not"}:
            found.more.append(node)
        else:
            self._draft.leave(node.place, f"second `{word}`", "one value says it already")

    def _narrow_type(self, found: FlatSchema, before: SchemaNode, node: SchemaNode) -> None:
        one, other = (set(_listed(value)) for value in (before.value, node.value))
        both = one & other
        if "integer" in one ^ other and "number" in one | other:
            both |= {"integer"}
        if not both:
            self._draft.leave(node.place, "`type`", "no value has both types")
            return
        ordered = [kind for kind in (*_listed(before.value), *_listed(node.value)) if kind in both]
        kinds = list(dict.fromkeys(ordered))
        value = kinds[0] if len(kinds) == 1 else kinds
        found.words["type"] = SchemaNode(node.document, node.pointer, value)


def _listed(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _joined(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference
