"""Which providers there are: every module of this package that defines a client named as itself.

Nothing lists them. Adding a file is enough, and importing one provider imports no other. Services
that differ from others only in address and key are rows of `openai_compatible` instead of files.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from lattice_lock import providers
from lattice_lock.exceptions import ProviderUnavailableError
from lattice_lock.providers.base_client import BaseAPIClient
from lattice_lock.providers.openai_compatible import ROWS

__all__ = ["client_class", "provider_names"]


@cache
def provider_names() -> tuple[str, ...]:
    """The ids of all providers, in alphabetical order; imports every module of the package."""
    return tuple(sorted({name for name in _modules() if _client_in(name) is not None} | set(ROWS)))


def client_class(provider: str) -> type[BaseAPIClient]:
    """The client of `provider`; imports its module and no other provider's.

    Raises:
        ProviderUnavailableError: there is no such provider.
    """
    found = _client_in(provider) if provider in _modules() else ROWS.get(provider)
    if found is None:
        raise ProviderUnavailableError(
            f"There is no provider `{provider}`.",
            provider=provider,
            hint="There are " + ", ".join(f"`{name}`" for name in provider_names()) + ".",
        )
    return found


@cache
def _modules() -> frozenset[str]:
    modules = pkgutil.iter_modules(providers.__path__)
    return frozenset(module.name for module in modules if not module.name.startswith("_"))


def _client_in(name: str) -> type[BaseAPIClient] | None:
    module = import_module(f"{providers.__name__}.{name}")
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, BaseAPIClient)
            and getattr(value, "provider", None) == name
        ):
            return value
    return None
