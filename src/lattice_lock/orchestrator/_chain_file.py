"""Chains as they are written: YAML in, checked steps out, every problem with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lattice_lock.core._cycles import find_cycles
from lattice_lock.core._findings import Findings
from lattice_lock.core._section import Section, describe, read_choice, read_names
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core._yaml_tree import (
    MAX_BYTES,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    compose,
    decode,
)
from lattice_lock.exceptions import ChainError, LatticeError, SourceLocation, UsageError
from lattice_lock.messages import ModelId, ResponseSchema
from lattice_lock.orchestrator._chain_definition import AT_ONCE, INPUTS, ITEM, Chain, Step
from lattice_lock.orchestrator._chain_references import TEXT, Mention, Values, template_place
from lattice_lock.orchestrator._templates import Reference, Template, split_template
from lattice_lock.orchestrator.completing import Strategy
from lattice_lock.orchestrator.tasks import TaskType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lattice_lock.messages import JsonObject

__all__ = ["load_chain", "parse_chain", "ready_chains"]

_READY = Path(__file__).parent / "chains"
_KEYS = ("name", "description", "inputs", "steps", "output")
_STEP_KEYS = (
    *("id", "prompt", "system", "model", "task_type", "strategy", "max_output_tokens"),
    *("temperature", "response_schema", "for_each", "concurrency", "after"),
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")  # what vendors take as the name of a schema
_MOST = 10**9  # far beyond any number of tokens, and exact as a float
_LIST = "Write the list without braces, such as `plan.points`."
_STEPS = 'Write `steps: [{id: answer, prompt: "Hello"}]`.'


def ready_chains() -> dict[str, Path]:
    """The chains that come with the package, by name."""
    return {path.stem: path for path in sorted(_READY.glob("*.yaml"))}


def load_chain(path: Path | str) -> Chain:
    """The chain of a file, or the ready one of that name; reads, so not for an event loop.

    Raises:
        ChainError: it cannot be read, or what it says is wrong; see `parse_chain`.
    """
    ready = ready_chains()
    found = ready.get(str(path), Path(path))
    try:
        with found.open("rb") as file:
            content = file.read(MAX_BYTES + 1)  # one more is enough to know that it is too long
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ChainError(
            f"The chain `{path}` cannot be read: {reason}.",
            hint=f"Name a file, or a ready chain: {', '.join(f'`{name}`' for name in ready)}.",
        ) from None
    return parse_chain(content, file=str(path))


def parse_chain(text: str | bytes, *, file: str) -> Chain:
    """The chain that a text describes; the first schema imports `jsonschema`, which takes a while.

    Args:
        text: YAML, see `docs/how-to/chains.md`.
        file: what messages call it.

    Raises:
        ChainError: it is wrong; every problem with file, line and column.
    """
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    findings = Findings()
    try:
        decoded = decode(content, file)
        if not any(line.lstrip()[:1] not in ("", "#") for line in decoded.splitlines()):
            findings.add(SourceLocation(file=file, line=1, column=1), "The chain is empty.", _STEPS)
            findings.ensure_none()
        return _ChainReader(compose(decoded, file), findings).read()
    except LatticeError as error:
        problems = "\n".join(str(problem) for problem in error.problems)
        raise ChainError(problems, hint=error.hint) from None


@dataclass(slots=True, kw_only=True)
class _Written:
    """A step as it stands in the file, before what it refers to is known."""

    section: Section
    id: str
    values: dict[str, Any] = field(default_factory=dict)
    for_each: Mention | None = None
    mentions: list[Mention] = field(default_factory=list)
    after: list[ScalarNode] = field(default_factory=list)

    @property
    def answers(self) -> JsonObject:
        """The schema of what the step comes to."""
        wanted: ResponseSchema | None = self.values["response_schema"]
        answer = TEXT if wanted is None else wanted.schema
        return answer if self.for_each is None else {"type": "array", "items": answer}


class _ChainReader:
    def __init__(self, root: Node, findings: Findings) -> None:
        self._findings = findings
        self._section = Section(root, "the chain", _KEYS, findings)
        self._written: dict[str, _Written] = {}

    def read(self) -> Chain:
        if not isinstance(self._section.node, MappingNode):
            self._findings.ensure_none()
        name = self._section.require_text("name", "my-chain")
        description = self._section.text("description")
        inputs = dict(self._read_inputs(self._section.get("inputs")))
        for written in self._read_steps():
            self._written[written.id] = written
        output = self._read_output()
        answers = {name: written.answers for name, written in self._written.items()}
        values = Values(inputs, answers, self._findings)
        steps = tuple(self._step(written, values) for written in self._written.values())
        self._refuse_cycles({step.id: step.needs for step in steps})
        self._findings.ensure_none()
        return Chain(
            name=name or "",
            description=description,
            inputs=inputs,
            steps=steps,
            output=output,
        )

    # The file's own words

    def _read_inputs(self, node: Node | None) -> Iterator[tuple[str, str | None]]:
        if node is None or (isinstance(node, ScalarNode) and node.is_null):
            return
        if not isinstance(node, MappingNode):
            self._add(
                node,
                f"`inputs` must be a mapping, this is {describe(node)}.",
                "Write each input with its default, or with nothing: `{topic: , tone: friendly}`.",
            )
            return
        for key, value in node.entries:
            self._check_name(key, "an input")
            if not isinstance(value, ScalarNode):
                self._add(value, f"The input `{key.text}` must be text, this is {describe(value)}.")
            else:
                yield key.text, None if value.is_null else value.text

    def _read_steps(self) -> Iterator[_Written]:
        node = self._section.get("steps")
        if node is None or (isinstance(node, SequenceNode) and not node.items):
            self._add(node or self._section.node, "The chain has no steps.", _STEPS)
            return
        if not isinstance(node, SequenceNode):
            self._add(node, f"`steps` must be a list, this is {describe(node)}.", _STEPS)
            return
        first: dict[str, ScalarNode] = {}
        for item in node.items:
            section = Section(item, "a step", _STEP_KEYS, self._findings)
            section.require_text("id", "draft")
            name = _text_node(section, "id")
            if name is None:
                continue
            if name.text in first:
                self._add(
                    name,
                    f"The step `{name.text}` stands here for the second time; the first is at line"
                    f" {first[name.text].location.line}.",
                    "Give one of the two another id.",
                )
                continue
            first[name.text] = name
            self._check_name(name, "a step")
            section.what = f"step `{name.text}`"
            yield self._read_step(section, name.text)

    def _read_step(self, section: Section, name: str) -> _Written:
        section.require_text("prompt", '"Hello"')
        written = _Written(section=section, id=name)
        written.values = {
            "prompt": self._template(section, "prompt", written.mentions),
            "system": self._template(section, "system", written.mentions),
            "response_schema": self._schema(section, name),
            "max_output_tokens": self._whole_number(section, "max_output_tokens"),
            "temperature": self._number(section, "temperature"),
            "concurrency": self._whole_number(section, "concurrency") or AT_ONCE,
            **self._routing(section),
        }
        written.for_each = self._for_each(section)
        written.after = read_names(
            section.get("after"), f"`after` of {section.what}", self._findings
        )
        if section.get("for_each") is None and section.get("concurrency") is not None:
            self._findings.add(
                section.key_location("concurrency"),
                f"`concurrency` of {section.what} says how many items are asked about at once, and"
                " there is no `for_each`.",
                "Remove it; steps that do not need each other run at once anyway.",
            )
        return written

    def _read_output(self) -> str:
        """The step that is named, or the last one."""
        node = _text_node(self._section, "output")
        if node is None:
            return next(reversed(self._written), "")
        if node.text not in self._written:
            self._add(
                node,
                f"`output` names the step `{node.text}`, which does not exist.",
                did_you_mean(node.text, self._written),
            )
        return node.text

    def _routing(self, section: Section) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, kind in (("task_type", TaskType), ("strategy", Strategy)):
            node = _text_node(section, key)
            if node and read_choice(node, f"`{key}`", [one.value for one in kind], self._findings):
                found[key] = kind(node.text)
        model = _text_node(section, "model")
        if model is None:
            return found
        for key in found:
            self._findings.add(
                section.key_location(key),
                f"`{key}` of {section.what} chooses a model, and `model` names one.",
                "Remove one of the two.",
            )
        try:
            return {"model": ModelId.parse(model.text)}
        except UsageError as error:
            self._add(model, error.message, error.hint)
        return found

    def _for_each(self, section: Section) -> Mention | None:
        node = _text_node(section, "for_each", _LIST)
        if node is None:
            return None
        reference = Reference.parse(node.text)
        if reference is None:
            message = f"`for_each` of {section.what} must name a list, this is {describe(node)}."
            self._add(node, message, _LIST)
            return None
        return Mention(reference, node)

    def _template(self, section: Section, key: str, mentions: list[Mention]) -> Template | None:
        node = _text_node(section, key)
        if node is None:
            return None
        parts: list[str | Reference] = []
        for offset, part in split_template(node.text):
            if part is None:
                self._findings.add(
                    template_place(node, offset),
                    "Between `{{` and `}}` must stand one name, such as `{{ draft }}`.",
                    "Write `{{{{` where the prompt itself is to have two braces.",
                )
                continue
            parts.append(part)
            if isinstance(part, Reference):
                mentions.append(Mention(part, node, offset))
        return Template(tuple(parts))

    def _schema(self, section: Section, name: str) -> ResponseSchema | None:
        node = section.get("response_schema")
        if node is None:
            return None
        unknown = ResponseSchema(name=name, schema={})
        if not isinstance(node, MappingNode):
            self._add(
                node,
                f"`response_schema` of {section.what} must be a JSON Schema, this is"
                f" {describe(node)}.",
                "Write `{type: object, properties: {title: {type: string}}}`.",
            )
            return unknown
        schema = _json_value(node)
        # Imported here because few chains have one and it takes longer than all the rest.
        from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415
        from jsonschema.validators import validator_for  # noqa: PLC0415

        try:
            validator_for(schema, default=Draft202012Validator).check_schema(schema)
        except SchemaError as error:
            self._add(
                _inner_node(node, error.absolute_path),
                f"`response_schema` of {section.what} is no JSON Schema: `{error.json_path}` breaks"
                f" `{error.validator}`.",
            )
            return unknown
        return ResponseSchema(name=name, schema=schema)

    def _whole_number(self, section: Section, key: str) -> int | None:
        value = self._number(section, key, "a whole number from 1 up", least=1)
        return None if value is None else int(value)

    def _number(
        self, section: Section, key: str, what: str = "a number from 0 up", *, least: int = 0
    ) -> float | None:
        node = section.get(key)
        if node is None:
            return None
        value = node.resolve() if isinstance(node, ScalarNode) else None
        right = int if least else int | Decimal
        if isinstance(value, right) and not isinstance(value, bool) and least <= value <= _MOST:
            return float(value)
        self._add(node, f"`{key}` of {section.what} must be {what}, this is {describe(node)}.")
        return None

    # What refers to what

    def _step(self, written: _Written, values: Values) -> Step:
        names = [INPUTS, ITEM]
        item: JsonObject | None = None if written.section.get("for_each") is None else {}
        if written.for_each is not None:
            item = values.items(written.for_each, written.id)
            names.append(written.for_each.reference.root)
        for mention in written.mentions:
            values.schema(mention, item)
            names.append(mention.reference.root)
        for node in written.after:
            if node.text not in self._written:
                self._add(
                    node,
                    f"`after` of {written.section.what} names the step `{node.text}`, which does"
                    " not exist.",
                    did_you_mean(node.text, self._written),
                )
            names.append(node.text)
        return Step(
            id=written.id,
            for_each=None if written.for_each is None else written.for_each.reference,
            needs=tuple(dict.fromkeys(names))[2:],
            **written.values,
        )

    def _refuse_cycles(self, needs: Mapping[str, Sequence[str]]) -> None:
        for cycle in find_cycles(needs):
            path = " -> ".join((*cycle, cycle[0]))
            self._findings.add(
                self._written[cycle[0]].section.key_location("id"),
                f"Steps wait for one another: `{path}`.",
                "Each needs the next; let one of them do without.",
            )

    def _check_name(self, node: ScalarNode, what: str) -> None:
        if node.text in (INPUTS, ITEM) or not _NAME.fullmatch(node.text):
            self._add(
                node,
                f"`{node.text}` cannot name {what}.",
                "Use up to 64 letters, digits, `_` and `-`, beginning with a letter; `inputs` and"
                " `item` are taken.",
            )

    def _add(self, node: Node, message: str, hint: str | None = None) -> None:
        self._findings.add(node.location, message, hint)


def _text_node(section: Section, key: str, hint: str | None = None) -> ScalarNode | None:
    """The value of `key` where it is text; anything else that is there is a finding."""
    if section.text(key, hint) is None:
        return None
    node = section.get(key)
    return node if isinstance(node, ScalarNode) else None


def _json_value(node: Node) -> Any:  # noqa: ANN401  # JSON
    """A node as JSON has it."""
    if isinstance(node, ScalarNode):
        value = node.resolve()
        return float(value) if isinstance(value, Decimal) else value
    if isinstance(node, SequenceNode):
        return [_json_value(item) for item in node.items]
    return {key.text: _json_value(value) for key, value in node.entries}


def _inner_node(node: Node, path: Iterable[str | int]) -> Node:
    """The node to which `path` leads, or the last one on the way."""
    for part in path:
        if isinstance(node, SequenceNode) and isinstance(part, int):
            node = node.items[part]
        elif isinstance(node, MappingNode):
            node = {key.text: value for key, value in node.entries}[str(part)]
    return node
