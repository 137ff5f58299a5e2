"""What the references of a chain mean, as far as its schemas say it before anything was answered.

A JSON Schema describes each value: a text, an answer by its step's own schema, a list of those
where a step is asked for each item. What a schema does not say is not held against a reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.orchestrator._chain_definition import INPUTS, ITEM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lattice_lock.core._findings import Findings
    from lattice_lock.core._yaml_tree import ScalarNode
    from lattice_lock.exceptions import SourceLocation
    from lattice_lock.messages import JsonObject
    from lattice_lock.orchestrator._templates import Reference

__all__ = ["TEXT", "Mention", "Values", "template_place"]

TEXT: Final[JsonObject] = {"type": "string"}

_BRACES = re.compile(r"\{\{")
# By these a schema may allow fields that its `properties` do not name.
_MORE_FIELDS = (
    *("additionalProperties", "patternProperties", "unevaluatedProperties"),
    *("allOf", "anyOf", "oneOf", "if", "$ref", "$dynamicRef"),
)

_KINDS = {
    "string": "text",
    "array": "a list",
    "object": "an object",
    "number": "a number",
    "integer": "a number",
    "boolean": "true or false",
    "null": "null",
}
_HINTS = {
    "string": "An answer has fields if its step has a `response_schema` that names them.",
    "array": "Use the whole list, or name it in `for_each`.",
}


@dataclass(frozen=True, slots=True)
class Mention:
    """A reference, and where it stands: in the template of `node`, or as all of it."""

    reference: Reference
    node: ScalarNode
    offset: int | None = None

    @property
    def location(self) -> SourceLocation:
        """Place of the reference, or of the two braces before it."""
        return self.node.location if self.offset is None else template_place(self.node, self.offset)


class Values:
    """Schemas of all that a chain's references can mean.

    Args:
        answers: the schema of what each step comes to.
    """

    def __init__(
        self, inputs: Iterable[str], answers: Mapping[str, JsonObject], findings: Findings
    ) -> None:
        self._inputs = list(inputs)
        self._answers = answers
        self._findings = findings

    def items(self, mention: Mention, step: str) -> JsonObject:
        """The schema of an item of the list that `for_each` of `step` names.

        What is no list is a finding.
        """
        name = mention.reference
        if name.root in (INPUTS, ITEM):
            self._findings.add(
                mention.location,
                f"`for_each` of step `{step}` must name a list in the answer of a step.",
                "Let a step with a `response_schema` make the list.",
            )
            return {}
        schema = self.schema(mention, None)
        kind = schema.get("type")
        if isinstance(kind, str) and kind != "array":
            self._findings.add(
                mention.location,
                f"`for_each` of step `{step}` needs a list, and `{name}` is {_kind(kind)}.",
                "Give its step a `response_schema` with a list, and name that, such as"
                " `plan.points`.",
            )
        return _known(schema.get("items"))

    def schema(self, mention: Mention, item: JsonObject | None) -> JsonObject:
        """The schema of the value that is meant; empty where nothing is known of it.

        A name that means nothing is a finding.

        Args:
            item: the schema of an item; None where the step is not asked for each.
        """
        schema = self._root(mention, item)
        name = mention.reference.root
        for part in mention.reference.fields:
            properties = _known(schema.get("properties"))
            kind = schema.get("type")
            if part in properties:
                schema = _known(properties[part])
            elif isinstance(kind, str) and kind != "object":
                self._findings.add(
                    mention.location,
                    f"`{name}` is {_kind(kind)} and has no field `{part}`.",
                    _HINTS.get(kind),
                )
                return {}
            elif properties and not any(schema.get(key) for key in _MORE_FIELDS):
                self._findings.add(
                    mention.location,
                    f"`{name}` has no field `{part}`.",
                    did_you_mean(part, properties),
                )
                return {}
            else:
                schema = {}
            name += f".{part}"
        return schema

    def _root(self, mention: Mention, item: JsonObject | None) -> JsonObject:
        """The schema of what a reference begins with; empty after a finding."""
        root = mention.reference.root
        inputs = [f"{INPUTS}.{name}" for name in self._inputs]
        if root in self._answers:
            return self._answers[root]
        if root == ITEM and item is not None:
            return item
        if root == INPUTS and mention.reference.fields and inputs:
            return {"type": "object", "properties": dict.fromkeys(self._inputs, TEXT)}
        if root == INPUTS:
            message = "`inputs` alone is no text." if inputs else "The chain has no `inputs`."
            hint = did_you_mean("", inputs)
        elif root == ITEM:
            message = "There is no `item`, because the step has no `for_each`."
            hint = "Give the step `for_each`, or name another value."
        else:
            message = f"There is no step `{root}`."
            names = [*self._answers, *inputs, *([] if item is None else [ITEM])]
            meant_input = root in self._inputs
            hint = f"Write `{INPUTS}.{root}`." if meant_input else did_you_mean(root, names)
        self._findings.add(mention.location, message, hint)
        return {}


def _kind(name: str) -> str:
    return _KINDS.get(name, f"`{name}`")


def _known(schema: object) -> JsonObject:
    return schema if isinstance(schema, dict) else {}


def template_place(node: ScalarNode, offset: int) -> SourceLocation:
    """Where in the file the two braces at `offset` of a text stand, however it is written.

    Where some of its braces are written as escapes, the start of the text.
    """
    number = node.text.count("{{", 0, offset)
    if node.raw.count("{{") != node.text.count("{{"):
        return node.location
    start = next(islice(_BRACES.finditer(node.raw), number, None)).start()
    line = node.raw.count("\n", 0, start)
    if not line:
        return replace(node.location, column=node.location.column + start)
    column = start - node.raw.rfind("\n", 0, start)
    return replace(node.location, line=node.location.line + line, column=column)
