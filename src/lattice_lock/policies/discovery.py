"""Which policies there are: every module of this package that defines one named as itself.

Nothing lists them. Adding a file is enough, and using one policy imports no other.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from lattice_lock import policies
from lattice_lock.policies.base import Policy

__all__ = ["policy_class", "policy_names"]

_ENGINE = frozenset({"base", "declarations", "discovery", "placeholders", "policy_set", "stream"})


@cache
def policy_names() -> tuple[str, ...]:
    """The names of all policies, in alphabetical order; imports none of them."""
    modules = (module.name for module in pkgutil.iter_modules(policies.__path__))
    return tuple(
        sorted(
            name.replace("_", "-")
            for name in modules
            if name not in _ENGINE and not name.startswith("_")
        )
    )


def policy_class(name: str) -> type[Policy] | None:
    """The policy called `name`; None if there is none. Imports its module and no other policy's."""
    if name not in policy_names():
        return None
    module = import_module(f"{policies.__name__}.{name.replace('-', '_')}")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Policy)
        and value.__dict__.get("name") == name
    )
