"""Reads `config` and `policies`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, cast

from lattice_lock.core._section import Section, describe, read_choice, read_names
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core._values import plain_value
from lattice_lock.core._yaml_tree import MappingNode, Node, ScalarNode, SequenceNode
from lattice_lock.core.python_types import SHARED_PACKAGE
from lattice_lock.core.schema import Config, PolicyDeclaration
from lattice_lock.policies.base import Action, Subject

if TYPE_CHECKING:
    from lattice_lock.core._findings import Findings

__all__ = ["read_config", "read_policies"]

_CONFIG_KEYS = (
    "documents",
    "forbidden_imports",
    "max_suppressions",
    "migrations",
    "orm_engine",
    "source_root",
)
_DOCUMENTS = ("json_schema", "typescript", "markdown")
_ORM_ENGINES = ("sqlmodel",)
_ACTIONS = tuple(action.value for action in Action)
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_FOLDERS = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_POLICY_KEYS = ("use", "on", "action", "restore")
_POLICY_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*|(?:[\w-]+/)*\w+\.py", re.ASCII)


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
    source_root = _read_source_root(section, findings)
    return Config(
        forbidden_imports=tuple(dict.fromkeys(modules)),
        max_suppressions=_read_max_suppressions(section),
        migrations=_read_migrations(section, source_root, findings),
        documents=cast(
            "tuple[Literal['json_schema', 'typescript', 'markdown'], ...]",
            tuple(dict.fromkeys(documents)),
        ),
        source_root=source_root,
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


def _read_max_suppressions(section: Section) -> int | None:
    node = section.get("max_suppressions")
    if node is None or (isinstance(node, ScalarNode) and node.is_null):
        return None
    value = node.resolve() if isinstance(node, ScalarNode) else None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    section.findings.add(
        node.location,
        f"`max_suppressions` of {section.what} must be a whole number from 0, this is"
        f" {describe(node)}.",
    )
    return None


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


def _read_migrations(section: Section, source_root: str, findings: Findings) -> str | None:
    text = section.text("migrations", hint="Write a folder, such as `migrations`.")
    if text is None:
        return None
    folder = text.removeprefix("./").rstrip("/")
    problem = ""
    if not _FOLDERS.fullmatch(folder):
        problem = f"`{text}` is not a folder inside of the project."
    elif folder in {source_root, f"{source_root}/{SHARED_PACKAGE}", "tests/contracts"}:
        problem = f"`{text}` is a folder of other files."
    elif folder.split("/")[0] == "alembic":
        # The project's folder is on the path, where it would hide the library.
        problem = f"`{text}` would hide the module `alembic`."
    if problem:
        findings.add(
            section.key_location("migrations"),
            problem,
            "Write one of its own, relative to the lattice, such as `migrations`.",
        )
        return None
    return folder


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
    section = Section(node, "a policy", (*_POLICY_KEYS, *keys), findings)
    name = section.require_text("use", "no-secrets")
    if name is None:
        return None
    if not _POLICY_NAME.fullmatch(name):
        findings.add(
            section.key_location("use"),
            f"`{name}` cannot name a policy.",
            "Policies are called like `no-secrets`, and files like `policies/no_acme.py`.",
        )
    subjects = [
        Subject(item.text)
        for item in read_names(section.get("on"), f"`on` of `{name}`", findings)
        if read_choice(item, "place where a policy looks", Subject, findings)
    ]
    action = section.text("action")
    if action is not None and action not in _ACTIONS:
        findings.add(
            section.key_location("action"),
            f"`{action}` is not an action.",
            did_you_mean(action, _ACTIONS),
        )
        action = None
    parameters = {
        key: plain_value(value)
        for key in keys
        if key not in _POLICY_KEYS and (value := section.get(key)) is not None
    }
    return PolicyDeclaration(
        use=name,
        on=tuple(subjects),
        action=None if action is None else Action(action),
        restore=section.flag("restore"),
        parameters=parameters,
        location=node.location,
        places={key: section.key_location(key) for key in keys},
    )
