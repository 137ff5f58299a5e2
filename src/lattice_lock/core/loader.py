"""Turns the text of a `lattice.yaml` into a checked `Lattice`.

Whatever the text, the only errors are those of `lattice_lock.exceptions`: everything found wrong
is collected and raised together, each problem with its place and what to write instead.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import TYPE_CHECKING

from lattice_lock.core._config import read_config, read_policies
from lattice_lock.core._entities import read_entities
from lattice_lock.core._findings import Findings
from lattice_lock.core._interfaces import read_interfaces
from lattice_lock.core._lattice_file import read_lattice_file
from lattice_lock.core._section import Section, is_name
from lattice_lock.core._typed_elements import Context
from lattice_lock.core._yaml_tree import MappingNode, Node, ScalarNode, compose, decode
from lattice_lock.core.project_models import read_models
from lattice_lock.core.schema import Lattice
from lattice_lock.exceptions import LatticeSyntaxError, Problem, SourceLocation

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_lattice", "parse_lattice"]

_KEYS = (
    "version",
    "generated_module",
    "config",
    "entities",
    "interfaces",
    "policies",
    "models",
    "aliases",
    "forbidden_imports",
    "file_structure_lock",
)
_VERSION = re.compile(r"v[0-9]{1,6}(\.[0-9]{1,6}){1,2}")
_OLDER_VERSION = re.compile(r"v[0-9]{1,6}")


def load_lattice(path: Path) -> Lattice:
    """Read a lattice from a file.

    Raises:
        ProjectNotFoundError: there is no such file.
        ProjectError: it is not a regular file or may not be read.
        LatticeError: what it says is wrong; see `parse_lattice`.
    """
    return parse_lattice(read_lattice_file(path), file=str(path))


def parse_lattice(text: str | bytes, *, file: str) -> Lattice:
    """The lattice that a text describes.

    Args:
        text: content of a `lattice.yaml`.
        file: what messages call it.

    Raises:
        LatticeSyntaxError: not the YAML subset that a lattice is written in.
        LatticeSchemaError: readable, but says something that a lattice cannot say.
        ExpressionError: the only thing wrong is clauses.
    """
    content = text if isinstance(text, bytes) else _encode(text, file)
    root = compose(decode(content, file), file)
    findings = Findings()
    section = Section(root, "the lattice", _KEYS, findings)
    if not isinstance(root, MappingNode):
        findings.ensure_none()
    version = _read_version(section)
    generated_module = _read_generated_module(section)
    _warn_of_older_keys(section)
    config = read_config(section.get("config"), section.get("forbidden_imports"), findings)
    entities_node = section.get("entities")
    context = Context(findings=findings, entities=_entity_names(entities_node))
    entities = read_entities(entities_node, context)
    interfaces = read_interfaces(section.get("interfaces"), config, generated_module, context)
    policies = read_policies(section.get("policies"), findings)
    models = read_models(section.get("models"), section.get("aliases"), findings)
    findings.ensure_none()
    return Lattice(
        file=file,
        digest=hashlib.sha256(content).hexdigest(),
        version=version,
        generated_module=generated_module,
        config=config,
        entities=entities,
        interfaces=interfaces,
        policies=policies,
        models=models,
        warnings=tuple(findings.warnings),
    )


def _encode(text: str, file: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        problem = Problem(
            location=SourceLocation(file=file, line=1, column=1),
            message=f"Character {error.start} is half of a surrogate pair.",
        )
        raise LatticeSyntaxError([problem]) from None


def _entity_names(node: Node | None) -> tuple[str, ...]:
    if not isinstance(node, MappingNode):
        return ()
    return tuple(key.text for key, _ in node.entries if is_name(key.text))


def _read_version(section: Section) -> str:
    number = section.get("version")
    if isinstance(number, ScalarNode) and isinstance(number.resolve(), int | Decimal):
        section.findings.add(
            number.location,
            f"`{number.text}` is not a version.",
            f"Write `version: v{number.text}`.",
        )
        return ""
    text = section.require_text("version", "v1.0")
    if text is None:
        return ""
    if _VERSION.fullmatch(text):
        return text
    if _OLDER_VERSION.fullmatch(text):
        section.findings.warn(
            section.key_location("version"),
            f"`version: {text}` is an older spelling.",
            f"Write `version: {text}.0`.",
        )
        return f"{text}.0"
    section.findings.add(
        section.key_location("version"),
        f"`{text}` is not a version.",
        "Write `v` and two or three numbers, such as `v2.1`.",
    )
    return ""


def _read_generated_module(section: Section) -> str:
    text = section.require_text("generated_module", "types_v1")
    if text is not None and not is_name(text):
        section.findings.add(
            section.key_location("generated_module"),
            f"`{text}` cannot name a module.",
            "Write a name such as `types_v1`.",
        )
    return text or ""


def _warn_of_older_keys(section: Section) -> None:
    if section.get("forbidden_imports") is not None:
        section.findings.warn(
            section.key_location("forbidden_imports"),
            "`forbidden_imports` at the top of the file is an older spelling.",
            "Write `config: {forbidden_imports: [...]}`.",
        )
    if section.get("file_structure_lock") is not None:
        section.findings.warn(
            section.key_location("file_structure_lock"),
            "`file_structure_lock` is an older spelling and has no effect here.",
            "Remove it: the `file` of each interface fixes where its code lives.",
        )
