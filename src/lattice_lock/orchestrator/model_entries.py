"""What files and lattices say of models, line by line, and how it becomes what is known of them."""

from __future__ import annotations

import codecs
import re
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from lattice_lock.exceptions import ConfigurationError, LatticeSchemaError, Problem
from lattice_lock.messages import ModelId, ReasoningEffort
from lattice_lock.orchestrator.model_facts import FREE, ModelFacts, Prices, is_free
from lattice_lock.orchestrator.quality import PRIOR, prior_quality
from lattice_lock.orchestrator.tasks import Capability, TaskType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from lattice_lock.core.schema import ModelDeclaration
    from lattice_lock.exceptions import LatticeLockError

__all__ = ["Entry", "Said", "declared", "joined", "read_lines"]

_FORM = "`docs/reference/models.md` lists the fields of a model."
_PLAIN = msgspec.json.Encoder(decimal_format="number")
_PATH = re.compile(r" - at `(?:key in )?(\$[^`]*?)(?:\[\.\.\.\])?`$")


_Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
_Quality: TypeAlias = dict[TaskType, Annotated[float, msgspec.Meta(ge=0, le=1)]]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one line of a file, or one entry of a lattice, says of a model."""

    name: str
    provider: str | None = None
    aliases: tuple[_Text, ...] | UnsetType = UNSET
    snapshots: tuple[_Text, ...] | UnsetType = UNSET
    title: _Text | UnsetType = UNSET
    api: _Text | UnsetType = UNSET
    context_tokens: _Tokens | UnsetType | None = UNSET
    max_input_tokens: _Tokens | UnsetType | None = UNSET
    max_output_tokens: _Tokens | UnsetType | None = UNSET
    can: frozenset[Capability] = frozenset()
    cannot: frozenset[Capability] = frozenset()
    efforts: tuple[ReasoningEffort, ...] | UnsetType = UNSET
    regions: frozenset[_Text] | UnsetType = UNSET
    prices: tuple[Prices, ...] | UnsetType = UNSET
    quality: _Quality | UnsetType = UNSET
    quality_source: _Text | UnsetType = UNSET
    shutdown_date: date | UnsetType | None = UNSET
    never_released: bool | UnsetType = UNSET
    unlisted_since: date | UnsetType | None = UNSET
    successor: _Text | UnsetType | None = UNSET
    source: _Text | UnsetType = UNSET

    def __post_init__(self) -> None:
        if both := self.can & self.cannot:
            raise ValueError(f"`{min(both)}` is both in `can` and in `cannot`")
        starts = [one.from_input_tokens for one in self.prices or ()]
        if starts != sorted(set(starts)) or starts[:1] not in ([], [0]):
            raise ValueError("`from_input_tokens` of `prices` must begin at 0 and rise")


_FIELDS = tuple(field for field in Entry.__struct_fields__ if field not in {"name", "provider"})


_LINE = msgspec.json.Decoder(Entry)


class Said(NamedTuple):
    """An entry, where it stands, and what to raise where it is wrong.

    What is generated gives way: our data may have come to know a name that it took for an alias.
    """

    entry: Entry
    place: str
    wrong: Callable[[str], LatticeLockError]
    generated: bool = False


def read_lines(path: Path, hint: str, *, generated: bool = False) -> list[Said]:
    """What the lines of a file say, counted from 1."""
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    except OSError as error:
        raise ConfigurationError(
            f"`{path}` cannot be read: {error.strerror}.",
            hint="Correct `LATTICE_LOCK_MODELS_FILE`, or unset it.",
        ) from None
    entries: list[Said] = []
    seen: dict[tuple[str | None, str], int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        wrong = partial(_wrong_line, place, hint)
        try:
            entry = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise wrong(str(error)) from None
        first = seen.setdefault((entry.provider, entry.name), number)
        if first != number:
            raise wrong(f"`{entry.name}` stands in line {first} already")
        entries.append(Said(entry, place, wrong, generated))
    return entries


def _wrong_line(place: str, hint: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"{place}: {what}.", hint=hint)


def declared(declaration: ModelDeclaration) -> Said:
    """What an entry of a lattice says, by the same rules as a line of a file."""
    wrong = partial(_wrong_declaration, declaration)
    try:
        entry = _LINE.decode(_PLAIN.encode(declaration.fields))
    except msgspec.DecodeError as error:
        raise wrong(str(error)) from None
    return Said(entry, str(declaration.places["$"]), wrong)


def _wrong_declaration(declaration: ModelDeclaration, what: str) -> LatticeSchemaError:
    """`what` is wrong, at the place that it names in msgspec's way, such as `$.prices[0]`."""
    found = _PATH.search(what)
    path = found[1] if found else "$"
    if unknown := re.search(r"unknown field `([^`]*)`", what):
        path += f".{unknown[1]}"
    location = declaration.places.get(path, declaration.places["$"])
    message = f"{what[: found.start()] if found else what}."
    return LatticeSchemaError([Problem(location=location, message=message, hint=_FORM)])


def joined(provider: str, said: Iterable[Said]) -> dict[str, ModelFacts]:
    """The models by name and alias; what is said later of one is added to what was said before."""
    said = _giving_way(said)
    fields: dict[str, dict[str, Any]] = {}
    last: dict[str, int] = {}
    for number, one in enumerate(said):
        _add(fields.setdefault(one.entry.name, {}), one)
        last[one.entry.name] = number
    owners = {name: name for name in fields}
    for name, known in fields.items():
        for alias in (*known.get("aliases", ()), *known.get("snapshots", ())):
            if (owner := owners.setdefault(alias, name)) != name:
                later = said[max(last[name], last[owner])]
                raise later.wrong(f"`{alias}` would name both `{owner}` and `{name}`")
    for name in fields:
        _ensure_successors(name, fields, owners, said, last)
    models = {name: _facts(provider, name, known) for name, known in fields.items()}
    found = {alias: models[name] for alias, name in owners.items()}
    for facts in models.values():
        for name in facts.snapshots:
            found[name] = msgspec.structs.replace(facts, id=ModelId(provider=provider, name=name))
    return found


def _giving_way(said: Iterable[Said]) -> list[Said]:
    """All that is said, without what is generated of names that others say something else of."""
    everything = list(said)
    written = [one.entry for one in everything if not one.generated]
    aliases = {
        name for entry in written for name in (*(entry.aliases or ()), *(entry.snapshots or ()))
    }
    names = {entry.name for entry in written}
    kept = []
    for one in everything:
        if not one.generated:
            kept.append(one)
        elif one.entry.name not in aliases:
            free = tuple(name for name in one.entry.snapshots or () if name not in names | aliases)
            kept.append(one._replace(entry=msgspec.structs.replace(one.entry, snapshots=free)))
    return kept


def _add(known: dict[str, Any], said: Said) -> None:
    """Add to the fields of a model what is said of it: abilities, aliases and tasks one by one."""
    entry = said.entry
    given = {field: value for field in _FIELDS if (value := getattr(entry, field)) is not UNSET}
    given["can"] = (known.get("can", frozenset()) - entry.cannot) | entry.can
    given["cannot"] = (known.get("cannot", frozenset()) - entry.can) | entry.cannot
    for names in ("aliases", "snapshots"):
        if names in given:
            given[names] = tuple(dict.fromkeys((*known.get(names, ()), *given[names])))
    if entry.quality:
        given["quality"] = known.get("quality", {}) | entry.quality
        given.setdefault("quality_source", said.place)
    known |= given


def _ensure_successors(
    name: str,
    fields: Mapping[str, Mapping[str, Any]],
    owners: Mapping[str, str],
    said: Sequence[Said],
    last: Mapping[str, int],
) -> None:
    """Refuse a successor that is not known, and one that leads back to where it began."""
    passed = [name]
    while (after := fields[passed[-1]].get("successor")) is not None:
        owner = owners.get(after)
        if owner is None:
            what = f"the successor `{after}` of `{passed[-1]}` is not known"
            raise said[last[passed[-1]]].wrong(what)
        if owner in passed:
            what = f"the successor `{after}` of `{passed[-1]}` leads back to itself"
            raise said[max(last[one] for one in passed)].wrong(what)
        passed.append(owner)


def _facts(provider: str, name: str, known: dict[str, Any]) -> ModelFacts:
    model = ModelId(provider=provider, name=name)
    if (after := known.get("successor")) is not None:
        known["successor"] = ModelId(provider=provider, name=after)
    if "prices" not in known and is_free(model):
        known["prices"] = (FREE,)
    prior = prior_quality(
        name,
        can=known["can"],
        cannot=known["cannot"],
        window_tokens=known.get("max_input_tokens") or known.get("context_tokens"),
    )
    if prior:
        told = known.get("quality_source")
        known["quality"] = {**prior, **known.get("quality", {})}
        known["quality_source"] = f"{told}; else {PRIOR}" if told else PRIOR
    return ModelFacts(id=model, **known)
