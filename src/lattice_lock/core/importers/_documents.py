"""JSON and YAML files as plain data, every value with its place."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import yaml

from lattice_lock.core._yaml_tree import ScalarNode
from lattice_lock.exceptions import SourceLocation, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["DataDocument", "Pointer", "load_document"]

Pointer: TypeAlias = tuple[str, ...]
"""The keys and indexes that lead from the root of a document to a value."""

_MAX_BYTES = 8 * 1024 * 1024
_DEEPEST = 100
_MOST_VALUES = 500_000
_PARSER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(slots=True)
class _Open:
    """A list or mapping of YAML whose end has not been seen yet."""

    value: dict[str, object] | list[object]
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataDocument:
    """One file: its data, with exact numbers, and where each value stands."""

    path: Path
    root: object
    text: str = field(repr=False)
    is_json: bool

    def place(self, pointer: Pointer) -> str:
        """`file:line:column` of a value, or of the nearest that holds it."""
        while pointer and pointer not in self._places:
            pointer = pointer[:-1]
        line, column = self._places.get(pointer, (1, 1))
        return f"{self.path}:{line}:{column}"

    @cached_property
    def _places(self) -> dict[Pointer, tuple[int, int]]:
        found = _json_places(self.text) if self.is_json else _yaml_places(self.text)
        return dict(found)


def load_document(path: Path) -> DataDocument:
    """Read one file.

    Raises:
        UsageError: it cannot be read, is too large, too deep, or neither JSON nor YAML.
    """
    text = _read(path)
    suffix = path.suffix.lower()
    is_json = suffix == ".json" or (suffix not in (".yaml", ".yml") and text.lstrip()[:1] == "{")
    root = _parse_json(text, path) if is_json else _parse_yaml(text, path)
    _ensure_sound(root, path)
    return DataDocument(path=path, root=root, text=text, is_json=is_json)


def _read(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"`{path}` is not a file", hint="Name a file, or a folder of files.")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"`{path}` cannot be read: {reason}", hint="Check the path.") from error
    if len(content) > _MAX_BYTES:
        raise UsageError(
            f"`{path}` is larger than {_MAX_BYTES // 1024**2} MiB", hint="Import a part of it."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"`{path}:{line}`: byte 0x{content[error.start]:02x} is not UTF-8",
            hint="Save the file as UTF-8.",
        ) from None


def _parse_json(text: str, path: Path) -> object:
    try:
        return json.loads(
            text,
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as error:
        raise UsageError(
            f"`{path}:{error.lineno}:{error.colno}`: this is not JSON: {error.msg}",
            hint="Mend the file, or name another.",
        ) from None
    except RecursionError:
        raise _too_deep(path) from None
    except ValueError as error:
        raise UsageError(f"`{path}`: {error}", hint="Mend the file.") from None


def _refuse_constant(text: str) -> object:
    raise ValueError(f"`{text}` is not a number of JSON")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key `{twice}` stands twice in one object")
    return found


def _too_deep(path: Path) -> UsageError:
    return UsageError(
        f"`{path}` is nested more than {_DEEPEST} levels deep", hint="Import a part of it."
    )


def _ensure_sound(root: object, path: Path) -> None:
    """Refuse what nests too deeply, holds too much, or halves of surrogate pairs."""
    level: list[object] = [root]
    count = 0
    for _ in range(_DEEPEST):
        count += len(level)
        if count > _MOST_VALUES:
            raise UsageError(
                f"`{path}` holds more than {_MOST_VALUES} values", hint="Import a part of it."
            )
        following: list[object] = []
        for value in level:
            if isinstance(value, dict):
                following += value.values()
                following += value
            elif isinstance(value, list):
                following += value
            elif isinstance(value, str) and not value.isascii():
                _ensure_encodable(value, path)
        level = following
        if not level:
            return
    raise _too_deep(path)


def _ensure_encodable(text: str, path: Path) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"`{path}` holds half of a surrogate pair: {text[:40]!a}", hint="Mend the text."
        ) from None


def _json_places(text: str) -> Iterator[tuple[Pointer, tuple[int, int]]]:
    """The place of every value of valid JSON, that of its key where it has one."""
    path: list[str] = []
    frames: list[str] = []
    key_follows = named = False
    line, line_start = 1, 0
    last = 0
    for found in _TOKEN.finditer(text):
        word, start = found[0], found.start()
        lines = text.count("\n", last, start)
        if lines:
            line += lines
            line_start = text.rfind("\n", last, start) + 1
        last = start
        place = (line, start - line_start + 1)
        if word == ",":
            key_follows = frames[-1] == "{"
            if not key_follows:
                path[-1] = str(int(path[-1]) + 1)
        elif word == ":":
            continue
        elif word in "}]":
            frames.pop()
            path.pop()
            key_follows = False
        elif key_follows:
            path[-1] = json.loads(word)
            yield tuple(path), place
            key_follows, named = False, True
        else:
            if not named:
                yield tuple(path), place
            named = False
            if word in "{[":
                frames.append(word)
                path.append("" if word == "{" else "0")
                key_follows = word == "{"


def _parse_yaml(text: str, path: Path) -> object:  # noqa: C901  # one case for each event
    root: object = None
    anchors: dict[str, object] = {}
    stack: list[_Open] = []
    documents = 0
    try:
        for event in yaml.parse(text, Loader=_PARSER):
            mark = event.start_mark
            where = f"`{path}:{mark.line + 1}:{mark.column + 1}`" if mark else f"`{path}`"
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise UsageError(f"{where}: a second YAML document begins here")
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    raise UsageError(f"{where}: `*{event.anchor}` stands for nothing")
                root = _put(stack, anchors[event.anchor], root, where)
            elif isinstance(event, yaml.CollectionEndEvent):
                stack.pop()
            elif isinstance(event, yaml.NodeEvent):
                value = _yaml_value(event, where)
                root = _put(stack, value, root, where)
                if event.anchor is not None:
                    anchors[event.anchor] = value
                if isinstance(value, dict | list):
                    stack.append(_Open(value))
                    if len(stack) > _DEEPEST:
                        raise _too_deep(path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        reason = " ".join(" ".join(filter(None, (error.context, error.problem))).split())
        raise UsageError(
            f"`{path}{place}`: this is not YAML: {reason}", hint="Mend the file, or name another."
        ) from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"`{path}`: this is not YAML: {reason}") from None
    return root


def _yaml_value(event: yaml.NodeEvent, where: str) -> object:
    if isinstance(event, yaml.MappingStartEvent):
        return {}
    if isinstance(event, yaml.SequenceStartEvent):
        return []
    if not isinstance(event, yaml.ScalarEvent):
        raise UsageError(f"{where}: this cannot be read")
    if event.tag not in (None, _TEXT_TAG):
        raise UsageError(f"{where}: the tag `{event.tag}` cannot be used", hint="Remove it.")
    plain = event.style in (None, "") and event.tag is None
    location = SourceLocation(file="", line=1, column=1)
    return ScalarNode(text=event.value, plain=plain, location=location, raw="").resolve()


def _put(stack: list[_Open], value: object, root: object, where: str) -> object:
    """Put a value where it belongs; the root of the document."""
    if not stack:
        return value
    top = stack[-1]
    if isinstance(top.value, list):
        top.value.append(value)
    elif top.key is None:
        if isinstance(value, dict | list):
            raise UsageError(f"{where}: a key must be a word, this is a list or mapping")
        top.key = _key_text(value)
        if top.key in top.value:
            raise UsageError(
                f"{where}: the key `{top.key}` stands here for the second time",
                hint="Keep one of the two.",
            )
        top.value[top.key] = None
    else:
        top.value[top.key] = value
        top.key = None
    return root


def _key_text(value: object) -> str:
    """A key as text; `200:` of an OpenAPI response is a number to YAML."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _yaml_places(text: str) -> Iterator[tuple[Pointer, tuple[int, int]]]:
    """The place of every value of valid YAML, that of its key where it has one."""
    path: list[str] = []
    frames: list[str] = []
    key_follows: list[bool] = []
    named = False
    for event in yaml.parse(text, Loader=_PARSER):
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.CollectionEndEvent):
            frames.pop()
            path.pop()
            key_follows.pop()
        elif isinstance(event, yaml.NodeEvent):
            if frames and frames[-1] == "{" and key_follows[-1]:
                resolved = _yaml_value(event, "") if isinstance(event, yaml.ScalarEvent) else ""
                path[-1] = _key_text(resolved)
                yield tuple(path), place
                key_follows[-1], named = False, True
                continue
            if frames and frames[-1] == "[":
                path[-1] = str(int(path[-1] or -1) + 1)
            if not named:
                yield tuple(path), place
            named = False
            if key_follows:
                key_follows[-1] = True
            if isinstance(event, yaml.CollectionStartEvent):
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                frames.append("{" if is_mapping else "[")
                path.append("" if is_mapping else "-1")
                key_follows.append(is_mapping)
