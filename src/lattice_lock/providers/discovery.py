"""Which providers there are: every module of this package that defines a client named as itself.

Nothing lists them. Adding a file is enough, and importing one provider imports no other. Services
that differ from others only in address and key are rows of `openai_compatible` instead of files.

Another distribution adds a provider by an entry point of the group `lattice_lock.providers`: its
name is the provider's id, its value the client class. What is built in cannot be replaced: such an
entry point is ignored, with a warning in the log. Two distributions cannot share an id, and one
that is broken stands in nobody else's way.

Source: https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

import logging
import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from lattice_lock import providers
from lattice_lock.exceptions import ProviderUnavailableError
from lattice_lock.providers.base_client import BaseAPIClient
from lattice_lock.providers.openai_compatible import ROWS

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINTS", "client_class", "provider_names"]

_LOG = logging.getLogger(__name__)

ENTRY_POINTS = "lattice_lock.providers"
"""The group of entry points by which other distributions add providers."""


@cache
def provider_names() -> tuple[str, ...]:
    """The ids of all providers, in alphabetical order; imports every module of the package.

    What other distributions add is named without being imported, whether it works or not.
    """
    return tuple(sorted({*_built_in(), *_added()}))


def client_class(provider: str) -> type[BaseAPIClient]:
    """The client of `provider`; imports its module and no other provider's.

    Raises:
        ProviderUnavailableError: there is no such provider, or the distribution that adds it is
            broken.
    """
    found = _client_in(provider) if provider in _modules() else ROWS.get(provider)
    if found is not None:
        return found
    claims = _added().get(provider, ())
    if not claims:
        raise _refused(
            provider,
            f"There is no provider `{provider}`.",
            "There are " + ", ".join(f"`{name}`" for name in provider_names()) + ".",
        )
    if len(claims) > 1:
        raise _refused(
            provider,
            f"{_names(claims)} each add a provider `{provider}`.",
            "Uninstall all of them but one.",
        )
    return _load(claims[0])


@cache
def _modules() -> frozenset[str]:
    modules = pkgutil.iter_modules(providers.__path__)
    return frozenset(module.name for module in modules if not module.name.startswith("_"))


@cache
def _built_in() -> frozenset[str]:
    return frozenset(name for name in _modules() if _client_in(name) is not None) | set(ROWS)


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


@cache
def _added() -> dict[str, tuple[EntryPoint, ...]]:
    """Entry points by provider id; one that is installed twice on the path counts once."""
    # Imported here because a call to what is built in never gets here.
    from importlib.metadata import entry_points  # noqa: PLC0415

    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for point in entry_points(group=ENTRY_POINTS):
        if point.name in _built_in():
            _LOG.warning(
                "provider.ignored provider=%s distribution=%s reason=built-in",
                *(point.name, _owner(point)),
            )
        else:
            found.setdefault(point.name, {}).setdefault((_owner(point), point.value), point)
    return {name: tuple(points.values()) for name, points in found.items()}


def _load(point: EntryPoint) -> type[BaseAPIClient]:
    try:
        found = point.load()
    except Exception as error:  # code of others may raise anything
        raise _refused(
            point.name,
            f"{_names((point,))} cannot be loaded: `{point.value}` raises"
            f" {type(error).__name__}: {error}.",
            "Upgrade or uninstall it.",
        ) from error
    if not isinstance(found, type) or not issubclass(found, BaseAPIClient):
        raise _refused(
            point.name,
            f"{_names((point,))} adds `{point.value}`, which is no subclass of `BaseAPIClient`.",
            "Upgrade or uninstall it.",
        )
    if (named := getattr(found, "provider", None)) != point.name:
        raise _refused(
            point.name,
            f"{_names((point,))} adds `{point.value}` as `{point.name}`, but its `provider` is"
            f" `{named}`.",
            "The name of the entry point must be the provider's id.",
        )
    return found


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"


def _names(points: tuple[EntryPoint, ...]) -> str:
    return " and ".join(f"The distribution `{_owner(point)}`" for point in points)


def _refused(provider: str, message: str, hint: str) -> ProviderUnavailableError:
    return ProviderUnavailableError(message, provider=provider, hint=hint)
