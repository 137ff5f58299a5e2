"""The compiler: a lattice in, file texts out. Pure and deterministic; it writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.exceptions import Problem

__all__ = ["Compilation", "ContractSuite", "ContractTest"]


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
        warnings: what was understood but deserves a look.
    """

    generated: Mapping[str, str]
    scaffolds: Mapping[str, str]
    contracts: Mapping[str, ContractSuite]
    trusted_modules: Mapping[str, str]
    warnings: tuple[Problem, ...] = ()
