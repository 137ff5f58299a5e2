"""Drafts entities from JSON Schema: draft 7, 2019-09 and 2020-12, in JSON or YAML."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from lattice_lock.core._typed_elements import pascal_case
from lattice_lock.core.emitters._text_patterns import SHAPES
from lattice_lock.core.importers._ecma_pattern import whole_pattern
from lattice_lock.core.importers._schema_nodes import FlatSchema, SchemaNode, SchemaSource
from lattice_lock.core.importers.draft import (
    UNSET,
    Draft,
    DraftClause,
    DraftEntity,
    Element,
    as_text,
    class_name,
    enum_of,
    field_name,
    free_name,
    holding,
    keep_narrower,
    literal,
    nullable,
    one_line,
)
from lattice_lock.core.type_refs import (
    BOOL,
    JSON,
    STR,
    DictType,
    EntityType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
)
from lattice_lock.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lattice_lock.core.importers._documents import Pointer
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["SchemaReader", "draft_json_schema"]

_SUFFIXES = (".json", ".yaml", ".yml")
_MARKS = (
    "$schema",
    "$defs",
    "definitions",
    "type",
    "properties",
    "allOf",
    "anyOf",
    "oneOf",
    "$ref",
    "enum",
)
_MOST_ENTITIES = 2_000
_DEEPEST = 30
_LARGEST = 10**28

_FORMATS: Final[Mapping[str, ScalarName]] = {
    "uuid": ScalarName.UUID,
    "date": ScalarName.DATE,
    "date-time": ScalarName.DATETIME,
    "duration": ScalarName.TIMEDELTA,
    "byte": ScalarName.BYTES,
    "binary": ScalarName.BYTES,
    "base64": ScalarName.BYTES,
    "base64url": ScalarName.BYTES,
    "decimal": ScalarName.DECIMAL,
}
_BITS = {"int32": 31, "int64": 63}
_BOUNDS = {
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "exclusiveMaximum": "lt",
}
_NUMBER = re.compile(r"-?[0-9]{1,100}(?:\.[0-9]{1,100})?")
_OWN = "x-lattice-"
_OWN_LIMITS = ("gt", "ge", "lt", "le", "multiple-of", "precision", "scale")
_READ_ELSEWHERE = frozenset({"title", "description", "default", "$comment", "$vocabulary"})
_WHY: Final[Mapping[str, str]] = {
    "format": "a lattice does not check this format",
    "not": "a lattice says what holds, not what does not",
    "if": "write it as a condition in `ensures`",
    "discriminator": "a value has one type",
    "prefixItems": "the items of a list have one type",
    "patternProperties": "the keys of a dict are not checked",
    "propertyNames": "the keys of a dict are not checked",
    "additionalProperties": "an entity has no other fields than its own",
    "unevaluatedProperties": "an entity has no other fields than its own",
    "readOnly": "a field is the same for readers and writers",
    "writeOnly": "a field is the same for readers and writers",
}


def draft_json_schema(path: Path, draft: Draft) -> None:
    """Fill a draft from a file, or from every file of a folder.

    Raises:
        UsageError: a file cannot be read, or is something else.
    """
    source = SchemaSource(path, draft)
    reader = SchemaReader(draft, source)
    for file in _files(path):
        document = source.load(file)
        root = SchemaNode(document, (), document.root)
        if "openapi" in root.words or "swagger" in root.words:
            raise UsageError(
                f"`{file}` describes an API", hint=f"Run `lattice-lock import openapi {file}`."
            )
        if not any(mark in root.words for mark in _MARKS):
            if not path.is_dir():
                raise UsageError(
                    f"`{file}` is not a JSON Schema", hint="Name a file with an object schema."
                )
            draft.leave(str(file), "file", "it is not a JSON Schema")
            continue
        for word in ("$defs", "definitions"):
            for name, node in root.members(word).items():
                reader.plan(name, node)
        title = root.words.get("title")
        reader.plan(title if isinstance(title, str) else file.name.partition(".")[0], root)
    reader.read()
    reader.finish()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES and one.is_file())
    if not files:
        raise UsageError(
            f"`{path}` holds no `.json`, `.yaml` or `.yml` file", hint="Name another folder."
        )
    return files


class SchemaReader:
    """Turns schemas into entities of a draft and into elements that name these."""

    def __init__(self, draft: Draft, source: SchemaSource) -> None:
        self._draft = draft
        self._source = source
        self._planned: dict[tuple[str, Pointer], tuple[str, SchemaNode]] = {}
        self._others: dict[tuple[str, Pointer], tuple[str, SchemaNode]] = {}
        self._above: list[tuple[str, Pointer]] = []

    def plan(self, name: str, node: SchemaNode) -> None:
        """Make an entity of a named schema, where it describes objects with known keys."""
        if "$ref" in node.words and not self._source.flat([node]).properties:
            self._others[node.key] = (name, node)
        elif self._source.flat([node]).properties and self._source.resolved(node).key == node.key:
            taken = [one for one, _ in self._planned.values()]
            entity = free_name(class_name(name), taken)
            self._draft.rename(node.place, name, entity)
            self._planned[node.key] = (entity, node)
        elif set(node.words) - {"$schema", "$id", "$defs", "definitions", "title", "$comment"}:
            self._others[node.key] = (name, node)

    def read(self) -> None:
        """Add every planned entity to the draft, and list the schemas that nothing uses."""
        for name, _ in self._planned.values():
            self._draft.entities[name] = DraftEntity(place="")
        for name, node in list(self._planned.values()):
            self._above = [node.key]
            self._fill(name, self._source.flat([node]), node.place)

    def finish(self) -> None:
        """List the named schemas that nothing uses."""
        for key, (name, node) in self._others.items():
            if key not in self._source.followed:
                self._draft.leave(
                    node.place,
                    f"schema `{name}`",
                    "it has no named fields and nothing refers to it",
                )

    def _fill(self, name: str, flat: FlatSchema, place: str) -> None:
        entity = DraftEntity(place=place, description=_description(flat, name))
        self._draft.entities[name] = entity
        flat.take("type")
        if flat.get("additionalProperties") is False:
            flat.take("additionalProperties")
        if flat.get("unevaluatedProperties") is False:
            flat.take("unevaluatedProperties")
        self._read_own_clauses(entity, flat)
        renamed: dict[str, str] = {}
        for key in sorted(flat.required - flat.properties.keys()):
            entity.fields[free_name(field_name(key), entity.fields)] = Element(
                kind=JSON, place=place
            )
        for key, nodes in flat.properties.items():
            element = self.element(nodes, f"{name}_{field_name(key)}")
            if key not in flat.required and element.default is UNSET:
                element.kind, element.default = nullable(element.kind), None
            elif key in flat.required and element.default is not UNSET:
                self._draft.leave(
                    element.place, f"`{key}` is required", "a field that has a default is not"
                )
            new = free_name(field_name(key), entity.fields)
            self._draft.rename(element.place, key, new)
            renamed[key] = new
            entity.fields[new] = element
        if flat.get("default") is not None:
            self._draft.leave(place, "default", "an entity cannot be a default")
        self._list_rest(flat)

    def _read_own_clauses(self, entity: DraftEntity, flat: FlatSchema) -> None:
        """What a schema that Lattice Lock wrote says beside JSON Schema."""
        clauses, moves = flat.take(f"{_OWN}ensures"), flat.take(f"{_OWN}transitions")
        for clause in clauses if isinstance(clauses, list) else []:
            if isinstance(clause, dict) and isinstance(clause.get("condition"), str):
                entity.ensures.append(
                    DraftClause(
                        text=clause["condition"],
                        place=entity.place,
                        name=as_text(clause.get("name")),
                        description=as_text(clause.get("description")),
                    )
                )
        if isinstance(moves, dict):
            entity.transitions = {
                str(name): {
                    str(state): [str(one) for one in following] for state, following in one.items()
                }
                for name, one in moves.items()
                if isinstance(one, dict) and all(isinstance(some, list) for some in one.values())
            }

    # Elements ------------------------------------------------------------------------------------

    def element(self, nodes: list[SchemaNode], owner: str) -> Element:
        """What schemas that all hold say of a value; `owner` names an object without a name."""
        place = nodes[0].place
        resolved = [self._resolved(node) for node in nodes]
        keys = {node.key for node in resolved}
        if len(keys) == 1:
            known = self._planned.get(resolved[0].key)
            if known is not None:
                flat = self._source.flat(nodes)
                element = Element(kind=EntityType(known[0]), place=place)
                self._annotate(element, nodes, flat)
                return element
        if len(self._above) > _DEEPEST or keys & set(self._above):
            self._draft.leave(place, "schema that contains itself", "a type of a lattice ends")
            return Element(kind=JSON, place=place)
        self._above += keys
        flat = self._source.flat(nodes)
        element = self._flat_element(flat, owner)
        element.place = place
        self._annotate(element, nodes, flat)
        self._list_rest(flat)
        del self._above[len(self._above) - len(keys) :]
        if len(keys) == 1 and isinstance(element.kind, EntityType):
            # An object without a name is one entity, however often it is reached.
            self._planned[resolved[0].key] = (element.kind.name, resolved[0])
        return element

    def _resolved(self, node: SchemaNode) -> SchemaNode:
        """The schema behind references, and behind an `allOf` of nothing but one."""
        node = self._source.resolved(node)
        inside = node.children("allOf")
        if len(inside) == 1 and set(node.words) <= {"allOf", "nullable", *_READ_ELSEWHERE}:
            return self._source.resolved(inside[0])
        return node

    def _annotate(self, element: Element, nodes: list[SchemaNode], flat: FlatSchema) -> None:
        if element.description is None:
            # An entity says itself what it is; a field that refers to it says what it is there.
            own = FlatSchema(place=element.place)
            own.words = {
                word: node.child(word)
                for node in reversed(nodes)
                for word in node.words
                if word in {"title", "description", "$comment"}
            }
            element.description = _description(
                own if isinstance(element.kind, EntityType) else flat, nodes[0].pointer[-1:]
            )
        if "default" in flat.words and element.default is UNSET:
            element.default = flat.take("default")
        if any(node.words.get("nullable") is True for node in nodes):
            element.kind = nullable(element.kind)

    def _list_rest(self, flat: FlatSchema) -> None:
        for word, node in flat.words.items():
            if word in _READ_ELSEWHERE or (word == "nullable" and isinstance(node.value, bool)):
                continue
            why = _WHY.get(word, "a lattice has no form for it")
            self._draft.leave(node.place, f"`{word}: {one_line(_shown(node.value))}`", why)
        for node in flat.more:
            self._draft.leave(node.place, f"second `{node.pointer[-1]}`", "a lattice takes one")

    def _flat_element(self, flat: FlatSchema, owner: str) -> Element:
        own = {
            word.removeprefix(_OWN): flat.take(word)
            for word in list(flat.words)
            if word.startswith(_OWN)
        }
        element = self._typed(flat, owner)
        if own:
            _read_own(element, own)
        return element

    def _typed(self, flat: FlatSchema, owner: str) -> Element:
        flat.words.pop("nullable", None)
        for word in ("anyOf", "oneOf"):
            union = flat.words.pop(word, None)
            if union is not None and isinstance(union.value, list) and union.value:
                return self._union(flat, union, owner)
        if "enum" in flat.words or "const" in flat.words:
            return self._choice(flat, owner)
        declared = flat.take("type")
        kinds = declared if isinstance(declared, list) else [declared or _guess(flat)]
        return self._of_kinds([str(kind) for kind in kinds], flat, owner)

    def _of_kinds(self, kinds: list[str], flat: FlatSchema, owner: str) -> Element:
        named = [kind for kind in dict.fromkeys(kinds) if kind != "null"]
        if set(named) == {"integer", "number"}:
            named = ["number"]
        if set(named) in ({"string", "integer"}, {"string", "number"}):
            flat.words.pop("pattern", None)
            element = self._number(flat, ScalarName.DECIMAL)
        elif len(named) == 1:
            element = self._of_kind(named[0], flat, owner)
        else:
            if named:
                self._draft.leave(flat.place, f"types {', '.join(named)}", "a value has one type")
            element = Element(kind=JSON, place=flat.place)
        if "null" in kinds:
            element.kind = nullable(element.kind)
        return element

    def _of_kind(self, kind: str, flat: FlatSchema, owner: str) -> Element:
        match kind:
            case "string":
                return self._text(flat)
            case "integer":
                return self._number(flat, ScalarName.INT)
            case "number":
                exact = flat.get("format") == "decimal" or "multipleOf" in flat.words
                return self._number(flat, ScalarName.DECIMAL if exact else ScalarName.FLOAT)
            case "boolean":
                return Element(kind=BOOL, place=flat.place)
            case "array":
                return self._list(flat, owner)
            case "object":
                return self._object(flat, owner)
            case _:
                if kind != "any":
                    self._draft.leave(flat.place, f"type `{kind}`", "it is no type of JSON Schema")
                return Element(kind=JSON, place=flat.place)

    def _union(self, flat: FlatSchema, union: SchemaNode, owner: str) -> Element:
        branches = [union.child(str(at)) for at in range(len(union.words or union.value))]  # type: ignore[arg-type]  # a list
        some = [one for one in branches if not _is_null(self._source.resolved(one))]
        may_be_null = len(some) < len(branches)
        if len(some) == 1:
            if set(flat.words) <= _READ_ELSEWHERE and not flat.properties:
                element = self.element(some, owner)
            else:
                self._source.merge(flat, some[0])
                element = self._typed(flat, owner)
        else:
            element = self._one_of_several(flat, some, union, owner)
        if may_be_null:
            element.kind = nullable(element.kind)
        return element

    def _one_of_several(
        self, flat: FlatSchema, some: list[SchemaNode], union: SchemaNode, owner: str
    ) -> Element:
        resolved = [self._source.resolved(one) for one in some]
        values = [_choices(one) for one in resolved]
        if some and all(values):
            flat.take("type")
            flat.words["enum"] = SchemaNode(
                union.document,
                union.pointer,
                [one for some_values in values for one in some_values],
            )
            return self._choice(flat, owner)
        kinds = [str(one.words.get("type")) for one in resolved]
        if (
            set(kinds) <= {"number", "integer", "string"}
            and len(set(kinds)) > 1
            and not any(one.words.keys() & {"enum", "const", "format"} for one in resolved)
        ):
            for one in resolved:
                if one.words["type"] != "string":
                    self._source.merge(flat, one)
            flat.take("type")
            return self._of_kinds(kinds, flat, owner)
        self._draft.leave(
            union.place, f"`{union.pointer[-1]}` of {len(some)} schemas", "a value has one type"
        )
        flat.words.pop("discriminator", None)
        flat.take("type")
        return Element(kind=JSON, place=flat.place)

    def _choice(self, flat: FlatSchema, owner: str) -> Element:
        declared = flat.take("type")
        fixed = flat.words.pop("const", None)
        listed = flat.take("enum")
        values = listed if isinstance(listed, list) else [] if fixed is None else [fixed.value]
        if fixed is not None and fixed.value not in values:
            values = [fixed.value]
        some = [value for value in values if value is not None]
        null = None in values or (isinstance(declared, list) and "null" in declared)
        element = self._one_value_of(some, flat, owner, declared)
        if null:
            element.kind = nullable(element.kind)
        return element

    def _one_value_of(
        self, values: list[object], flat: FlatSchema, owner: str, declared: object
    ) -> Element:
        if values and all(isinstance(value, str) for value in values):
            texts = list(dict.fromkeys(str(value) for value in values))
            known = flat.get("format")
            if all(texts) and not (isinstance(known, str) and known in _FORMATS):
                return Element(kind=enum_of(texts), place=flat.place)
            element = self._text(flat)
        elif values and all(isinstance(value, bool) for value in values):
            element = Element(kind=BOOL, place=flat.place)
            if len(set(values)) == 1:
                element.clauses.append("{}" if values[0] else "not {}")
            return element
        elif values and all(
            isinstance(value, int | Decimal) and not isinstance(value, bool) for value in values
        ):
            whole = all(isinstance(value, int) for value in values)
            wanted = "integer" if whole and declared in (None, "integer") else "number"
            element = self._of_kind(wanted, flat, owner)
        else:
            if values:
                self._draft.leave(
                    flat.place, f"values {one_line(_shown(values))}", "an enum lists texts"
                )
            return Element(kind=JSON, place=flat.place)
        numbers = [one for one in values if isinstance(one, int | Decimal)]
        if not all(-_LARGEST < one < _LARGEST for one in numbers):
            why = "a condition has numbers of at most 28 digits"
            self._draft.leave(flat.place, f"values {one_line(_shown(values))}", why)
            return element
        element.clauses.append(
            f"{{}} == {literal(values[0])}" if len(values) == 1 else f"{{}} in {literal(values)}"
        )
        return element

    def _text(self, flat: FlatSchema) -> Element:
        known = flat.get("format")
        scalar = _FORMATS.get(known) if isinstance(known, str) else None
        if flat.get("contentEncoding") in ("base64", "base64url"):
            flat.take("contentEncoding")
            scalar = ScalarName.BYTES
        pattern = flat.get("pattern")
        own = next((name for name, shape in SHAPES.items() if shape == pattern), None)
        if own is not None:
            scalar = own
            flat.take("pattern")
            # How the limits are checked, which their annotations say more plainly.
            flat.more.clear()
            flat.words.pop("not", None)
        if scalar is not None:
            flat.take("format")
            return Element(kind=ScalarType(scalar), place=flat.place)
        element = Element(kind=STR, place=flat.place)
        self._lengths(element, flat, "minLength", "maxLength")
        if isinstance(pattern, str):
            flat.take("pattern")
            element.constraints["pattern"] = whole_pattern(pattern, ascii_classes=True)
        return element

    def _lengths(self, element: Element, flat: FlatSchema, shortest: str, longest: str) -> None:
        for word, key in ((shortest, "min_length"), (longest, "max_length")):
            length = flat.get(word)
            if isinstance(length, Decimal) and length == int(length):
                length = int(length)
            if isinstance(length, int) and not isinstance(length, bool):
                flat.take(word)
                if (key, length) != ("min_length", 0):
                    element.constraints[key] = length

    def _number(self, flat: FlatSchema, name: ScalarName) -> Element:  # noqa: C901  # a table
        element = Element(kind=ScalarType(name), place=flat.place)
        limits = element.constraints
        known = str(flat.get("format"))
        for word, key in _BOUNDS.items():
            value = flat.get(word)
            if isinstance(value, bool):  # draft 4 and OpenAPI 3.0: it belongs to the other
                flat.take(word)
                wide = {"gt": "ge", "lt": "le"}.get(key, "")
                if value and wide in limits:
                    limits[key] = limits.pop(wide)
            elif isinstance(value, int | Decimal):
                flat.take(word)
                limits[key] = _whole(value)
        keep_narrower(limits)
        step = flat.get("multipleOf")
        if isinstance(step, int | Decimal) and name is not ScalarName.FLOAT:
            flat.take("multipleOf")
            if not (name is ScalarName.INT and step == 1):
                limits["multiple_of"] = _whole(step)
        if known in ("float", "double", "decimal") or (known in _BITS and name is ScalarName.INT):
            flat.take("format")
        if known in _BITS and name is ScalarName.INT:
            if not limits.keys() & {"gt", "ge"}:
                limits["ge"] = -(2 ** _BITS[known])
            if not limits.keys() & {"lt", "le"}:
                limits["le"] = 2 ** _BITS[known] - 1
        return element

    def _list(self, flat: FlatSchema, owner: str) -> Element:
        items = flat.words.get("items")
        if items is None or isinstance(items.value, list | bool):
            item = Element(kind=JSON, place=flat.place)
            if items is not None and items.value is True:
                flat.take("items")
        else:
            flat.take("items")
            item = self.element([items], f"{owner}_item")
        element = holding(self._draft, ListType, item)
        element.place = flat.place
        self._lengths(element, flat, "minItems", "maxItems")
        if isinstance(unique := flat.get("uniqueItems"), bool):
            flat.take("uniqueItems")
            if unique:
                element.constraints["unique_items"] = True
        return element

    def _object(self, flat: FlatSchema, owner: str) -> Element:
        if flat.properties and len(self._draft.entities) < _MOST_ENTITIES:
            name = free_name(class_name(pascal_case(owner)), self._draft.entities)
            self._draft.entities[name] = DraftEntity(place=flat.place)
            self._fill(name, flat, flat.place)
            flat.words.clear()
            flat.more.clear()
            return Element(kind=EntityType(name), place=flat.place)
        if flat.properties:
            self._draft.leave(
                flat.place, "object", f"a draft has at most {_MOST_ENTITIES} entities"
            )
        values = flat.words.get("additionalProperties")
        item = Element(kind=JSON, place=flat.place)
        if values is None or values.value is True:
            flat.words.pop("additionalProperties", None)
        elif isinstance(values.value, dict):
            flat.take("additionalProperties")
            item = self.element([values], f"{owner}_value")
        element = holding(self._draft, DictType, item)
        element.place = flat.place
        if flat.required:
            keys = ", ".join(f"`{key}`" for key in sorted(flat.required))
            self._draft.leave(flat.place, f"required {keys}", "a dict does not know its keys")
        self._lengths(element, flat, "minProperties", "maxProperties")
        return element


def _guess(flat: FlatSchema) -> str:
    """The type of a schema that does not say it, by what else it says."""
    if flat.properties or flat.words.keys() & {"additionalProperties", "patternProperties"}:
        return "object"
    if flat.words.keys() & {"items", "minItems", "maxItems", "uniqueItems", "prefixItems"}:
        return "array"
    if flat.words.keys() & {"minLength", "maxLength", "pattern", "format"}:
        return "string"
    return "number" if flat.words.keys() & {*_BOUNDS, "multipleOf"} else "any"


def _choices(node: SchemaNode) -> list[object]:
    """The values of a schema that lists its values."""
    if "const" in node.words:
        return [node.words["const"]]
    values = node.words.get("enum")
    return list(values) if isinstance(values, list) else []


def _is_null(node: SchemaNode) -> bool:
    words = node.words
    return (
        words.get("type") == "null"
        or ("const" in words and words["const"] is None)
        or words.get("enum") == [None]
    )


def _whole(value: int | Decimal) -> int | Decimal:
    return int(value) if -(10**18) < value < 10**18 and value == int(value) else value


def _read_own(element: Element, own: dict[str, object]) -> None:
    """The annotations of a schema that Lattice Lock wrote."""
    for key in _OWN_LIMITS:
        if key in own:
            value = own[key]
            number = isinstance(value, str) and _NUMBER.fullmatch(value) is not None
            element.constraints[key.replace("-", "_")] = Decimal(str(value)) if number else value
    for key, length in (("min-bytes", "min_length"), ("max-bytes", "max_length")):
        if key in own:
            kind: TypeRef = ScalarType(ScalarName.BYTES)
            element.kind = nullable(kind) if isinstance(element.kind, OptionalType) else kind
            element.constraints[length] = own[key]
    element.primary_key = own.get("primary-key") is True
    element.unique = own.get("unique") is True
    reference = own.get("references")
    if isinstance(reference, str) and "." in reference:
        entity, _, field = reference.partition(".")
        element.references = (entity, field)


def _description(flat: FlatSchema, name: object) -> str | None:
    title, text, comment = (
        as_text(flat.get(word)) for word in ("title", "description", "$comment")
    )
    if title is not None and _letters(title) == _letters(str(name)):
        title = None
    first = f"{title}: {text}" if title and text and title != text else title or text
    return "\n".join(filter(None, (first, comment))) or None


def _letters(text: str) -> str:
    return "".join(one for one in text if one.isalnum()).lower()


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    return literal(value) if not isinstance(value, str) else value
