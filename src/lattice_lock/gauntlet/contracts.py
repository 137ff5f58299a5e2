"""The contracts of a project's interfaces, ready for the runner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lattice_lock.core.emitters.interfaces import implementation_module
from lattice_lock.exceptions import UsageError
from lattice_lock.gauntlet.runner import GauntletRequest, Limits, run_contracts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lattice_lock.core.workspace import Workspace
    from lattice_lock.gauntlet.verdict import GauntletReport

__all__ = ["contract_request", "declared_methods", "run_project"]

_AT_ONCE = 2


def contract_request(
    workspace: Workspace,
    interface: str,
    *,
    seed: int,
    implementation: str | None = None,
    methods: tuple[str, ...] | None = None,
    max_examples: int | None = None,
    allow_unsandboxed: bool = False,
) -> GauntletRequest:
    """The request that judges one interface by its contracts.

    Types, protocols and tests are those that the lattice compiles to now, whatever is on disk.

    Args:
        implementation: text to judge in place of the implementation file; None judges the file.
        methods: the methods to judge; None for all.
    """
    suite = workspace.compilation.contracts[interface]
    trusted = workspace.compilation.trusted_modules
    modules = dict(trusted)
    if implementation is not None:
        declared = workspace.lattice.interfaces[interface]
        modules[implementation_module(workspace.lattice, declared)] = implementation
    return GauntletRequest(
        source_root=workspace.source_root,
        modules=modules,
        trusted_modules=frozenset(trusted),
        implementation_modules=suite.implementation_modules,
        contract_file=suite.path.rpartition("/")[2],
        contract_text=suite.text,
        expected_tests=tuple((test.name, test.method) for test in suite.tests),
        methods=methods,
        seed=seed,
        max_examples=max_examples,
        limits=Limits(),
        allow_unsandboxed=allow_unsandboxed,
    )


def declared_methods(workspace: Workspace, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Interface name to method names, for names such as `IShop` and `IShop.total`; all for none.

    Raises:
        UsageError: the lattice declares no such interface or method.
    """
    interfaces = workspace.lattice.interfaces
    chosen: dict[str, dict[str, None]] = {}
    for name in names or tuple(interfaces):
        interface, _, method = name.partition(".")
        if interface not in interfaces or (method and method not in interfaces[interface].methods):
            known = [f"{one.name}.{m}" for one in interfaces.values() for m in one.methods]
            raise UsageError(
                f"the lattice declares no `{name}`",
                hint=f"Name one of: {', '.join(known)}.",
            )
        methods = (method,) if method else tuple(interfaces[interface].methods)
        chosen.setdefault(interface, {}).update(dict.fromkeys(methods))
    return {interface: tuple(methods) for interface, methods in chosen.items()}


async def run_project(
    workspace: Workspace, names: Sequence[str], *, seed: int, allow_unsandboxed: bool = False
) -> Mapping[str, GauntletReport]:
    """Judge the named methods, all for none; interface name to its report.

    Raises:
        UsageError: a name is not in the lattice.
        SandboxUnavailableError: nothing here confines the code.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def judge(interface: str, methods: tuple[str, ...]) -> GauntletReport:
        async with gate:
            request = contract_request(
                workspace,
                interface,
                seed=seed,
                methods=methods,
                allow_unsandboxed=allow_unsandboxed,
            )
            return await run_contracts(request)

    chosen = declared_methods(workspace, names)
    try:
        async with asyncio.TaskGroup() as group:
            running = {
                name: group.create_task(judge(name, methods)) for name, methods in chosen.items()
            }
    except ExceptionGroup as group:  # what stops one stops the others, and the first says why
        raise group.exceptions[0] from group
    return {name: task.result() for name, task in running.items()}
