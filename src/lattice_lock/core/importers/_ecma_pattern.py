r"""Regular expressions that find something in a text, as ones that match a whole text."""

from __future__ import annotations

import re

from lattice_lock.core.emitters._text_patterns import END

__all__ = ["whole_pattern"]

_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_"}
_ANY = r"(?:.|\n)*"
_NAMED = re.compile(r"\(\?<(?=[A-Za-z_])")
_CODE = re.compile(r"\\u\{([0-9a-fA-F]{1,6})\}")


def whole_pattern(pattern: str, *, ascii_classes: bool) -> str:
    r"""What matches a whole text exactly where `pattern` finds something in it.

    Args:
        pattern: a regular expression as `re.search`, or JSON Schema, reads it.
        ascii_classes: whether `\d` and `\w` mean ASCII, as they do in JSON Schema.
    """
    text = pattern
    if ascii_classes:
        text = _CODE.sub(lambda found: f"\\U{int(found[1], 16):08x}", text)
        text = _NAMED.sub("(?P<", _spelled_classes(text))
    for start, end in ((r"\A(?:", r")\Z"), ("^(?:", f"){END}"), ("^(?:", ")$")):
        inner = text[len(start) : -len(end)]
        if text.startswith(start) and text.endswith(end) and _is_closed(inner):
            return inner
    return "|".join(map(_whole_alternative, _alternatives(text)))


def _whole_alternative(text: str) -> str:
    start = next((one for one in ("^", r"\A") if text.startswith(one)), "")
    end = next((one for one in (END, r"\Z", "$") if text.endswith(one)), "")
    if _is_escaped(text, len(text) - len(end)):
        end = ""
    inner = text[len(start) : len(text) - len(end)]
    return f"{'' if start else _ANY}{inner}{'' if end else _ANY}"


def _spelled_classes(text: str) -> str:
    parts: list[str] = []
    place, in_set = 0, False
    while place < len(text):
        character = text[place]
        if character == "\\" and place + 1 < len(text):
            following = text[place + 1]
            members = _CLASSES.get(following)
            if members is not None:
                parts.append(members if in_set else f"[{members}]")
            elif following.lower() in _CLASSES and not in_set:
                parts.append(f"[^{_CLASSES[following.lower()]}]")
            else:
                parts.append("/" if following == "/" else text[place : place + 2])
            place += 2
            continue
        if character == "[" and not in_set:
            in_set = True
        elif character == "]":
            in_set = False
        parts.append(character)
        place += 1
    return "".join(parts)


def _is_escaped(text: str, place: int) -> bool:
    before = text[:place]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _outside(text: str) -> list[tuple[str, int, int]]:
    """Brackets and bars that are neither escaped nor in a set, with their depth and place."""
    found: list[tuple[str, int, int]] = []
    depth, place, in_set = 0, 0, False
    while place < len(text):
        character = text[place]
        if character == "\\":
            place += 2
            continue
        if in_set:
            in_set = character != "]"
        elif character == "[":
            in_set = True
            place += text[place + 1 : place + 2] in ("]", "^")
        elif character == "(":
            found.append((character, depth, place))
            depth += 1
        elif character == ")":
            depth -= 1
            found.append((character, depth, place))
        elif character == "|":
            found.append((character, depth, place))
        place += 1
    return found


def _alternatives(text: str) -> list[str]:
    bars = [place for character, depth, place in _outside(text) if (character, depth) == ("|", 0)]
    starts = [0, *(place + 1 for place in bars)]
    return [text[start:end] for start, end in zip(starts, [*bars, len(text)], strict=True)]


def _is_closed(text: str) -> bool:
    """Whether no bracket of `text` closes one before it."""
    return all(depth >= 0 for _, depth, _ in _outside(text))
