"""Interfaces as Protocols, and the scaffold of an implementation."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lattice_lock.core import python_types
from lattice_lock.core.emitters.python_text import (
    LINE_LENGTH,
    Imports,
    docstring,
    header,
    snake_case,
)
from lattice_lock.core.emitters.repository import (
    repository_body,
    repository_entities,
    repository_imports,
    session_class,
)
from lattice_lock.exceptions import Problem, UnsupportedByTargetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lattice_lock.core.schema import Entity, Interface, Lattice, Method

__all__ = [
    "dependency_parameter",
    "emit_protocols",
    "emit_scaffold",
    "implementation_module",
    "protocols_module",
]


def protocols_module(lattice: Lattice) -> str:
    """Dotted name of the generated module with the Protocols."""
    return f"{python_types.SHARED_PACKAGE}.{lattice.generated_module}_interfaces"


def implementation_module(lattice: Lattice, interface: Interface) -> str:
    """Dotted name of the module that an interface's implementation file is imported as."""
    path = PurePosixPath(interface.file).with_suffix("")
    root = PurePosixPath(lattice.config.source_root)
    return ".".join(path.relative_to(root).parts)


def dependency_parameter(interface: Interface) -> str:
    """Name under which an implementation receives a dependency: `IOrderBook` as `order_book`."""
    return snake_case(interface.class_name.removesuffix("Impl"))


def emit_protocols(lattice: Lattice) -> str:
    """Text of the generated module with one Protocol per interface."""
    imports = Imports(home=protocols_module(lattice))
    blocks = []
    for interface in lattice.interfaces.values():
        imports.add([("typing", "Protocol")])
        text = f"class {interface.name}(Protocol):\n"
        text += docstring(
            interface.description or f"`{interface.name}` of the lattice.", indent="    "
        )
        for method in interface.methods.values():
            imports.add(_method_imports(method, lattice))
            text += f"\n{_signature(method)}{_contract_docstring(method)}        ...\n"
        blocks.append(text)
    names = "".join(f'    "{name}",\n' for name in sorted(lattice.interfaces, key=str.lower))
    text = header(lattice, f"Interfaces of the lattice, as of {lattice.version}.")
    rendered = imports.render("".join(blocks))
    if rendered:
        text += f"\n{rendered}\n"
    text += f"\n__all__ = [\n{names}]\n" if names else "\n__all__: list[str] = []\n"
    return text + "".join(f"\n\n{block}" for block in blocks)


def emit_scaffold(lattice: Lattice, interfaces: Sequence[Interface]) -> str:
    """Text of an implementation file; methods that have to be written raise `NotImplementedError`.

    Args:
        interfaces: those that share the file, at least one.

    Raises:
        UnsupportedByTargetError: a repository has nothing to keep, or a session too many.
    """
    imports = Imports(home=implementation_module(lattice, interfaces[0]))
    classes = "\n\n".join(_class(lattice, interface, imports) for interface in interfaces)
    names = " and ".join(f"`{interface.name}`" for interface in interfaces)
    return (
        f'"""Implementation of {names}."""\n\nfrom __future__ import annotations\n\n'
        f"{imports.render(classes)}\n\n\n{classes}"
    )


def _class(lattice: Lattice, interface: Interface, imports: Imports) -> str:
    dependencies = [lattice.interfaces[name] for name in interface.depends_on]
    module = protocols_module(lattice)
    imports.add((module, one.name) for one in (interface, *dependencies))
    stored = _stored(lattice, interface)
    imports.add(repository_imports(lattice, stored))
    session = session_class(lattice)
    text = f"class {interface.class_name}({interface.name}):\n"
    text += docstring(interface.description or f"Implements `{interface.name}`.", indent="    ")
    given = [f"{dependency_parameter(one)}: {one.name}" for one in dependencies]
    kept = {dependency_parameter(one): dependency_parameter(one) for one in dependencies}
    if stored:
        given.append(f"session: {session} | None = None")
        kept["session"] = "memory_session() if session is None else session"
    if given:
        text += f"\n    def __init__(self, {', '.join(given)}) -> None:\n"
        if stored:
            text += docstring(_SESSION, indent="        ")
        text += "".join(f"        self._{name} = {value}\n" for name, value in kept.items())
    for method in interface.methods.values():
        imports.add(_method_imports(method, lattice))
        text += f"\n{_signature(method)}{_contract_docstring(method)}"
        body = repository_body(method, stored)
        text += "        raise NotImplementedError\n" if body is None else body
    return text


_SESSION = """Keep rows by way of a session.

Args:
    session: whoever gives it commits; None for an empty database in memory.
"""


def _stored(lattice: Lattice, interface: Interface) -> tuple[Entity, ...]:
    """The entities that a repository keeps; none for another scaffold."""
    if interface.scaffold != "repository_pattern":
        return ()
    found = repository_entities(lattice, interface)
    problems = []
    if not found:
        problems.append(
            Problem(
                location=interface.location,
                message=f"`{interface.name}` has `scaffold: repository_pattern`, but its methods"
                " name no entity with a table.",
                hint="Add `persistence: table` to the entity, or write `scaffold: plain`.",
            )
        )
    problems += [
        Problem(
            location=interface.location,
            message=f"`{interface.name}` is a repository, so that `{name}` would stand for the"
            " session of its database.",
            hint=f"Rename `{name}`.",
        )
        for name in interface.depends_on
        if dependency_parameter(lattice.interfaces[name]) == "session"
    ]
    if problems:
        raise UnsupportedByTargetError(problems)
    return found


def _method_imports(method: Method, lattice: Lattice) -> set[tuple[str, str]]:
    types = [method.returns.type, *(param.type for param in method.params.values())]
    module = lattice.generated_module
    return {pair for one in types for pair in python_types.imports(one, generated_module=module)}


def _signature(method: Method) -> str:
    params = [
        f"{param.name}: {python_types.annotation(param.type)}" for param in method.params.values()
    ]
    returns = python_types.annotation(method.returns.type)
    line = f"    def {method.name}({', '.join(['self', *params])}) -> {returns}:\n"
    if len(line.rstrip()) <= LINE_LENGTH:
        return line
    inner = "".join(f"        {param},\n" for param in ["self", *params])
    return f"    def {method.name}(\n{inner}    ) -> {returns}:\n"


def _contract_docstring(method: Method) -> str:
    first = method.description or f"`{method.name}` of the lattice."
    sections = [("Requires", _clauses(clause.expression.source for clause in method.requires))]
    sections.append(("Ensures", _clauses(clause.expression.source for clause in method.ensures)))
    sections.append(
        (
            "Raises",
            _clauses(f"{one.exception}: {one.clause.expression.source}" for one in method.raises),
        )
    )
    text = first.strip()
    for title, lines in sections:
        if lines:
            text += f"\n\n{title}:\n{lines}"
    return docstring(text, indent="        ")


def _clauses(sources: Iterable[str]) -> str:
    return "\n".join(f"    {source}" for source in sources)
