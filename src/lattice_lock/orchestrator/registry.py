"""What is known of models: windows, abilities, prices, and until when they are served.

The facts are data: `models/<provider>.jsonl`, one model on each line, and a file of the user's own
in the same form, whose models come first. What the data do not say is unknown, which is neither yes
nor no, and neither free nor dear.
"""

from __future__ import annotations

import codecs
import difflib
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from lattice_lock.exceptions import ConfigurationError, ModelNotAvailableError, UsageError
from lattice_lock.messages import ModelId
from lattice_lock.orchestrator.tasks import Capability

if TYPE_CHECKING:
    from lattice_lock.messages import Usage

__all__ = ["Lifecycle", "ModelFacts", "ModelRegistry", "Prices"]

_DATA = Path(__file__).parent / "models"
_MILLION = Decimal(1_000_000)
_SUGGESTIONS = 3
_RESELLERS = frozenset({"azure", "bedrock", "dial", "openrouter"})
FREE_PROVIDERS = frozenset({"embedded", "local"})
"""Providers whose models run on the user's own machines, so that nobody is paid for a token."""


class Lifecycle(StrEnum):
    """Whether a model is served: `DEPRECATED` has a date for its end, `RETIRED` is past it."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"
    NEVER_RELEASED = "never_released"


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars for a million tokens of each class; None is unknown.

    Attributes:
        from_input_tokens: the prices hold for calls with that many input tokens or more.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    from_input_tokens: int = 0

    def __post_init__(self) -> None:
        for price in (self.input, self.output, self.cached_input, self.cache_write):
            if price is not None and not (price.is_finite() and price >= 0):
                raise ValueError(f"`{price}` is no price")

    def cost_usd(self, usage: Usage) -> Decimal | None:
        """US dollars for `usage`; None where a class that it has tokens of has no known price."""
        classes = (
            (usage.fresh_input_tokens, self.input),
            (usage.cached_input_tokens, self.cached_input),
            (usage.cache_write_tokens, self.cache_write),
            (usage.output_tokens, self.output),
        )
        total = Decimal(0)
        for tokens, price in classes:
            if tokens and price is None:
                return None
            total += tokens * (price or 0)
        return total / _MILLION


_Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a data file."""

    name: str
    provider: str | None = None
    aliases: tuple[str, ...] = ()
    title: str | None = None
    context_tokens: _Tokens | None = None
    max_input_tokens: _Tokens | None = None
    max_output_tokens: _Tokens | None = None
    can: frozenset[Capability] = frozenset()
    cannot: frozenset[Capability] = frozenset()
    prices: tuple[Prices, ...] = ()
    shutdown_date: date | None = None
    never_released: bool = False
    successor: str | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        if both := self.can & self.cannot:
            raise ValueError(f"`{min(both)}` is both in `can` and in `cannot`")
        starts = [prices.from_input_tokens for prices in self.prices]
        if starts != sorted(set(starts)) or starts[:1] not in ([], [0]):
            raise ValueError("`from_input_tokens` of `prices` must begin at 0 and rise")


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One model.

    Attributes:
        can, cannot: what it is known to do and known not to do; the rest is unknown.
        prices: by rising `from_input_tokens`; empty where they are unknown.
        shutdown_date: the first day on which it is served no more, where one is announced.
        successor: a model of the same provider to use instead, where it has an end.
        source: where its status is known from.
    """

    id: ModelId
    aliases: tuple[str, ...] = ()
    title: str | None = None
    context_tokens: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    can: frozenset[Capability] = frozenset()
    cannot: frozenset[Capability] = frozenset()
    prices: tuple[Prices, ...] = ()
    shutdown_date: date | None = None
    never_released: bool = False
    successor: ModelId | None = None
    source: str | None = None

    def lifecycle(self, on: date | None = None) -> Lifecycle:
        """Whether it is served on that day, by default today (UTC)."""
        if self.never_released:
            return Lifecycle.NEVER_RELEASED
        if self.shutdown_date is None:
            return Lifecycle.ACTIVE
        today = on or datetime.now(tz=UTC).date()
        return Lifecycle.RETIRED if today >= self.shutdown_date else Lifecycle.DEPRECATED

    def served(self, on: date | None = None) -> bool:
        """Whether it can be called on that day."""
        return self.lifecycle(on) in {Lifecycle.ACTIVE, Lifecycle.DEPRECATED}

    def cost_usd(self, usage: Usage) -> Decimal | None:
        """US dollars for `usage`; None is unknown, zero is known to be free."""
        if not self.prices:
            return Decimal(0) if self.id.provider in FREE_PROVIDERS else None
        held = [one for one in self.prices if usage.input_tokens >= one.from_input_tokens]
        return held[-1].cost_usd(usage) if held else None


class ModelRegistry:
    """Every model that is known. Files are read when first needed, each once, which may block.

    Args:
        user_file: models of the user's own, whose lines name their `provider`; they replace
            those of the same name.

    Raises:
        ConfigurationError: by every method: a file is wrong; the message names file and line.
    """

    def __init__(self, user_file: Path | None = None) -> None:
        self._user_file = user_file
        self._providers: dict[str, dict[str, ModelFacts]] = {}

    def get(self, model: ModelId) -> ModelFacts | None:
        """What is known of `model`, whose name may be an alias; None where nothing is."""
        return self._of(model.provider).get(model.name)

    def models(self, provider: str | None = None) -> tuple[ModelFacts, ...]:
        """The models of one provider, or of all, in alphabetical order."""
        names = self.providers if provider is None else (provider,)
        return tuple(
            facts
            for one in names
            for name, facts in sorted(self._of(one).items())
            if name == facts.id.name
        )

    @cached_property
    def providers(self) -> tuple[str, ...]:
        """The providers of which models are known."""
        own = {model.provider for model, _ in self._user}
        return tuple(sorted({path.stem for path in _DATA.glob("*.jsonl")} | own))

    def find(self, text: str, *, on: date | None = None) -> ModelFacts:
        """The model that `text` names: `provider/name`, or a name or alias that one provider has.

        Of a name that several have, the one who makes the model is meant.

        Args:
            on: the day on which it is to be served, by default today (UTC).

        Raises:
            ModelNotAvailableError: there is none, or it is not served; the hint names what is.
        """
        provider, slash, name = text.partition("/")
        if slash and provider in self.providers:
            found = [self.get(ModelId(provider=provider, name=name))] if name else []
        else:
            found = [self._of(one).get(text) for one in self.providers]
        known = [facts for facts in found if facts is not None]
        served = [facts for facts in known if facts.served(on)]
        makers = [facts for facts in known if facts.id.provider not in _RESELLERS]
        own = [facts for facts in makers if facts.served(on)]
        if makers and not own:  # who makes it has ended it; others are asked by their full name
            raise _gone(makers[0], on)
        if len(own) == 1 or len(served) == 1:
            return (own or served)[0]
        if served:
            names = ", ".join(f"`{facts.id}`" for facts in served)
            raise ModelNotAvailableError(
                f"Several providers have `{text}`.",
                provider=served[0].id.provider,
                model=text,
                hint=f"Write one of {names}.",
            )
        if known:
            raise _gone(known[0], on)
        raise ModelNotAvailableError(
            f"No model `{text}` is known.",
            provider=provider if slash else "unknown",
            model=text,
            hint=self._suggestion(text),
        )

    def _suggestion(self, text: str) -> str:
        by_text = {
            written: facts
            for facts in self.models()
            if facts.served()
            for written in (facts.id.name, str(facts.id), *facts.aliases)
        }
        close = difflib.get_close_matches(text, by_text, n=_SUGGESTIONS, cutoff=0.6)
        names = dict.fromkeys(f"`{by_text[written].id}`" for written in close)
        if names:
            return f"Did you mean {' or '.join(names)}?"
        return "`lattice-lock models catalog` shows the models that are known."

    def _of(self, provider: str) -> dict[str, ModelFacts]:
        """The models of `provider` by name and alias."""
        found = self._providers.get(provider)
        if found is None:
            path = _DATA / f"{provider}.jsonl"
            entries = _read(path) if path.is_file() else {}
            facts = [_facts(provider, entry) for entry in entries.values()]
            facts += [facts for model, facts in self._user if model.provider == provider]
            found = {alias: one for one in facts for alias in one.aliases}
            found |= {one.id.name: one for one in facts}
            self._providers[provider] = found
        return found

    @cached_property
    def _user(self) -> tuple[tuple[ModelId, ModelFacts], ...]:
        if self._user_file is None:
            return ()
        models = []
        for number, entry in _read(self._user_file).items():
            if entry.provider is None:
                raise _wrong(self._user_file, number, "`provider` is missing")
            try:
                facts = _facts(entry.provider, entry)
            except UsageError as error:
                raise _wrong(self._user_file, number, error.message.rstrip(".")) from None
            models.append((facts.id, facts))
        return tuple(models)


_LINE = msgspec.json.Decoder(_Entry)


def _read(path: Path) -> dict[int, _Entry]:
    """The entries of a file by line number, counted from 1."""
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    except OSError as error:
        raise ConfigurationError(
            f"`{path}` cannot be read: {error.strerror}.",
            hint="Correct `LATTICE_LOCK_MODELS_FILE`, or unset it.",
        ) from None
    entries: dict[int, _Entry] = {}
    seen: dict[tuple[str | None, str], int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _wrong(path, number, str(error)) from None
        for name in (entry.name, *entry.aliases):
            first = seen.setdefault((entry.provider, name), number)
            if first != number:
                raise _wrong(path, number, f"`{name}` stands in line {first} already")
        entries[number] = entry
    return entries


def _facts(provider: str, entry: _Entry) -> ModelFacts:
    fields = msgspec.structs.asdict(entry)
    name, successor = fields.pop("name"), fields.pop("successor")
    del fields["provider"]
    return ModelFacts(
        id=ModelId(provider=provider, name=name),
        successor=ModelId(provider=provider, name=successor) if successor else None,
        **fields,
    )


def _wrong(path: Path, line: int, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path}:{line}: {what}.",
        hint="Write one JSON object on each line; `docs/reference/models.md` lists its fields.",
    )


def _gone(facts: ModelFacts, on: date | None) -> ModelNotAvailableError:
    never = facts.lifecycle(on) is Lifecycle.NEVER_RELEASED
    what = "was never released" if never else f"is not served since {facts.shutdown_date}"
    return ModelNotAvailableError(
        f"`{facts.id}` {what}.",
        provider=facts.id.provider,
        model=facts.id.name,
        hint=f"Ask `{facts.successor}` instead." if facts.successor else None,
    )
