"""Drafts entities and interfaces from OpenAPI 3.0 and 3.1, in JSON or YAML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lattice_lock.core.emitters.python_text import snake_case
from lattice_lock.core.importers._schema_nodes import SchemaNode, SchemaSource
from lattice_lock.core.importers.draft import (
    UNSET,
    Draft,
    DraftInterface,
    DraftMethod,
    Element,
    as_text,
    class_name,
    field_name,
    free_name,
    nullable,
    one_line,
)
from lattice_lock.core.importers.json_schema import SchemaReader
from lattice_lock.core.type_refs import JSON, EntityType
from lattice_lock.exceptions import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from lattice_lock.core.type_refs import TypeRef

__all__ = ["draft_openapi"]

_VERBS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_SUCCESS = re.compile(r"2[0-9]{2}|2XX", re.IGNORECASE)
_JSON = re.compile(r"application/(?:[a-z0-9.+-]*\+)?json(?:;.*)?|\*/\*", re.IGNORECASE)
_TAKEN_PARAMS = frozenset({"self", "cls", "result", "old", "implies"})
_KNOWN_ROOT = frozenset(
    {"openapi", "info", "paths", "components", "tags", "jsonSchemaDialect", "$schema", "$self"}
)
_KNOWN_OPERATION = frozenset(
    {"tags", "summary", "description", "operationId", "parameters", "requestBody", "responses"}
)
_KNOWN_PATH = frozenset({*_VERBS, "summary", "description", "parameters"})
_READ_COMPONENTS = frozenset({"schemas", "parameters", "responses", "requestBodies"})
_KNOWN_PARAMETER = frozenset(
    {"name", "in", "description", "required", "schema", "content", "style", "explode", "$ref"}
)


def draft_openapi(path: Path, draft: Draft) -> None:
    """Fill a draft from one description of an API.

    Raises:
        UsageError: it cannot be read, or is something else.
    """
    source = SchemaSource(path, draft)
    document = source.load(path)
    root = SchemaNode(document, (), document.root)
    _ensure_openapi(root, path)
    reader = SchemaReader(draft, source)
    components = root.members("components")
    schemas = components["schemas"].value if "schemas" in components else None
    for name in schemas if isinstance(schemas, dict) else ():
        reader.plan(name, components["schemas"].child(name))
    reader.read()
    _Operations(draft, source, reader).read(root)
    reader.finish()
    for name, node in components.items():
        if name not in _READ_COMPONENTS:
            draft.leave(node.place, f"components `{name}`", "a lattice has no form for it")
    for word in root.words:
        if word not in _KNOWN_ROOT:
            draft.leave(root.child(word).place, f"`{word}`", "a lattice has no form for it")


def _ensure_openapi(root: SchemaNode, path: Path) -> None:
    version = root.words.get("openapi")
    if isinstance(version, str) and version.startswith("3."):
        return
    if "swagger" in root.words:
        raise UsageError(
            f"`{root.child('swagger').place}`: this is Swagger {root.words['swagger']}",
            hint="Convert it to OpenAPI 3 first.",
        )
    if "openapi" in root.words:
        raise UsageError(
            f"`{root.child('openapi').place}`: OpenAPI `{version}` is not read",
            hint='Versions 3.0 and 3.1 are; write `openapi: "3.1.0"` in quotes.',
        )
    raise UsageError(
        f"`{path}` is not an OpenAPI description: it has no `openapi`",
        hint=f"For a JSON Schema run `lattice-lock import json-schema {path}`.",
    )


class _Operations:
    """Reads operations as methods, one interface for each first tag."""

    def __init__(self, draft: Draft, source: SchemaSource, reader: SchemaReader) -> None:
        self._draft = draft
        self._source = source
        self._reader = reader
        self._described: dict[str, str | None] = {}

    def read(self, root: SchemaNode) -> None:
        """Every operation of every path."""
        info = root.words.get("info")
        title = info.get("title") if isinstance(info, dict) else None
        for tag in root.children("tags"):
            if isinstance(tag.words.get("name"), str):
                self._described[str(tag.words["name"])] = as_text(tag.words.get("description"))
        for path, node in root.members("paths").items():
            if path.startswith("x-"):
                self._draft.leave(node.place, f"`{path}`", "a lattice has no form for it")
                continue
            item = self._target(node)
            if item is None:
                continue
            for word in item.words:
                if word not in _KNOWN_PATH and word != "$ref":
                    self._draft.leave(
                        item.child(word).place, f"`{word}`", "a lattice has no form for it"
                    )
            for verb in _VERBS:
                if isinstance(item.words.get(verb), dict):
                    self._operation(item, verb, path, title if isinstance(title, str) else "api")

    def _target(self, node: SchemaNode) -> SchemaNode | None:
        """The node behind references."""
        for _ in range(10):
            if "$ref" not in node.words:
                return node
            target = self._source.target(node, node.words["$ref"])
            if target is None:
                return None
            node = target
        self._draft.leave(node.place, "reference", "it leads back to itself")
        return None

    def _operation(self, item: SchemaNode, verb: str, path: str, title: str) -> None:
        node = item.child(verb)
        words = node.words
        tags = words.get("tags")
        tag = str(tags[0]) if isinstance(tags, list) and tags else title
        for other in tags[1:] if isinstance(tags, list) else []:
            self._draft.leave(node.place, f"tag `{other}`", "a method belongs to one interface")
        interface = self._interface(tag, node)
        named = words.get("operationId")
        called = named if isinstance(named, str) and named else f"{verb} {path}"
        name = free_name(field_name(snake_case(field_name(called))), interface.methods)
        if isinstance(named, str) and snake_case(field_name(named)) != name:
            self._draft.rename(node.place, named, name)
        method = DraftMethod(place=node.place)
        interface.methods[name] = method
        route = f"{verb.upper()} {path}"
        text = "\n".join(
            filter(None, (as_text(words.get("summary")), as_text(words.get("description"))))
        )
        method.description = f"{text}\n{route}" if text else route
        owner = class_name(name)
        for parameter in self._parameters(item, node):
            self._parameter(method, parameter, owner)
        if "requestBody" in words:
            self._body(method, node.child("requestBody"), owner)
        self._responses(method, node, owner)
        for word in words:
            if word not in _KNOWN_OPERATION:
                shown = one_line(str(words[word])) if not isinstance(words[word], dict) else "{...}"
                self._draft.leave(
                    node.child(word).place, f"`{word}: {shown}`", "a lattice has no form for it"
                )

    def _interface(self, tag: str, node: SchemaNode) -> DraftInterface:
        name = f"I{class_name(tag)}"
        found = self._draft.interfaces.get(name)
        if found is None:
            file = f"src/services/{snake_case(class_name(tag))}.py"
            found = DraftInterface(
                place=node.place, file=file, description=self._described.get(tag)
            )
            self._draft.interfaces[name] = found
        return found

    def _parameters(self, item: SchemaNode, node: SchemaNode) -> list[SchemaNode]:
        """Those of the path and of the operation, which are the stronger ones."""
        found: dict[tuple[object, object], SchemaNode] = {}
        for one in (*item.children("parameters"), *node.children("parameters")):
            target = self._target(one)
            if target is not None:
                found[target.words.get("in"), target.words.get("name")] = target
        return list(found.values())

    def _parameter(self, method: DraftMethod, node: SchemaNode, owner: str) -> None:
        key = node.words.get("name")
        if not isinstance(key, str):
            self._draft.leave(node.place, "parameter", "it has no name")
            return
        for word in node.words:
            if word not in _KNOWN_PARAMETER:
                self._draft.leave(
                    node.child(word).place, f"`{word}` of `{key}`", "a lattice has no form for it"
                )
        name = self._param_name(method, key, node)
        if "schema" in node.words:
            element = self._reader.element([node.child("schema")], f"{owner}_{name}")
        elif (content := self._content(node, f"parameter `{key}`")) is not None:
            element = self._reader.element([content], f"{owner}_{name}")
        else:
            element = Element(kind=JSON, place=node.place)
        self._add_param(method, name, element, node, required=node.words.get("required") is True)

    def _param_name(self, method: DraftMethod, key: str, node: SchemaNode) -> str:
        name = field_name(key)
        name = free_name(f"{name}_" if name in _TAKEN_PARAMS else name, method.params)
        self._draft.rename(node.place, key, name)
        return name

    def _add_param(
        self, method: DraftMethod, name: str, element: Element, node: SchemaNode, *, required: bool
    ) -> None:
        element.description = as_text(node.words.get("description")) or element.description
        if element.default is not UNSET:
            self._draft.leave(
                element.place, f"default of `{name}`", "a parameter of a method has none"
            )
            element.default = UNSET
        if not required:
            element.kind = nullable(element.kind)
        method.params[name] = element

    def _body(self, method: DraftMethod, node: SchemaNode, owner: str) -> None:
        target = self._target(node)
        if target is None:
            return
        content = self._content(target, "request body")
        if content is None:
            return
        element = self._reader.element([content], f"{owner}_body")
        kind: TypeRef = element.kind
        noun = snake_case(kind.name) if isinstance(kind, EntityType) else "body"
        name = free_name(field_name(noun), method.params)
        self._add_param(
            method, name, element, target, required=target.words.get("required") is True
        )

    def _content(self, node: SchemaNode, what: str) -> SchemaNode | None:
        """The schema of what is sent as JSON, or a schema for bytes of anything else."""
        media = node.members("content")
        chosen = next((one for one in media if _JSON.fullmatch(one)), None)
        for one, child in media.items():
            if one != chosen:
                self._draft.leave(child.place, f"`{one}` of the {what}", "a method takes one form")
        if chosen is None or "schema" not in media[chosen].words:
            return None
        return media[chosen].child("schema")

    def _responses(self, method: DraftMethod, node: SchemaNode, owner: str) -> None:
        chosen: SchemaNode | None = None
        for status, response in node.members("responses").items():
            if status.startswith("x-") or (chosen is not None and _SUCCESS.fullmatch(status)):
                self._draft.leave(response.place, f"response {status}", "a method has one result")
            elif _SUCCESS.fullmatch(status):
                chosen = self._target(response)
            else:
                self._draft.leave(
                    response.place,
                    f"response {status}",
                    "say in `raises` under which condition a method fails",
                )
        if chosen is None:
            return
        for word in chosen.words:
            if word not in {"description", "content"}:
                self._draft.leave(
                    chosen.child(word).place, f"`{word}` of a response", "a method has one result"
                )
        content = self._content(chosen, "response")
        if content is None:
            return
        element = self._reader.element([content], f"{owner}_result")
        element.description = as_text(chosen.words.get("description"))
        if element.default is not UNSET:
            self._draft.leave(element.place, "default of a result", "a result has none")
            element.default = UNSET
        method.returns = element
