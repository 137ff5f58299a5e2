"""Reads `config` and `policies`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, cast

from lattice_lock.core._section import Section, read_choice, read_names
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core._values import plain_value
from lattice_lock.core._yaml_tree import MappingNode, Node, ScalarNode, SequenceNode
from lattice_lock.core.schema import Config, PolicyDeclaration

if TYPE_CHECKING:
    from lattice_lock.core._findings import Findings

__all__ = ["read_config", "read_policies"]

_CONFIG_KEYS = ("documents", "forbidden_imports", "orm_engine", "source_root")
_DOCUMENTS = ("json_schema", "typescript", "markdown")
_ORM_ENGINES = ("sqlmodel",)
_PLACES = ("code", "prompt", "response")
_ACTIONS = ("deny", "redact", "flag")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_FOLDERS = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_POLICY_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def read_config(node: Node | None, older: Node | None, findings: Findings) -> Config:
    """Project-wide settings.

    Args:
        node: value of `config`.
        older: value of the older `forbidden_imports` at the top of the file.
        findings: where problems go.
    """
    modules = _read_modules(older, findings)
    if node is None or (isinstance(node, ScalarNode) and node.is_null):
        return Config(forbidden_imports=tuple(modules))
    section = Section(node, "`config`", _CONFIG_KEYS, findings)
    modules += _read_modules(section.get("forbidden_imports"), findings)
    engine = section.get("orm_engine")
    if isinstance(engine, ScalarNode):
        read_choice(engine, "supported `orm_engine`", _ORM_ENGINES, findings)
    else:
        section.text("orm_engine")
    documents = [
        item.text
        for item in read_names(section.get("documents"), "`documents`", findings)
        if read_choice(item, "document", _DOCUMENTS, findings)
    ]
    return Config(
        forbidden_imports=tuple(dict.fromkeys(modules)),
        documents=cast(
            "tuple[Literal['json_schema', 'typescript', 'markdown'], ...]",
            tuple(dict.fromkeys(documents)),
        ),
        source_root=_read_source_root(section, findings),
    )


def _read_modules(node: Node | None, findings: Findings) -> list[str]:
    found = []
    for item in read_names(node, "`forbidden_imports`", findings):
        if _MODULE.fullmatch(item.text):
            found.append(item.text)
        else:
            findings.add(
                item.location,
                f"`{item.text}` is not the name of a module.",
                "Write a name such as `requests` or `os.path`.",
            )
    return found


def _read_source_root(section: Section, findings: Findings) -> str:
    text = section.text("source_root")
    if text is None:
        return "src"
    root = text.removeprefix("./").rstrip("/") or "."
    if root != "." and not _FOLDERS.fullmatch(root):
        findings.add(
            section.key_location("source_root"),
            f"`{text}` is not a folder inside of the project.",
            "Write it relative to the lattice, such as `src`.",
        )
        return "src"
    return root


def read_policies(node: Node | None, findings: Findings) -> tuple[PolicyDeclaration, ...]:
    """Every declared policy; what its parameters mean is for the policy to judge."""
    if node is None or (isinstance(node, ScalarNode) and node.is_null):
        return ()
    if not isinstance(node, SequenceNode):
        findings.add(
            node.location,
            "`policies` must be a list.",
            "Write `- {use: no-secrets, on: [code]}`.",
        )
        return ()
    found = (_read_policy(item, findings) for item in node.items)
    return tuple(policy for policy in found if policy is not None)


def _read_policy(node: Node, findings: Findings) -> PolicyDeclaration | None:
    keys = [key.text for key, _ in node.entries] if isinstance(node, MappingNode) else ["use", "on"]
    section = Section(node, "a policy", ("use", "on", "action", *keys), findings)
    name = section.require_text("use", "no-secrets")
    if name is None:
        return None
    if not _POLICY_NAME.fullmatch(name):
        findings.add(
            section.key_location("use"),
            f"`{name}` cannot name a policy.",
            "Policies are called like `no-secrets`.",
        )
    places = [
        item.text
        for item in read_names(section.get("on"), f"`on` of `{name}`", findings)
        if read_choice(item, "place where a policy looks", _PLACES, findings)
    ]
    action = section.text("action") or "deny"
    if action not in _ACTIONS:
        findings.add(
            section.key_location("action"),
            f"`{action}` is not an action.",
            did_you_mean(action, _ACTIONS),
        )
    parameters = {
        key: plain_value(value)
        for key in keys
        if key not in {"use", "on", "action"} and (value := section.get(key)) is not None
    }
    return PolicyDeclaration(
        use=name,
        on=cast("tuple[Literal['code', 'prompt', 'response'], ...]", tuple(places)),
        action=cast("Literal['deny', 'redact', 'flag']", action),
        parameters=parameters,
        location=node.location,
    )
