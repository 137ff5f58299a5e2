"""Where variables come from besides the environment and `.env`.

Two sources: a folder with one file for each variable, as containers are given secrets, and a
secret manager, asked by a function that another distribution adds under the group
`lattice_lock.secret_sources` of entry points. Each is read once, when settings are loaded.

    def vault() -> Mapping[str, str]:
        \"\"\"Every variable that the manager has, by name.\"\"\"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from lattice_lock.exceptions import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from pathlib import Path

__all__ = ["ENTRY_POINTS", "SecretSource", "ask_source", "find_source", "read_folder"]

SecretSource: TypeAlias = Callable[[], Mapping[str, str]]
"""Gives every variable that it has, by name; called once, where blocking is allowed."""

ENTRY_POINTS = "lattice_lock.secret_sources"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_BYTES = 64 * 1024


def read_folder(folder: Path, *, variable: str) -> dict[str, str]:
    """The content of each file whose name can be a variable's, without the line end at its end.

    Args:
        variable: the setting that names the folder, for errors.

    Raises:
        ConfigurationError: the folder or a file in it cannot be read.
    """
    try:
        files = sorted(path for path in folder.iterdir() if _VARIABLE.fullmatch(path.name))
        return {path.name: _content(path) for path in files if path.is_file()}
    except OSError as error:
        raise ConfigurationError(
            f"`{variable}`: `{error.filename or folder}` cannot be read: {error.strerror}.",
            hint="Name a folder with one readable file for each variable.",
        ) from None


def _content(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(
            f"`{path}` has more than {_MAX_BYTES} bytes.", hint="Put one variable into each file."
        )
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # The error quotes what it could not decode.
        raise ConfigurationError(
            f"`{path}` is no UTF-8 text.", hint="Put the variable's text into the file."
        ) from None


def find_source(name: str) -> SecretSource:
    """The source that an installed distribution adds as `name`.

    Raises:
        ConfigurationError: there is none, there are several, or it cannot be loaded.
    """
    # Imported here because hardly anybody names a source and the import costs as much as ours.
    from importlib.metadata import entry_points  # noqa: PLC0415

    found = {point.value: point for point in entry_points(group=ENTRY_POINTS, name=name)}
    if not found:
        known = sorted({point.name for point in entry_points(group=ENTRY_POINTS)})
        raise ConfigurationError(
            f"There is no source of secrets `{name}`.",
            hint="There are " + ", ".join(f"`{one}`" for one in known) + "."
            if known
            else "Install the distribution that adds it, or unset `LATTICE_LOCK_SECRET_SOURCE`.",
        )
    if len(found) > 1:
        raise ConfigurationError(
            f"Several distributions add a source of secrets `{name}`: "
            + ", ".join(f"`{value}`" for value in sorted(found))
            + ".",
            hint="Uninstall all of them but one.",
        )
    return _load(*found.values())


def _load(point: EntryPoint) -> SecretSource:
    try:
        source = point.load()
    except Exception as error:  # code of others may raise anything
        raise ConfigurationError(
            f"The source of secrets `{point.name}` cannot be loaded: `{point.value}` raises"
            f" {type(error).__name__}.",
            hint="Upgrade or uninstall the distribution that adds it.",
        ) from error
    if not callable(source):
        raise ConfigurationError(
            f"The source of secrets `{point.name}` is `{point.value}`, which cannot be called.",
            hint="Upgrade or uninstall the distribution that adds it.",
        )
    found: SecretSource = source
    return found


def ask_source(source: SecretSource) -> dict[str, str]:
    """What `source` gives.

    Raises:
        ConfigurationError: it fails, or gives something else; no word of it is quoted.
    """
    try:
        given = source()
    except Exception as error:  # noqa: BLE001  # code of others may raise anything, with keys in it
        raise ConfigurationError(
            f"The source of secrets failed with {type(error).__name__}.",
            hint="Its own log may say more; what it raised may hold secrets and is not shown.",
        ) from None
    if not isinstance(given, Mapping):
        raise _not_texts(f"a value of the type {type(given).__name__}")
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise _not_texts(f"a {type(value).__name__} for a {type(name).__name__}")
    return dict(given)


def _not_texts(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"The source of secrets gives {what}.", hint="It must give a mapping from text to text."
    )
