"""`model-allow`: which models may be asked, where they may run and what a call may cost."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003  # msgspec reads annotations
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.policies.base import (
    OWN_MACHINE,
    Case,
    Context,
    Finding,
    Hold,
    Policy,
    Scan,
    Severity,
    Subject,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lattice_lock.messages import ModelId

__all__ = ["ModelAllow"]


class ModelAllow(Policy, frozen=True, kw_only=True):
    """Refuses calls to other models than those that are allowed, before anything is sent.

    When a model is chosen for a prompt, those that are refused are not candidates.

    Attributes:
        providers: ids of providers that may be asked; none allows every one.
        models: patterns of models that may be asked, such as `openai/gpt-6-*`; none allows all.
        deny: patterns of models that may not be asked, whatever else is said.
        regions: where a call may be answered, such as `eu`, which includes `eu-west-1`; none
            allows every place. The user's own machine is always allowed.
        max_cost_usd: the most that one call can cost, in US dollars.
    """

    name: ClassVar[str] = "model-allow"
    subjects: ClassVar[tuple[Subject, ...]] = (Subject.PROMPT,)
    defaults: ClassVar[tuple[Subject, ...]] = (Subject.PROMPT,)
    redacts: ClassVar[bool] = False
    reads_text: ClassVar[bool] = False
    holds: ClassVar[Hold] = Hold.NOTHING
    rules: ClassVar[dict[str, str]] = {
        "provider": "a provider that is not allowed",
        "model": "a model that is not allowed, or is denied",
        "region": "a model that is answered elsewhere, or nobody knows where",
        "price": "a call that can cost more, or nobody knows how much",
    }
    limits: ClassVar[tuple[str, ...]] = (
        "What a call can cost is an upper bound: the longest answer, at the dearest price.",
        "Where a model is answered is what its provider says of the endpoint.",
    )
    sample: ClassVar[dict[str, object]] = {
        "providers": ["local", "openai"],
        "models": ["local/*", "openai/gpt-6-*"],
        "deny": ["*-preview"],
        "regions": ["eu"],
        "max_cost_usd": "0.05",
    }
    cases: ClassVar[tuple[Case, ...]] = (
        Case(text="", model="local/qwen3-coder", regions=(OWN_MACHINE,), max_cost_usd="0"),
        Case(text="", model="openai/gpt-6-luna", regions=("eu-west-1",), max_cost_usd="0.05"),
        Case(
            text="",
            model="xai/grok-5",
            regions=("eu",),
            max_cost_usd="0",
            rules=("model", "provider"),
        ),
        Case(
            text="",
            model="openai/gpt-6-luna-preview",
            regions=("eu",),
            max_cost_usd="0",
            rules=("model",),
        ),
        Case(
            text="", model="openai/gpt-6-luna", regions=("us",), max_cost_usd="0", rules=("region",)
        ),
        Case(text="", model="openai/gpt-6-luna", max_cost_usd="0.01", rules=("region",)),
        Case(
            text="",
            model="openai/gpt-6-luna",
            regions=("eu",),
            max_cost_usd="0.06",
            rules=("price",),
        ),
        Case(text="", model="openai/gpt-6-luna", regions=("eu",), rules=("price",)),
    )

    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    max_cost_usd: Decimal | None = None

    def __post_init__(self) -> None:
        most = self.max_cost_usd
        if most is not None and not (most.is_finite() and most >= 0):
            raise ValueError("`max_cost_usd` must be US dollars from 0 up")
        both = set(self.models) & set(self.deny)
        if both:
            raise ValueError(f"`{min(both)}` is both allowed and denied")
        unreachable = [
            one
            for one in self.models
            if self.providers
            and "/" in one
            and not any(fnmatchcase(each, one.partition("/")[0]) for each in self.providers)
        ]
        if unreachable:
            raise ValueError(f"`{unreachable[0]}` is of no provider that is allowed")

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        end = len(window.text)
        if window.start or window.position or context.model is None:
            return Scan((), end)
        found = (
            Finding(
                start=0,
                end=0,
                rule=rule,
                message=message,
                severity=Severity.HIGH,
                fix="Ask another model, or change what the policy allows.",
            )
            for rule, message in self._reasons(context.model, context)
        )
        return Scan(tuple(sorted(found)), end)

    @override
    def contradictions(self, others: Iterable[Policy]) -> Iterator[str]:
        for other in others:
            if not isinstance(other, ModelAllow):
                continue
            if self.providers and other.providers and not {*self.providers} & {*other.providers}:
                yield "`model-allow` is declared twice, and no provider is allowed by both."

    def _reasons(self, model: ModelId, context: Context) -> Iterator[tuple[str, str]]:
        if self.providers and model.provider not in self.providers:
            yield "provider", f"the provider `{model.provider}` is not allowed."
        if any(_fits(model, pattern) for pattern in self.deny):
            yield "model", f"the model `{model}` is denied."
        elif self.models and not any(_fits(model, pattern) for pattern in self.models):
            yield "model", f"the model `{model}` is not allowed."
        if self.regions and OWN_MACHINE not in context.regions:
            outside = [one for one in sorted(context.regions) if not self._within(one)]
            if outside or not context.regions:
                where = f"in `{outside[0]}`" if outside else "in an unknown place"
                yield "region", f"`{model}` is answered {where}."
        if self.max_cost_usd is not None:
            if context.max_cost_usd is None:
                yield "price", f"nobody knows what a call of `{model}` can cost."
            elif context.max_cost_usd > self.max_cost_usd:
                cost = context.max_cost_usd
                yield "price", f"the call can cost {cost:f} USD, above {self.max_cost_usd:f}."

    def _within(self, place: str) -> bool:
        return any(place == one or place.startswith(f"{one}-") for one in self.regions)


def _fits(model: ModelId, pattern: str) -> bool:
    return fnmatchcase(str(model), pattern) or fnmatchcase(model.name, pattern)
