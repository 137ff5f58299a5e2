"""Forbidden modules that files of a project hand on to each other by name."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgspec

from lattice_lock.sheriff.names import BUILTIN_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "STAR",
    "Links",
    "Reexports",
    "covering",
    "decode_links",
    "encode_links",
    "find_reexports",
    "forbidden_names",
    "reached_by",
]

Reexports: TypeAlias = "Mapping[str, Mapping[str, tuple[str, ...]]]"
"""Per module and name that it holds: the way from there to the forbidden module, which is last."""

STAR: Final = "*"
"""Stands in `Reexports` for the first of the names that `from ... import *` takes."""

_Held: TypeAlias = tuple[str, str]
"""A module and a name in it."""


class Links(NamedTuple):
    """What one file has to do with other modules.

    Attributes:
        module: dotted name of the file.
        names: what its global names stand for, as pairs of name and absolute dotted name.
        stars: modules of which it imports every name.
        sources: modules that it imports, and those that its `from ... import` may name.
        public: names that `from ... import *` takes from it, None for all without an underscore.
    """

    module: str
    names: tuple[tuple[str, str], ...]
    stars: tuple[str, ...]
    sources: tuple[str, ...]
    public: tuple[str, ...] | None = None


_DECODER: Final = msgspec.msgpack.Decoder(Links)


def encode_links(links: Links) -> bytes:
    """Compact bytes, from which `decode_links` gives the same value."""
    return msgspec.msgpack.encode(links)


def decode_links(data: bytes) -> Links:
    """The links that `encode_links` wrote.

    Raises:
        msgspec.DecodeError: it did not write these bytes.
    """
    return _DECODER.decode(data)


def forbidden_names(forbidden: Iterable[str]) -> frozenset[str]:
    """Dotted names that a list of forbidden modules means; a built-in is `builtins.<name>` too."""
    listed = frozenset(forbidden)
    return listed | {f"builtins.{name}" for name in listed if name in BUILTIN_NAMES}


def covering(name: str, forbidden: frozenset[str]) -> str | None:
    """The forbidden name that is `name` or a package around it."""
    end = len(name)
    while end > 0:
        if name[:end] in forbidden:
            return name[:end]
        end = name.rfind(".", 0, end)
    return None


def reached_by(reexports: Reexports, links: Mapping[str, Links]) -> list[str]:
    """Paths of the files that import a module which hands on what is forbidden."""
    packages = _with_packages(reexports)
    return [path for path, each in links.items() if not packages.isdisjoint(each.sources)]


def _with_packages(modules: Iterable[str]) -> frozenset[str]:
    """Names of modules, and of the packages around them."""
    names: set[str] = set()
    for module in modules:
        parts = module.split(".")
        names.update(".".join(parts[: end + 1]) for end in range(len(parts)))
    return frozenset(names)


def find_reexports(
    links: Iterable[Links], forbidden: Iterable[str], others: Iterable[str] = ()
) -> Reexports:
    """Names under which a module of the project hands on what is forbidden.

    Each is found over the shortest way, whatever the number of modules between.

    Args:
        links: what the files have to do with each other.
        forbidden: the forbidden modules.
        others: further modules of the project, which have no part in it.
    """
    return _Search(links, forbidden_names(forbidden), others).run()


class _Search:
    """A breadth-first search from the modules that import what is forbidden themselves."""

    def __init__(
        self, links: Iterable[Links], forbidden: frozenset[str], others: Iterable[str]
    ) -> None:
        self._links: Final = {link.module: link for link in links}
        self._forbidden: Final = forbidden
        self._packages: Final = _with_packages((*self._links, *others))
        self._found: Final[defaultdict[str, dict[str, tuple[str, ...]]]] = defaultdict(dict)
        self._readers: Final[defaultdict[str, list[_Held]]] = defaultdict(list)
        self._star_readers: Final[defaultdict[str, list[str]]] = defaultdict(list)
        self._queue: list[tuple[_Held, tuple[str, ...]]] = []
        for module, link in sorted(self._links.items()):
            for star in link.stars:
                self._star_readers[star].append(module)
            for name, meaning in link.names:
                self._note(module, name, meaning)

    def _note(self, module: str, name: str, meaning: str) -> None:
        listed = covering(meaning, self._forbidden)
        if listed is not None:
            self._queue.append(((module, name), (listed,)))
            return
        # What stands after the longest name of a module is a name in it.
        source = covering(meaning, self._packages)
        if source is not None and source != meaning:
            member = meaning[len(source) + 1 :].partition(".")[0]
            self._readers[f"{source}.{member}"].append((module, name))

    def run(self) -> Reexports:
        """Everything that is reached."""
        while self._queue:
            current, self._queue = self._queue, []
            for (module, name), way in current:
                if name in self._found[module]:
                    continue
                self._found[module][name] = way
                if self._is_public(module, name):
                    self._found[module].setdefault(STAR, way)
                self._queue += [(held, (module, *way)) for held in self._following(module, name)]
        return dict(self._found)

    def _is_public(self, module: str, name: str) -> bool:
        link = self._links.get(module)
        if link is None or link.public is None:
            return not name.startswith("_")
        return name in link.public

    def _following(self, module: str, name: str) -> Iterator[_Held]:
        yield from self._readers[f"{module}.{name}"]
        if self._is_public(module, name):
            yield from ((reader, name) for reader in self._star_readers[module])
