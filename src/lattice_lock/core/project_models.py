"""The models and aliases that a lattice adds to those that are known.

They say nothing about the code of a project, so that a model can be asked while the rest of the
lattice is being written: `load_models` reads these two keys and judges no other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lattice_lock.core._findings import Findings
from lattice_lock.core._lattice_file import read_lattice_file
from lattice_lock.core._section import Section, describe
from lattice_lock.core._values import plain_value
from lattice_lock.core._yaml_tree import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    compose,
    decode,
)
from lattice_lock.core.schema import ModelAlias, ModelDeclaration, ProjectModels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lattice_lock.exceptions import SourceLocation

__all__ = ["load_models", "read_models"]

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MODEL = re.compile(r"[a-z][a-z0-9_-]*/\S+")
_EXAMPLE = "Write `- {provider: local, name: qwen3-coder, can: [tools]}`."


def load_models(path: Path) -> ProjectModels:
    """What the keys `models` and `aliases` of a lattice say; the others may be wrong.

    Raises:
        ProjectNotFoundError: there is no such file.
        ProjectError: it is not a regular file or may not be read.
        LatticeError: it is no YAML that a lattice can be, or one of the two is wrong.
    """
    file = str(path)
    root = compose(decode(read_lattice_file(path), file), file)
    findings = Findings()
    entries = root.entries if isinstance(root, MappingNode) else ()
    values = {key.text: value for key, value in entries}
    models = read_models(values.get("models"), values.get("aliases"), findings)
    findings.ensure_none()
    return models


def read_models(models: Node | None, aliases: Node | None, findings: Findings) -> ProjectModels:
    """Every entry with its place; what its other fields mean is for the registry to judge."""
    return ProjectModels(
        models=tuple(_read_declarations(models, findings)),
        aliases=dict(_read_aliases(aliases, findings)),
    )


def _read_declarations(node: Node | None, findings: Findings) -> Iterator[ModelDeclaration]:
    if node is None or (isinstance(node, ScalarNode) and node.is_null):
        return
    if not isinstance(node, SequenceNode):
        findings.add(node.location, f"`models` must be a list, this is {describe(node)}.", _EXAMPLE)
        return
    for item in node.items:
        keys = [key.text for key, _ in item.entries] if isinstance(item, MappingNode) else []
        section = Section(item, "a model", ("provider", "name", *keys), findings)
        provider = section.require_text("provider", "local")
        name = section.require_text("name", "qwen3-coder")
        if provider is not None and name is not None:
            yield ModelDeclaration(
                fields={key: plain_value(value) for key in keys if (value := section.get(key))},
                places=dict(_places("$", item)),
            )


def _read_aliases(node: Node | None, findings: Findings) -> Iterator[tuple[str, ModelAlias]]:
    if node is None or (isinstance(node, ScalarNode) and node.is_null):
        return
    if not isinstance(node, MappingNode):
        findings.add(
            node.location,
            f"`aliases` must be a mapping from alias to model, this is {describe(node)}.",
            "Write `aliases: {fast: openai/gpt-6-luna}`.",
        )
        return
    for key, value in node.entries:
        if not _ALIAS.fullmatch(key.text):
            findings.add(
                key.location,
                f"{key.text[:60]!r} cannot be an alias.",
                "Use letters, digits, dots, dashes and underscores.",
            )
        elif not (isinstance(value, ScalarNode) and _MODEL.fullmatch(value.text)):
            findings.add(
                value.location,
                f"The alias `{key.text}` names no model, it is {describe(value)}.",
                "Write `provider/name`, such as `openai/gpt-6-luna`.",
            )
        else:
            yield key.text, ModelAlias(model=value.text, location=value.location)


def _places(path: str, node: Node) -> Iterator[tuple[str, SourceLocation]]:
    """Where each value stands, by its path such as `$.prices[0].input`."""
    yield path, node.location
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield from _places(f"{path}[{index}]", item)
    elif isinstance(node, MappingNode):
        for key, value in node.entries:
            yield from _places(f"{path}.{key.text}", value)
