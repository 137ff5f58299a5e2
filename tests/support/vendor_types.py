"""Request types of vendors' own packages, made strict enough to judge what we send.

As they ship, these types let nearly everything pass: pydantic reads an `Iterable` lazily, a
`TypedDict` takes keys it does not know, and models of answers, which take any key, stand beside the
types of requests. `closed` builds a type anew without these holes.
"""

from __future__ import annotations

import types
import typing
from collections import abc
from typing import Annotated, Any, Literal, NotRequired, Required, Union

import typing_extensions
from pydantic import BaseModel, ConfigDict, TypeAdapter
from typing_extensions import ReadOnly, is_typeddict

_QUALIFIERS = (Required, NotRequired, ReadOnly)
_SEQUENCES = ("Iterable", "List", "Sequence", "SequenceNotStr", "list")
# What a client accepts for convenience and reads before it sends.
_CLIENT_ONLY = ("IO", "PathLike")


def closed(kind: Any) -> TypeAdapter[Any]:
    """An adapter for `kind` that reads everything at once and knows every key."""
    return TypeAdapter(_close(kind, {}))


def _close(kind: Any, seen: dict[Any, Any]) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if is_typeddict(kind):
        return _close_dict(kind, seen)
    if origin is None or origin is Literal:
        return kind
    if origin in _QUALIFIERS:
        return origin[_close(arguments[0], seen)]
    if origin is Annotated:
        return Annotated[(_close(arguments[0], seen), *arguments[1:])]
    if origin is Union or isinstance(kind, types.UnionType):
        return Union[tuple(_close(arm, seen) for arm in _sendable(arguments))]  # noqa: UP007  # built at run time
    if getattr(origin, "__name__", "") in _SEQUENCES:
        return list[_close(arguments[0], seen)]  # type: ignore[misc]  # built at run time
    if origin in {dict, abc.Mapping}:
        return dict[arguments[0], _close(arguments[1], seen)]  # type: ignore[misc,valid-type]  # built at run time
    return kind


def _sendable(arms: tuple[Any, ...]) -> tuple[Any, ...]:
    requests = any(is_typeddict(arm) for arm in arms)
    kept = tuple(
        arm
        for arm in arms
        if not (requests and _is_answer(arm))
        and getattr(typing.get_origin(arm) or arm, "__name__", "") not in _CLIENT_ONLY
    )
    return kept or arms


def _is_answer(kind: Any) -> bool:
    if typing.get_origin(kind) is Annotated:
        return _is_answer(typing.get_args(kind)[0])
    if typing.get_origin(kind) is Union:
        return all(_is_answer(arm) for arm in typing.get_args(kind))
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _close_dict(kind: Any, seen: dict[Any, Any]) -> Any:
    if kind in seen:
        return seen[kind]
    # Several of a vendor's types share a name.
    name = f"{kind.__module__.replace('.', '_')}_{kind.__name__}"
    make: Any = typing_extensions.TypedDict
    built = make(name, {}, total=False)
    own = getattr(kind, "__pydantic_config__", {}).get("extra")
    built.__pydantic_config__ = ConfigDict(extra=own or "forbid", arbitrary_types_allowed=True)
    seen[kind] = built  # before its fields, which may hold the type itself
    fields = {}
    for key, hint in typing_extensions.get_type_hints(kind, include_extras=True).items():
        wire_name = _alias(hint) or key
        if "-" not in wire_name:  # else a header
            fields[wire_name] = _close_field(hint, seen, required=key in kind.__required_keys__)
    built.__annotations__ = fields
    return built


def _close_field(hint: Any, seen: dict[Any, Any], *, required: bool) -> Any:
    # With postponed annotations `__required_keys__` is empty, and the qualifier is the truth.
    while typing.get_origin(hint) in {Required, NotRequired}:
        required = typing.get_origin(hint) is Required
        hint = typing.get_args(hint)[0]
    closed_hint = _close(hint, seen)
    return Required[closed_hint] if required else NotRequired[closed_hint]


def _alias(hint: Any) -> str | None:
    if typing.get_origin(hint) in {Required, NotRequired}:
        return _alias(typing.get_args(hint)[0])
    if typing.get_origin(hint) is Annotated:
        for mark in typing.get_args(hint)[1:]:
            if type(mark).__name__ == "PropertyInfo" and mark.alias:
                return str(mark.alias)
    return None
