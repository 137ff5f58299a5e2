"""Judges implementation texts by what a lattice compiles to, in the sandbox."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import parse_lattice
from lattice_lock.gauntlet.runner import GauntletRequest, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lattice_lock.core.compiler import Compilation

__all__ = ["compiled_request"]

_EXAMPLES = 20

# A busy machine must not make an innocent body time out.
_PATIENT = Limits(call_timeout_s=10.0, total_timeout_s=120.0)


def compiled_request(
    lattice: str,
    interface: str,
    modules: Mapping[str, str],
    *,
    source_root: Path,
    seed: int = 1,
    limits: Limits = _PATIENT,
    max_examples: int = _EXAMPLES,
    methods: tuple[str, ...] | None = None,
) -> GauntletRequest:
    """A request to judge the modules as what implements an interface.

    Generated files that are not types, such as tables, are written to the source root.
    """
    compilation = _compiled(lattice)
    for name, text in compilation.generated.items():
        if name.startswith("src/"):
            path = source_root / name.removeprefix("src/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    suite = compilation.contracts[interface]
    return GauntletRequest(
        source_root=source_root,
        modules={**compilation.trusted_modules, **modules},
        trusted_modules=frozenset(compilation.trusted_modules),
        implementation_modules=suite.implementation_modules,
        contract_file=suite.path.rpartition("/")[2],
        contract_text=suite.text,
        expected_tests=tuple((test.name, test.method) for test in suite.tests),
        seed=seed,
        max_examples=max_examples,
        limits=limits,
        methods=methods,
    )


@lru_cache
def _compiled(lattice: str) -> Compilation:
    return compile_lattice(parse_lattice(lattice, file="lattice.yaml"))
