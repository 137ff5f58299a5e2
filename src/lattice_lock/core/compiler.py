"""The compiler: a lattice in, file texts out. Pure and deterministic; it writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lattice_lock.core import python_types
from lattice_lock.core.documents import Document, emit_documents
from lattice_lock.core.emitters.alembic_environment import (
    emit_environment,
    emit_environment_scaffolds,
    environment_path,
)
from lattice_lock.core.emitters.interfaces import (
    emit_protocols,
    emit_scaffold,
    implementation_module,
    protocols_module,
)
from lattice_lock.core.emitters.pydantic_types import emit_types
from lattice_lock.core.emitters.pytest_contracts import contract_path, emit_contracts
from lattice_lock.core.emitters.sqlmodel_tables import (
    emit_tables,
    tables_module,
    with_storage_limits,
)
from lattice_lock.core.emitters.table_descriptions import describe_tables
from lattice_lock.core.policies import policies_of
from lattice_lock.core.vacuity import find_unspecified, find_vacuous
from lattice_lock.exceptions import (
    CompileError,
    Problem,
    UnsupportedByTargetError,
    VacuousContractError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lattice_lock.core.schema import Entity, Interface, Lattice
    from lattice_lock.core.table_structure import Table
    from lattice_lock.policies.policy_set import PolicySet

__all__ = ["Compilation", "ContractSuite", "ContractTest", "compile_lattice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractTest:
    """One generated test function and the method it judges."""

    name: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSuite:
    """The contract tests of one interface.

    Attributes:
        path: where the text is written, relative to the project.
        implementation_modules: modules of the implementation and of its dependencies.
    """

    interface: str
    path: str
    text: str
    tests: tuple[ContractTest, ...]
    implementation_modules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """What a lattice compiles to.

    Attributes:
        generated: path to text; written always, contract files included.
        scaffolds: path to text; written only where there is no file yet.
        contracts: interface name to its tests.
        trusted_modules: module name to text of the generated modules (types and protocols).
        policies: the policies of the lattice, ready to be enforced.
        tables: what migrations lead to; None where none are asked for.
        warnings: what was understood but deserves a look.
    """

    generated: Mapping[str, str]
    scaffolds: Mapping[str, str]
    contracts: Mapping[str, ContractSuite]
    trusted_modules: Mapping[str, str]
    policies: PolicySet
    tables: tuple[Table, ...] | None = None
    warnings: tuple[Problem, ...] = ()


def compile_lattice(lattice: Lattice) -> Compilation:
    """Turn a lattice into the texts of every file that it governs.

    Raises:
        VacuousContractError: a contract tests nothing.
        UnsupportedByTargetError: an output cannot express what the lattice says.
        InvalidPolicyError: a policy is unknown, wrongly set up or contradicts another.
        CompileError: two interfaces would share one contract file.
    """
    vacuous = find_vacuous(lattice)
    if vacuous:
        raise VacuousContractError(vacuous)
    policies = policies_of(lattice)
    types_module = f"{python_types.SHARED_PACKAGE}.{lattice.generated_module}"
    stored = with_storage_limits(lattice)
    trusted = {
        types_module: emit_types(stored),
        protocols_module(lattice): emit_protocols(lattice),
    }
    tables = emit_tables(stored)
    _ensure_names(lattice)
    _ensure_distinct(lattice)
    contracts = {
        interface.name: _suite(lattice, interface) for interface in lattice.interfaces.values()
    }
    root = lattice.config.source_root
    modules = trusted if tables is None else {**trusted, tables_module(lattice): tables}
    generated = {f"{root}/{name.replace('.', '/')}.py": text for name, text in modules.items()}
    generated.update({suite.path: suite.text for suite in contracts.values()})
    generated.update(emit_documents(stored, map(Document, lattice.config.documents)))
    folder = lattice.config.migrations
    if folder is not None:
        generated[environment_path(folder)] = emit_environment(lattice)
    by_file: dict[str, list[Interface]] = {}
    for interface in lattice.interfaces.values():
        by_file.setdefault(interface.file, []).append(interface)
    scaffolds = {file: emit_scaffold(lattice, sharing) for file, sharing in by_file.items()}
    scaffolds.update(emit_environment_scaffolds(lattice))
    return Compilation(
        generated=generated,
        scaffolds=scaffolds,
        contracts=contracts,
        trusted_modules=trusted,
        tables=None if folder is None else describe_tables(lattice),
        policies=policies,
        warnings=(*lattice.warnings, *find_unspecified(lattice)),
    )


# Classes that generated modules import; a class of the lattice would hide them.
_IMPORTED = frozenset(
    {
        "AfterValidator",
        "Annotated",
        "Any",
        "AwareDatetime",
        "BaseModel",
        "ConfigDict",
        "Decimal",
        "Field",
        "FiniteFloat",
        "HealthCheck",
        "JsonValue",
        "Protocol",
        "Self",
        "StrEnum",
        "TypeAdapter",
        "UTC",
        "UUID",
        "ValidationError",
    }
)


def _ensure_names(lattice: Lattice) -> None:
    named: list[Entity | Interface] = [
        *lattice.entities.values(),
        *lattice.interfaces.values(),
    ]
    problems = [
        Problem(
            location=one.location,
            message=f"the name `{one.name}` is taken by a class that generated code imports.",
            hint=f"Rename it, for example to `{one.name}Record`.",
        )
        for one in named
        if one.name in _IMPORTED
    ]
    if problems:
        raise UnsupportedByTargetError(problems)


def _suite(lattice: Lattice, interface: Interface) -> ContractSuite:
    text, tests = emit_contracts(lattice, interface)
    modules = (
        implementation_module(lattice, one) for one in _with_dependencies(lattice, interface)
    )
    return ContractSuite(
        interface=interface.name,
        path=contract_path(interface),
        text=text,
        tests=tuple(ContractTest(name=name, method=method) for name, method in tests),
        implementation_modules=tuple(dict.fromkeys(modules)),
    )


def _with_dependencies(lattice: Lattice, interface: Interface) -> Iterable[Interface]:
    yield interface
    for name in interface.depends_on:
        yield from _with_dependencies(lattice, lattice.interfaces[name])


def _ensure_distinct(lattice: Lattice) -> None:
    """No two contract files under one name, also where upper and lower case are the same."""
    first: dict[str, Interface] = {}
    problems = []
    for interface in lattice.interfaces.values():
        other = first.setdefault(contract_path(interface).lower(), interface)
        if other is not interface:
            message = (
                f"`{interface.name}` and `{other.name}` share the contract file"
                f" `{contract_path(interface)}`."
            )
            problems.append(
                Problem(location=interface.location, message=message, hint="Rename one of them.")
            )
    if problems:
        raise CompileError(problems)
