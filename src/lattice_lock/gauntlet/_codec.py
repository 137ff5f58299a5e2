"""Values as plain JSON data and back, exactly, without running anything that they bring along.

The worker describes what a method returned; the judge builds the value anew from its own classes
and checks that. Only exact types count: a subclass of `str` may lie about being equal.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from lattice_lock.gauntlet._channel import Json

__all__ = ["Codec", "MalformedError", "NotDataError", "TrustedClasses", "Value", "take_over"]

Value: TypeAlias = Any
"""Any Python value."""

_MAX_DEPTH: Final = 60
_EXACT_IN_JSON: Final = 2**53
_OFFSET_UNIT: Final = timedelta(microseconds=1)


class NotDataError(Exception):
    """A value is not data; the message completes the sentence "returned ..."."""


class MalformedError(Exception):
    """A description is not one that `Codec.encode` makes."""


class TrustedClasses:
    """Entities and enums that judge and worker both have, by module and name."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self._by_name: dict[tuple[str, str], type] = {}
        for module in modules:
            for name, value in vars(module).items():
                if isinstance(value, type) and value.__module__ == module.__name__:
                    self._by_name[module.__name__, name] = value
        self._names = {cls: key for key, cls in self._by_name.items()}

    def name_of(self, cls: type) -> tuple[str, str] | None:
        """Module and name of a trusted class, None for any other."""
        return self._names.get(cls)

    def entity(self, module: object, name: object) -> type[BaseModel]:
        """The entity class of that name."""
        cls = self._by_name.get((str(module), str(name)))
        if cls is None or not issubclass(cls, BaseModel):
            raise MalformedError(f"no entity `{module}.{name}`")
        return cls

    def enum(self, module: object, name: object) -> type[Enum]:
        """The enum class of that name."""
        cls = self._by_name.get((str(module), str(name)))
        if cls is None or not issubclass(cls, Enum):
            raise MalformedError(f"no enum `{module}.{name}`")
        return cls


class Codec:
    """Encodes values to JSON data and decodes them.

    Args:
        classes: entities and enums that may occur.
        max_bytes: limit of one encoded value, about.
    """

    def __init__(self, classes: TrustedClasses, *, max_bytes: int) -> None:
        self._classes = classes
        self._max_bytes = max_bytes

    def encode(self, value: object) -> Json:
        """Describe a value.

        Raises:
            NotDataError: it is of no type that a lattice knows, or too large, or nested too deeply.
        """
        return _Encoding(self._classes, self._max_bytes).encode(value, 0)

    def decode(self, description: Json) -> Value:
        """Build the value that was described; entities are not validated.

        Raises:
            MalformedError: nothing that `encode` makes.
        """
        try:
            return self._decode(description)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            OSError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise MalformedError(f"not a description of a value: {error!r:.200}") from error

    def _decode(self, description: Json) -> Value:
        if type(description) is not list:
            if description is None or type(description) in {bool, int, float, str}:
                return description
            raise MalformedError(f"not a description of a value: {description!r:.200}")
        tag, *content = description
        if tag in _SIMPLE_DECODERS:
            return _SIMPLE_DECODERS[tag](*content)
        if tag in _COLLECTIONS:
            (items,) = content
            return _COLLECTIONS[tag](self._decode(item) for item in items)
        if tag == "dict":
            (items,) = content
            return {self._decode(key): self._decode(item) for key, item in items}
        if tag == "enum":
            module, name, member = content
            return self._classes.enum(module, name)[member]
        if tag == "entity":
            return self._decode_entity(*content)
        raise MalformedError(f"unknown tag {tag!r:.200}")

    def _decode_entity(
        self, module: str, name: str, attributes: Json, fields_set: Json, extra: Json
    ) -> BaseModel:
        cls = self._classes.entity(module, name)
        entity = cls.__new__(cls)
        values = {str(key): self._decode(item) for key, item in attributes}
        object.__setattr__(entity, "__dict__", values)
        object.__setattr__(entity, "__pydantic_fields_set__", {str(field) for field in fields_set})
        object.__setattr__(entity, "__pydantic_extra__", self._decode(extra))
        object.__setattr__(entity, "__pydantic_private__", None)
        return entity


class _Encoding:
    """One value being encoded, with what is left of its budget."""

    def __init__(self, classes: TrustedClasses, max_bytes: int) -> None:
        self._classes = classes
        self._max_bytes = max_bytes
        self._left = max_bytes

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise NotDataError(f"more than {self._max_bytes // 1024} KiB of data")

    def encode(self, value: Value, depth: int) -> Json:
        if depth > _MAX_DEPTH:
            raise NotDataError(f"data nested deeper than {_MAX_DEPTH} levels, or within itself")
        self._spend(8)
        cls = type(value)
        if value is None or cls is bool:
            return value
        encoder = _SIMPLE_ENCODERS.get(cls)
        if encoder is not None:
            if cls is str or cls is bytes:
                self._spend(len(value))
            elif cls is int:
                self._spend(value.bit_length() // 4)
            return encoder(value)
        if cls is dict:
            return ["dict", [self._pair(key, item, depth) for key, item in value.items()]]
        if cls in _COLLECTION_TAGS:
            items = [self.encode(item, depth + 1) for item in value]
            if cls is set or cls is frozenset:
                items.sort(key=json.dumps)
            return [_COLLECTION_TAGS[cls], items]
        return self._encode_trusted(value, cls, depth)

    def _pair(self, key: object, item: object, depth: int) -> list[Json]:
        return [self.encode(key, depth + 1), self.encode(item, depth + 1)]

    def _encode_trusted(self, value: Value, cls: type, depth: int) -> Json:
        name = self._classes.name_of(cls)
        if name is None:
            raise NotDataError(_describe_type(cls))
        if issubclass(cls, Enum):
            return ["enum", *name, value.name]
        if not issubclass(cls, BaseModel):
            raise NotDataError(_describe_type(cls))
        attributes = [[str(key), self.encode(v, depth + 1)] for key, v in vars(value).items()]
        extra = self.encode(value.__pydantic_extra__, depth + 1)
        return ["entity", *name, attributes, sorted(value.__pydantic_fields_set__), extra]


def _describe_type(cls: type) -> str:
    name = f"`{cls.__qualname__}`"
    if cls.__module__ == "builtins":
        return f"a {name}, which is not data"
    known = next((base for base in cls.__mro__ if base in _SIMPLE_ENCODERS), None)
    if known is not None:
        return f"{name}, a subclass of `{known.__name__}`, which is not plain data"
    return f"`{cls.__module__}.{cls.__qualname__}`, which is not data"


def _encode_str(value: str) -> Json:
    """The text itself, or its bytes: JSON would join two lone surrogates to one character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return ["str", base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()]
    return value


def _encode_int(value: int) -> Json:
    return value if -_EXACT_IN_JSON < value < _EXACT_IN_JSON else ["int", hex(value)]


def _encode_float(value: float) -> Json:
    finite = value - value == 0  # neither infinite nor NaN
    return value if finite else ["float", repr(value)]


def _encode_zone(zone: tzinfo | None, offset: timedelta | None) -> Json:
    if zone is None or offset is None:
        return None
    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    return offset // _OFFSET_UNIT


def _decode_zone(zone: Json) -> tzinfo | None:
    if zone is None:
        return None
    if type(zone) is str:
        return ZoneInfo(zone)
    return timezone(timedelta(microseconds=zone)) if zone else UTC


def _encode_datetime(value: datetime) -> Json:
    zone = _encode_zone(value.tzinfo, value.utcoffset())
    return ["datetime", value.replace(tzinfo=None, fold=0).isoformat(), value.fold, zone]


def _decode_datetime(text: str, fold: int, zone: Json) -> datetime:
    return datetime.fromisoformat(text).replace(fold=fold, tzinfo=_decode_zone(zone))


_SIMPLE_ENCODERS: Final[dict[type, Callable[[Value], Json]]] = {
    str: _encode_str,
    int: _encode_int,
    float: _encode_float,
    Decimal: lambda value: ["decimal", str(value)],
    UUID: lambda value: ["uuid", value.hex],
    bytes: lambda value: ["bytes", base64.b64encode(value).decode()],
    datetime: _encode_datetime,
    date: lambda value: ["date", value.isoformat()],
    timedelta: lambda value: ["timedelta", value // _OFFSET_UNIT],
}
_SIMPLE_DECODERS: Final[dict[str, Callable[..., Value]]] = {
    "str": lambda text: base64.b64decode(text).decode("utf-8", "surrogatepass"),
    "int": lambda text: int(text, 16),
    "float": float,
    "decimal": Decimal,
    "uuid": lambda text: UUID(hex=text),
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "datetime": _decode_datetime,
    "date": date.fromisoformat,
    "timedelta": lambda count: timedelta(microseconds=count),
}
_COLLECTIONS: Final[dict[str, Callable[[Iterable[Value]], Value]]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}
_COLLECTION_TAGS: Final[dict[type, str]] = {
    list: "list",
    tuple: "tuple",
    set: "set",
    frozenset: "frozenset",
}


def take_over(old: Value, new: Value, codec: Codec) -> Value:
    """Bring `old` into the state of `new` in place, as far as it can change, and return the result.

    Whatever is the same already stays the same object, so that a NaN still equals itself inside a
    list that nobody touched. An immutable entity is never changed, only exchanged.
    """
    if codec.encode(old) == codec.encode(new):
        return old
    if type(old) is not type(new):
        return new
    if type(old) is list:
        kept = len(min(old, new, key=len))
        old[:] = [take_over(a, b, codec) for a, b in zip(old, new, strict=False)] + new[kept:]
        return old
    if type(old) is dict:
        _take_over_items(old, new, codec)
        return old
    if type(old) is set:
        old &= new
        old |= new
        return old
    if isinstance(old, BaseModel) and not old.model_config.get("frozen"):
        _take_over_items(old.__dict__, new.__dict__, codec)
        object.__setattr__(old, "__pydantic_fields_set__", new.__pydantic_fields_set__)
        object.__setattr__(old, "__pydantic_extra__", new.__pydantic_extra__)
        return old
    return new


def _take_over_items(old: dict[Value, Value], new: dict[Value, Value], codec: Codec) -> None:
    items = {key: take_over(old[key], new[key], codec) if key in old else new[key] for key in new}
    old.clear()
    old.update(items)
