"""Who is on a panel, and how it is to decide."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from lattice_lock.exceptions import UsageError
from lattice_lock.messages import ModelId
from lattice_lock.orchestrator._answers import normalised
from lattice_lock.orchestrator.completing import AUTO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lattice_lock.messages import ChatRequest

__all__ = [
    "COUNTED",
    "ConsensusSettings",
    "EmbeddedEquality",
    "Embeds",
    "Member",
    "VotingRule",
    "choose_panel",
    "seated",
]

_SMALLEST_PANEL = 2


class VotingRule(StrEnum):
    """How the votes of a panel become a decision."""

    MAJORITY = "majority"
    WEIGHTED = "weighted"
    UNANIMOUS = "unanimous"
    RANKED_CHOICE = "ranked-choice"
    JUDGE = "judge"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A model on a panel; its weight, above zero, counts with `VotingRule.WEIGHTED` only."""

    model: ModelId
    weight: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        if not self.weight.is_finite() or self.weight <= 0:
            raise UsageError(
                f"`{self.weight}` is no weight for `{self.model}`.",
                hint="Write a number above zero, such as `1.5`.",
            )


COUNTED = frozenset({VotingRule.MAJORITY, VotingRule.WEIGHTED, VotingRule.UNANIMOUS})
"""The rules by which equal votes are added up."""


class Embeds(Protocol):
    """Turns texts into vectors of their meaning."""

    async def __call__(self, texts: Sequence[str], /) -> Sequence[Sequence[float]]:
        """One vector for each text, in the order of the texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedEquality:
    """Texts are equal where they mean nearly the same.

    What embedding costs is the affair of `embed`; it is called once, with each different text.

    Attributes:
        threshold: least cosine of any two texts of a group, above 0 and at most 1.
    """

    embed: Embeds
    threshold: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise UsageError(f"`threshold` is {self.threshold}, not above 0 and at most 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusSettings:
    """How a panel is to decide.

    What is voted on follows from what is given: `options` are ranked, `labels` are chosen from, a
    request with a `response_schema` is voted on field by field, and any other as text.

    Attributes:
        labels: at least two; members are told them.
        options: at least two, for ranked choice alone; members are told them.
        judge: who chooses, for the rule `JUDGE` alone; it may be a member too.
        seed: decides in which order a judge sees the answers.
        quorum: members that have to vote; None is more than half of the panel, or all of it where
            they have to be unanimous.
        equality: when texts are equal; None is after normalising, see `docs/how-to/consensus.md`.
        stop_early: whether to cancel who cannot change the outcome; otherwise all are heard.
    """

    rule: VotingRule = VotingRule.MAJORITY
    labels: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    judge: ModelId | None = None
    seed: int = 0
    quorum: int | None = None
    equality: EmbeddedEquality | None = None
    stop_early: bool = True

    def __post_init__(self) -> None:
        _check_names("labels", self.labels)
        _check_names("options", self.options)
        if bool(self.options) != (self.rule is VotingRule.RANKED_CHOICE):
            raise UsageError("`options` and the rule `ranked-choice` need one another.")
        if (self.judge is not None) != (self.rule is VotingRule.JUDGE):
            raise UsageError("A judge and the rule `judge` need one another.")
        if self.labels and self.rule not in COUNTED:
            raise UsageError(f"Labels are not voted on by the rule `{self.rule}`.")
        if self.equality is not None and (self.labels or self.rule not in COUNTED):
            raise UsageError("Embedded equality is for texts that are counted.")
        if self.quorum is not None and self.quorum < 1:
            raise UsageError("`quorum` must be at least 1.")


def _check_names(what: str, names: Sequence[str]) -> None:
    texts = [normalised(name) for name in names]
    if len(texts) == 1 or not all(texts) or len(set(texts)) < len(texts):
        raise UsageError(
            f"`{what}` must be at least two different texts.",
            hint="Case and punctuation do not make them different.",
        )


def choose_panel(ranked: Sequence[ModelId], size: int) -> tuple[ModelId, ...]:
    """The best model of each provider, then the best of the rest, `size` in all.

    Args:
        ranked: models, the best first.

    Raises:
        UsageError: the panel would be one of fewer than two, or there are too few models.
    """
    if size < _SMALLEST_PANEL:
        raise UsageError("A panel has at least two members.")
    firsts = {model.provider: model for model in reversed(ranked)}.values()
    models = dict.fromkeys([*(model for model in ranked if model in firsts), *ranked])
    if len(models) < size:
        raise UsageError(
            f"A panel of {size} was asked for, and only {len(models)} models can be asked.",
            hint="Ask for a smaller panel, or see `lattice-lock doctor` for what lacks.",
        )
    return tuple(models)[:size]


def seated(
    panel: Sequence[ModelId | Member], settings: ConsensusSettings, request: ChatRequest
) -> tuple[Member, ...]:
    """The members of `panel`.

    Raises:
        UsageError: panel, settings and request do not fit together.
    """
    if request.response_schema is not None and (
        settings.labels or settings.options or settings.equality is not None
    ):
        raise UsageError(
            "Structured output is voted on field by field.",
            hint="Leave out `labels`, `options` and `equality`, or the `response_schema`.",
        )
    members = tuple(one if isinstance(one, Member) else Member(model=one) for one in panel)
    models = [member.model for member in members]
    if len(members) < _SMALLEST_PANEL:
        raise UsageError(
            f"A panel of {'one' if members else 'none'} cannot come to a consensus.",
            hint="Name at least two models, such as `openai/gpt-5-mini` and `local/qwen3`.",
        )
    if twice := next((model for model in models if models.count(model) > 1), None):
        raise UsageError(
            f"`{twice}` is twice on the panel.",
            hint="Name each model once; the rule `weighted` lets one count more.",
        )
    if AUTO in models:
        raise UsageError(
            f"`{AUTO}` is no member of a panel.", hint="Name models, or let `choose_panel` do so."
        )
    if settings.rule is not VotingRule.WEIGHTED and any(one.weight != 1 for one in members):
        raise UsageError(
            f"Weights do not count with the rule `{settings.rule}`.",
            hint="Use the rule `weighted`, or leave the weights out.",
        )
    if settings.quorum is not None and settings.quorum > len(members):
        raise UsageError(
            f"`quorum` is {settings.quorum}, and the panel has {len(members)} members."
        )
    return members
