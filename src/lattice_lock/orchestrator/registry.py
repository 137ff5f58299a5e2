"""What is known of models: windows, abilities, prices, and until when they are served.

The facts are data: `models/<provider>.jsonl`, one model on each line. Three layers may add models
to them, or say anew what they say of one: what providers list themselves (see `refresh`), the
`models` of a project's `lattice.yaml`, and a file of the user's own; of two that say something
different, the later counts. What none of them says is unknown, which is neither yes nor no, and
neither free nor dear.
"""

from __future__ import annotations

import difflib
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lattice_lock.exceptions import (
    LatticeSchemaError,
    ModelNotAvailableError,
    Problem,
    UsageError,
)
from lattice_lock.messages import ModelId
from lattice_lock.orchestrator.model_entries import Said, declared, joined, read_lines
from lattice_lock.orchestrator.model_facts import (
    FREE_PROVIDERS,
    CostTier,
    Lifecycle,
    ModelFacts,
    Prices,
    is_free,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from lattice_lock.core.schema import ModelAlias, ProjectModels
    from lattice_lock.settings import Settings

__all__ = [
    "FREE_PROVIDERS",
    "CostTier",
    "Lifecycle",
    "ModelFacts",
    "ModelRegistry",
    "Prices",
    "is_free",
    "refreshed_file",
]

_DATA = Path(__file__).parent / "models"
_SUGGESTIONS = 3
_LONGEST = 120  # difflib is quadratic in the length of a word
_RESELLERS = frozenset({"azure", "bedrock", "dial", "openrouter"})
_BUILT_IN = "Install Lattice Lock anew."
_FORM = "Write one JSON object on each line; `docs/reference/models.md` lists its fields."
_OVERLAY = "Delete the file; `lattice-lock models refresh` writes it anew."


def refreshed_file(settings: Settings) -> Path:
    """Where `lattice-lock models refresh` keeps what providers list; it may be absent."""
    return settings.data_dir / "models.jsonl"


class ModelRegistry:
    """Every model that is known. Files are read when first needed, each once, which may block.

    Args:
        user_file: models of the user's own, whose lines name their `provider`.
        lattice: the `lattice.yaml` of a project, whose `models` and `aliases` count; where there
            is no such file, there is no project.
        refreshed: what `lattice-lock models refresh` has written; it may be absent.

    Raises:
        ConfigurationError: by every method: a file is wrong; the message names file and line.
        LatticeError: by every method: `models` or `aliases` of the lattice are wrong.
    """

    def __init__(
        self,
        user_file: Path | None = None,
        *,
        lattice: Path | None = None,
        refreshed: Path | None = None,
    ) -> None:
        self._user_file = user_file
        self._lattice = lattice
        self._refreshed = refreshed
        self._providers: dict[str, dict[str, ModelFacts]] = {}

    def get(self, model: ModelId) -> ModelFacts | None:
        """What is known of `model`, whose name may be an alias; None where nothing is.

        An alias leads to the model that it means, the name of a snapshot to that snapshot.
        """
        return self._of(model.provider).get(model.name)

    def models(self, provider: str | None = None) -> tuple[ModelFacts, ...]:
        """The models of one provider, or of all, in alphabetical order."""
        names = self.providers if provider is None else (provider,)
        return tuple(
            facts
            for one in names
            for name, facts in sorted(self._of(one).items())
            if name == facts.id.name and name not in facts.snapshots
        )

    @cached_property
    def providers(self) -> tuple[str, ...]:
        """The providers of which models are known."""
        return tuple(sorted(_built_in().keys() | self._added.keys()))

    def find(self, text: str, *, on: date | None = None) -> ModelFacts:
        """The model that `text` names: `provider/name`, or a name or alias that one provider has.

        Of a name that several have, the one who makes the model is meant.

        Args:
            on: the day on which it is to be served, by default today (UTC).

        Raises:
            ModelNotAvailableError: there is none, or it is not served; `successor` and the hint
                name what is.
        """
        text = self._aliases.get(text, text)
        provider, slash, name = text.partition("/")
        if slash and provider in self.providers:
            found = [self._of(provider).get(name)]
        else:
            found = [self._of(one).get(text) for one in self.providers]
        known = [facts for facts in found if facts is not None]
        served = [facts for facts in known if facts.served(on)]
        makers = [facts for facts in known if facts.id.provider not in _RESELLERS]
        own = [facts for facts in makers if facts.served(on)]
        if makers and not own:  # who makes it has ended it; others are asked by their full name
            raise self._gone(makers[0], on)
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
            raise self._gone(known[0], on)
        raise ModelNotAvailableError(
            f"No model `{text}` is known.",
            provider=provider if slash else "unknown",
            model=text,
            hint=self._suggestion(text),
        )

    def _gone(self, facts: ModelFacts, on: date | None) -> ModelNotAvailableError:
        never = facts.lifecycle(on) is Lifecycle.NEVER_RELEASED
        what = "was never released" if never else f"is not served since {facts.shutdown_date}"
        after = self._after(facts)
        while after is not None and not after.served(on):
            after = self._after(after)
        error = ModelNotAvailableError(
            f"`{facts.id}` {what}.",
            provider=facts.id.provider,
            model=facts.id.name,
            hint=f"Ask `{after.id}` instead." if after else None,
        )
        error.successor = str(after.id) if after else None
        return error

    def _after(self, facts: ModelFacts) -> ModelFacts | None:
        """The successor; whoever follows it comes to an end, because cycles are refused."""
        return None if facts.successor is None else self.get(facts.successor)

    def _suggestion(self, text: str) -> str:
        by_text = {
            written: facts
            for facts in self.models()
            if facts.served()
            for written in (facts.id.name, str(facts.id), *facts.aliases, *facts.snapshots)
        }
        close = difflib.get_close_matches(text[:_LONGEST], by_text, n=_SUGGESTIONS, cutoff=0.6)
        names = dict.fromkeys(f"`{by_text[written].id}`" for written in close)
        if names:
            return f"Did you mean {' or '.join(names)}?"
        return "`lattice-lock models` shows the models that are known."

    def _of(self, provider: str) -> dict[str, ModelFacts]:
        """The models of `provider` by name and alias."""
        found = self._providers.get(provider)
        if found is None:
            path = _built_in().get(provider)
            said = [] if path is None else read_lines(path, _BUILT_IN)
            found = joined(provider, [*said, *self._added.get(provider, ())])
            self._providers[provider] = found
        return found

    @cached_property
    def _added(self) -> Mapping[str, list[Said]]:
        """What the layers above the built-in data say, by provider, the last word last."""
        added: dict[str, list[Said]] = {}
        for said in self._all_added():
            provider = said.entry.provider
            if provider is None:
                raise said.wrong("`provider` is missing")
            try:
                ModelId(provider=provider, name=said.entry.name)
            except UsageError as error:
                raise said.wrong(error.message.rstrip(".")) from None
            added.setdefault(provider, []).append(said)
        return added

    def _all_added(self) -> Iterator[Said]:
        if self._refreshed is not None and self._refreshed.is_file():
            yield from read_lines(self._refreshed, _OVERLAY, generated=True)
        for declaration in self._project.models if self._project else ():
            yield declared(declaration)
        if self._user_file is not None:
            yield from read_lines(self._user_file, _FORM)

    @cached_property
    def _project(self) -> ProjectModels | None:
        if self._lattice is None or not self._lattice.is_file():
            return None
        # Imported here, because only in a project does a call need a reader of YAML.
        from lattice_lock.core.project_models import load_models  # noqa: PLC0415

        return load_models(self._lattice)

    @cached_property
    def _aliases(self) -> Mapping[str, str]:
        """The project's own names for models; each is known not to be the name of a model."""
        aliases = self._project.aliases if self._project else {}
        for name, alias in aliases.items():
            holder = next((one for one in self.providers if name in self._of(one)), None)
            if holder is not None:
                raise _wrong(
                    alias,
                    f"The alias `{name}` is the name of a model of `{holder}`.",
                    "Choose a name that no model has.",
                )
            if self.get(ModelId.parse(alias.model)) is None:
                raise _wrong(
                    alias,
                    f"The alias `{name}` points to `{alias.model}`, which is not known.",
                    self._suggestion(alias.model),
                )
        return {name: alias.model for name, alias in aliases.items()}


@cache
def _built_in() -> Mapping[str, Path]:
    """The data files by provider."""
    return {path.stem: path for path in _DATA.glob("*.jsonl")}


def _wrong(alias: ModelAlias, what: str, hint: str) -> LatticeSchemaError:
    return LatticeSchemaError([Problem(location=alias.location, message=what, hint=hint)])
