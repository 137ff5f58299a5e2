"""Reads `interfaces`."""

from __future__ import annotations

import builtins
import re
from typing import TYPE_CHECKING, Literal, cast

from lattice_lock.core._clauses import read_clause, read_clauses
from lattice_lock.core._cycles import find_cycles
from lattice_lock.core._examples import check_examples, read_examples
from lattice_lock.core._section import (
    Section,
    describe,
    is_name,
    named_entries,
    read_choice,
    read_names,
)
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core._type_syntax import split_params
from lattice_lock.core._typed_elements import Context, pascal_case, read_typed
from lattice_lock.core._yaml_tree import MappingNode, Node, ScalarNode, SequenceNode
from lattice_lock.core.expressions import Scope
from lattice_lock.core.schema import Interface, Method, Param, Raises, Returns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.schema import Config

__all__ = ["read_interfaces"]

_INTERFACE_KEYS = (
    "description",
    "file",
    "scaffold",
    "depends_on",
    "methods",
    "file_structure_lock",
)
_METHOD_KEYS = ("description", "params", "returns", "requires", "ensures", "raises", "examples")
_SCAFFOLDS = ("plain", "repository_pattern")
_TAKEN_PARAMS = frozenset({"self", "cls", "result", "old", "implies"})
_FOLDER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXCEPTIONS = sorted(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type)
    and issubclass(value, Exception)
    and not issubclass(value, Warning)
    and value.__name__ == name
)


def read_interfaces(
    node: Node | None, config: Config, generated_module: str, context: Context
) -> dict[str, Interface]:
    """Every interface, its methods typed and its place checked."""
    interfaces: dict[str, Interface] = {}
    known = {key.text for key, _ in node.entries} if isinstance(node, MappingNode) else set()
    for name, key, value in named_entries(node, "interface", context.findings):
        section = Section(value, f"interface `{name}`", _INTERFACE_KEYS, context.findings)
        if not isinstance(value, MappingNode):
            continue
        file = _read_file(section, config, generated_module)
        interfaces[name] = Interface(
            name=name,
            file=file,
            methods=_read_methods(name, section, context),
            location=key.location,
            description=section.text("description"),
            scaffold=_read_scaffold(section, context),
            depends_on=tuple(
                item.text
                for item in read_names(
                    section.get("depends_on"), f"`depends_on` of `{name}`", context.findings
                )
            ),
        )
        _check_dependencies_exist(section, known, context)
    _check_dependency_cycles(interfaces, context)
    _check_class_names(interfaces, context)
    return interfaces


def _read_file(section: Section, config: Config, generated_module: str) -> str:
    key = "file"
    if section.get("file_structure_lock") is not None:
        section.findings.warn(
            section.key_location("file_structure_lock"),
            "`file_structure_lock` is an older spelling.",
            "Write `file: src/services/order_service.py`.",
        )
        if section.get("file") is None:
            key = "file_structure_lock"
    prefix = "" if config.source_root == "." else f"{config.source_root}/"
    text = section.require_text(key, f"{prefix}services/order_service.py")
    if text is None:
        return ""
    fault = _file_fault(text, prefix, generated_module)
    if fault is not None:
        section.findings.add(section.key_location(key), f"{section.what}: {fault[0]}", fault[1])
    return text


def _file_fault(text: str, prefix: str, generated_module: str) -> tuple[str, str] | None:
    example = f"{prefix}services/order_service.py"
    if "\\" in text:
        return f"`{text}` contains a backslash.", "Separate folders with `/`."
    *folders, last = text.split("/")
    if text.startswith(("/", "~")) or ":" in text or not {"", ".", ".."}.isdisjoint(folders):
        return (
            f"`{text}` is not a path inside of the project.",
            f"Write it relative to the lattice, such as `{example}`.",
        )
    if not last.endswith(".py"):
        return f"`{text}` is not a Python file.", f"Write a path such as `{example}`."
    if not text.startswith(prefix):
        return (
            f"`{text}` lies outside of `source_root`, which is `{prefix.rstrip('/')}`.",
            f"Write a path such as `{example}`.",
        )
    names = text[len(prefix) :].removesuffix(".py").split("/")
    wrong = [
        name
        for name in names
        if not (_FOLDER.fullmatch(name) and (is_name(name) or name[0] == "_"))
    ]
    if wrong or names[-1].startswith("__"):
        return (
            f"`{wrong[0] if wrong else last}` of `{text}` cannot be imported under that name.",
            "Use letters, digits and underscores, beginning with a letter.",
        )
    generated = [f"{generated_module}{suffix}" for suffix in ("", "_interfaces", "_tables")]
    if names in [["shared", name] for name in generated]:
        return f"`{text}` is a generated file.", f"Write a path such as `{example}`."
    return None


def _read_scaffold(section: Section, context: Context) -> Literal["plain", "repository_pattern"]:
    node = section.get("scaffold")
    if node is None:
        return "plain"
    if not isinstance(node, ScalarNode):
        section.text("scaffold")
        return "plain"
    if not read_choice(node, "scaffold", _SCAFFOLDS, context.findings):
        return "plain"
    return cast("Literal['plain', 'repository_pattern']", node.text)


def _read_methods(interface: str, section: Section, context: Context) -> dict[str, Method]:
    methods: dict[str, Method] = {}
    node = section.get("methods")
    for name, key, value in named_entries(node, "method", context.findings):
        path = f"interfaces.{interface}.methods.{name}"
        method = _read_method(name, key, value, path, context)
        if method is not None:
            methods[name] = method
            check_examples(method, context)
    if node is None:
        context.findings.add(
            section.node.location,
            f"{section.what} has no methods.",
            "Write `methods: {total: {params: {order: Order}, returns: decimal}}`.",
        )
    return methods


def _read_method(
    name: str, key: ScalarNode, node: Node, path: str, context: Context
) -> Method | None:
    if isinstance(node, ScalarNode) and node.is_null:
        node = MappingNode(entries=(), location=key.location)
    section = Section(node, f"method `{name}`", _METHOD_KEYS, context.findings)
    if not isinstance(node, MappingNode):
        return None
    params = _read_params(name, section, context)
    returns = _read_returns(name, key, section, context)
    types = context.types
    before = Scope(variables={param.name: param.type for param in params.values()}, entities=types)
    result = {} if returns.type is None else {"result": returns.type}
    after = Scope(variables={**before.variables, **result}, entities=types, allow_old=True)
    findings = context.findings
    raises = _read_raises(section, path, before, context)
    return Method(
        name=name,
        params=params,
        returns=returns,
        location=key.location,
        description=section.text("description"),
        requires=read_clauses(section.get("requires"), f"{path}.requires", before, findings),
        ensures=read_clauses(section.get("ensures"), f"{path}.ensures", after, findings),
        raises=raises,
        examples=read_examples(section.get("examples"), params, returns, raises, context),
    )


def _read_params(method: str, section: Section, context: Context) -> dict[str, Param]:
    node = section.get("params")
    if isinstance(node, ScalarNode) and not node.is_null:
        node = _modernise_params(node, context)
    params: dict[str, Param] = {}
    for name, key, value in named_entries(node, "parameter", context.findings):
        if name in _TAKEN_PARAMS:
            context.findings.add(
                key.location,
                f"`{name}` has a meaning of its own in a contract and cannot name a parameter.",
                f"Write `{name}_`.",
            )
        enum_name = pascal_case(f"{method}_{name}")
        typed = read_typed(value, f"parameter `{name}`", enum_name, ("description",), context)
        if typed is not None:
            params[name] = Param(
                name=name,
                type=typed.type,
                location=key.location,
                constraints=typed.constraints,
                description=typed.section.text("description") if typed.section else None,
            )
    return params


def _modernise_params(node: ScalarNode, context: Context) -> MappingNode:
    """The mapping that the older `"order: LimitOrder, qty: decimal"` stands for."""
    entries: dict[str, tuple[ScalarNode, Node]] = {}
    for offset, part in split_params(node.text):
        name, colon, kind = part.partition(":")
        place = node.locate(offset + len(part) - len(part.lstrip()))
        if not colon or name.strip() in entries:
            context.findings.add(
                place,
                f"`{part.strip()}` is not a parameter of its own.",
                "Write `params: {order: LimitOrder, qty: decimal}`.",
            )
            context.findings.types_broken = True
            continue
        start = offset + len(name) + 1 + len(kind) - len(kind.lstrip())
        key = ScalarNode(text=name.strip(), plain=False, location=place, raw=name.strip())
        value = ScalarNode(
            text=kind.strip(), plain=True, location=node.locate(start), raw=kind.strip()
        )
        entries[key.text] = (key, value)
    context.findings.warn(
        node.location,
        "Parameters in one text are an older spelling.",
        f"Write `params: {{{', '.join(f'{k.text}: {v.raw}' for k, v in entries.values() if isinstance(v, ScalarNode))}}}`.",  # noqa: E501
    )
    return MappingNode(entries=tuple(entries.values()), location=node.location)


def _read_returns(method: str, key: ScalarNode, section: Section, context: Context) -> Returns:
    node = section.get("returns")
    if node is None or (isinstance(node, ScalarNode) and (node.is_null or node.text == "None")):
        return Returns(type=None, location=node.location if node else key.location)
    enum_name = f"{pascal_case(method)}Result"
    what = f"the result of `{method}`"
    typed = read_typed(node, what, enum_name, ("description",), context)
    if typed is None:
        return Returns(type=None, location=node.location)
    return Returns(
        type=typed.type,
        location=node.location,
        constraints=typed.constraints,
        description=typed.section.text("description") if typed.section else None,
    )


def _read_raises(section: Section, path: str, scope: Scope, context: Context) -> tuple[Raises, ...]:
    node = section.get("raises")
    if node is None or (isinstance(node, ScalarNode) and node.is_null):
        return ()
    if not isinstance(node, MappingNode):
        context.findings.add(
            node.location,
            f"`raises` must be a mapping from exception to condition, this is {describe(node)}.",
            'Write `{ValueError: "qty > order.quantity"}`.',
        )
        return ()
    found = []
    for key, value in node.entries:
        if key.text not in _EXCEPTIONS:
            context.findings.add(
                key.location,
                f"`{key.text}` is not a built-in exception.",
                did_you_mean(key.text, ["ValueError", "LookupError", *_EXCEPTIONS]),
            )
        place = f"{path}.raises.{key.text}"
        items = value.items if isinstance(value, SequenceNode) else (value,)
        for index, item in enumerate(items):
            where = f"{place}[{index}]" if isinstance(value, SequenceNode) else place
            clause = read_clause(item, where, scope, context.findings)
            if clause is not None:
                found.append(Raises(exception=key.text, clause=clause))
    return tuple(found)


def _check_dependencies_exist(section: Section, known: set[str], context: Context) -> None:
    wanted = section.get("depends_on")
    for item in wanted.items if isinstance(wanted, SequenceNode) else ():
        if isinstance(item, ScalarNode) and item.text not in known:
            context.findings.add(
                item.location,
                f"{section.what} depends on `{item.text}`, which is not an interface.",
                did_you_mean(item.text, sorted(known)),
            )


def _check_dependency_cycles(interfaces: Mapping[str, Interface], context: Context) -> None:
    for cycle in find_cycles({name: one.depends_on for name, one in interfaces.items()}):
        context.findings.add(
            interfaces[cycle[0]].location,
            f"`depends_on` runs in a circle: {' -> '.join((*cycle, cycle[0]))}.",
            "Remove one of these dependencies.",
        )


def _check_class_names(interfaces: Mapping[str, Interface], context: Context) -> None:
    places: dict[tuple[str, str], Interface] = {}
    for interface in interfaces.values():
        other = places.setdefault((interface.file, interface.class_name), interface)
        if other is not interface and interface.file:
            context.findings.add(
                interface.location,
                f"`{interface.name}` and `{other.name}` are both implemented by class"
                f" `{interface.class_name}` in `{interface.file}`.",
                "Rename one of them or give it another file.",
            )
        for name in (interface.name, interface.class_name):
            if name in context.entities or name in context.enums:
                context.findings.add(
                    interface.location,
                    f"`{name}` of interface `{interface.name}` is the name of an entity or enum"
                    " already.",
                    "Rename one of the two.",
                )
