"""Reads one mapping of a lattice: known keys, and values of the expected shape."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core._yaml_tree import MappingNode, Node, ScalarNode, SequenceNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lattice_lock.core._findings import Findings
    from lattice_lock.exceptions import SourceLocation

__all__ = ["Section", "describe", "is_name", "named_entries", "read_choice", "read_names"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LONGEST_NAME = 100


class Section:
    """One mapping whose keys are fixed by the format.

    Attributes:
        node: the mapping.
        what: how messages call it, such as "field `price`".
    """

    def __init__(
        self,
        node: Node,
        what: str,
        known: Iterable[str],
        findings: Findings,
        *,
        hints: Mapping[str, str] | None = None,
    ) -> None:
        self.node = node
        self.what = what
        self.findings = findings
        self._values: dict[str, Node] = {}
        self._keys: dict[str, ScalarNode] = {}
        names = list(known)
        if not isinstance(node, MappingNode):
            findings.add(
                node.location,
                f"{what} must be a mapping, this is {describe(node)}.",
                f"It takes the keys {', '.join(f'`{name}`' for name in names)}.",
            )
            return
        for key, value in node.entries:
            if key.text in names:
                self._values[key.text] = value
                self._keys[key.text] = key
            else:
                hint = (hints or {}).get(key.text) or did_you_mean(key.text, names)
                if key.text == "<<":
                    hint = "Merge keys are not supported; write the entries out."
                findings.add(key.location, f"{what} has no key `{key.text}`.", hint)

    def get(self, key: str) -> Node | None:
        """The value of `key`; None when it is absent."""
        return self._values.get(key)

    def key_location(self, key: str) -> SourceLocation:
        """Place of `key` itself, or of the section when it is absent."""
        found = self._keys.get(key)
        return found.location if found else self.node.location

    def text(self, key: str, hint: str | None = None) -> str | None:
        """The value of `key` as text; None when it is absent or, after a finding, wrong."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, ScalarNode) and isinstance(value.resolve(), str):
            return value.text
        self.findings.add(
            value.location,
            f"`{key}` of {self.what} must be text, this is {describe(value)}.",
            hint or "Put it into quotes.",
        )
        return None

    def require_text(self, key: str, example: str) -> str | None:
        """As `text`, and absence is a finding too."""
        if key not in self._values and isinstance(self.node, MappingNode):
            self.findings.add(
                self.node.location, f"{self.what} has no `{key}`.", f"Write `{key}: {example}`."
            )
        return self.text(key)

    def flag(self, key: str) -> bool:
        """The value of `key` as true or false; false when absent."""
        value = self.get(key)
        if value is None:
            return False
        found = value.resolve() if isinstance(value, ScalarNode) else None
        if isinstance(found, bool):
            return found
        self.findings.add(
            value.location,
            f"`{key}` of {self.what} must be true or false, this is {describe(value)}.",
            "Write `true` or `false`.",
        )
        return False


def is_name(text: str) -> bool:
    """Whether `text` can be a Python name: ASCII, no leading underscore, no keyword."""
    return (
        _NAME.fullmatch(text) is not None
        and len(text) <= _LONGEST_NAME
        and not keyword.iskeyword(text)
    )


def named_entries(
    node: Node | None, what: str, findings: Findings
) -> list[tuple[str, ScalarNode, Node]]:
    """Entries of a mapping whose keys the author chooses; names that cannot be used are left out.

    Args:
        node: the mapping; null and None mean no entries.
        what: how messages call one entry, such as "entity".
        findings: where problems go.
    """
    if node is None or (isinstance(node, ScalarNode) and node.is_null):
        return []
    if not isinstance(node, MappingNode):
        findings.add(
            node.location,
            f"Expected a mapping from {what} name to {what}, found {describe(node)}.",
        )
        return []
    found = []
    for key, value in node.entries:
        if is_name(key.text):
            found.append((key.text, key, value))
            continue
        if keyword.iskeyword(key.text):
            message = f"`{key.text}` is a Python keyword and cannot name a {what}."
            hint = f"Write `{key.text}_`."
        else:
            message = f"`{_shorten(key.text)}` cannot name a {what}."
            hint = "Use letters, digits and underscores, beginning with a letter."
        findings.add(key.location, message, hint)
    return found


def read_names(node: Node | None, what: str, findings: Findings) -> list[ScalarNode]:
    """The texts of a list such as `[a, b]`, each once; None means an empty list."""
    if node is None or (isinstance(node, ScalarNode) and node.is_null):
        return []
    if not isinstance(node, SequenceNode):
        findings.add(
            node.location, f"{what} must be a list, this is {describe(node)}.", "Write `[a, b]`."
        )
        return []
    found: dict[str, ScalarNode] = {}
    for item in node.items:
        if not (isinstance(item, ScalarNode) and isinstance(item.resolve(), str) and item.text):
            findings.add(
                item.location,
                f"Each entry of {what} must be text, this is {describe(item)}.",
                "Put it into quotes." if isinstance(item, ScalarNode) else None,
            )
        elif item.text in found:
            findings.add(item.location, f"`{item.text}` stands in {what} twice.")
        else:
            found[item.text] = item
    return list(found.values())


def read_choice(node: ScalarNode, what: str, choices: Iterable[str], findings: Findings) -> bool:
    """Whether the text of `node` is one of `choices`; a finding when not."""
    options = list(choices)
    if node.text in options:
        return True
    findings.add(
        node.location,
        f"`{_shorten(node.text)}` is not a {what}.",
        did_you_mean(node.text, options),
    )
    return False


def describe(node: Node) -> str:
    """What a node is, for messages: "the number 3", "a list"."""
    if isinstance(node, SequenceNode):
        return "a list"
    if isinstance(node, MappingNode):
        return "a mapping"
    value = node.resolve()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {node.text}"
    kind = "the text" if isinstance(value, str) else "the number"
    return f"{kind} `{_shorten(node.text)}`"


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 60 else f"{flat[:57]}..."  # noqa: PLR2004 -- fits one line
