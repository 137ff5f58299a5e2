"""What a build says: events while it runs, a report at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from lattice_lock.messages import ModelId

__all__ = [
    "AttemptStarted",
    "BuildEvent",
    "BuildReport",
    "CandidateRejected",
    "MethodFinished",
    "MethodReport",
    "MethodStarted",
    "MethodStatus",
    "RejectedBy",
]


class RejectedBy(StrEnum):
    """What turned a candidate down."""

    MODEL = "model"
    """The call failed, so there was no candidate."""
    PARSE = "parse"
    """The reply held no body of the method."""
    DUPLICATE = "duplicate"
    """An equal body was rejected before."""
    SHERIFF = "sheriff"
    GAUNTLET = "gauntlet"


class MethodStatus(StrEnum):
    """What a build did about one method."""

    ACCEPTED = "accepted"
    """A model's body passed everything."""
    UP_TO_DATE = "up_to_date"
    """The body was accepted earlier, and neither it nor its contract changed."""
    KEPT = "kept"
    """A person wrote the body, and the build was not told to replace it."""
    FAILED = "failed"
    """No body passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodReport:
    """What a build did about one method.

    Attributes:
        method: `Interface.method`.
        model: whose body was accepted; None unless `status` is `ACCEPTED`.
        attempts: calls to models, failed ones included.
        rejections: number of attempts by what turned them down; the accepted one is not in it.
        reason: why nothing was done or the last candidate was turned down; may be empty.
        duration_s: seconds spent on this method.
        cost_usd: US dollars; None where the price of a call is unknown.
    """

    method: str
    status: MethodStatus
    model: ModelId | None = None
    attempts: int = 0
    rejections: Mapping[RejectedBy, int] = field(default_factory=lambda: MappingProxyType({}))
    reason: str = ""
    duration_s: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None

    def to_dict(self) -> dict[str, object]:
        """The report as plain JSON data."""
        return {
            "method": self.method,
            "status": self.status.value,
            "model": None if self.model is None else str(self.model),
            "attempts": self.attempts,
            "rejections": {by.value: count for by, count in self.rejections.items()},
            "reason": self.reason,
            "duration_s": round(self.duration_s, 3),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": None if self.cost_usd is None else str(self.cost_usd),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What a build did.

    Attributes:
        methods: one report for each method that was asked for, in the order of the work.
        written: paths of the files that changed, relative to the project.
        duration_s: seconds from start to end.
    """

    methods: tuple[MethodReport, ...]
    written: tuple[str, ...]
    duration_s: float

    @property
    def complete(self) -> bool:
        """Whether no method that was asked for is left without a body."""
        return all(one.status is not MethodStatus.FAILED for one in self.methods)

    def to_dict(self) -> dict[str, object]:
        """The report as plain JSON data."""
        return {
            "complete": self.complete,
            "methods": [one.to_dict() for one in self.methods],
            "written": list(self.written),
            "duration_s": round(self.duration_s, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodStarted:
    """Work on a method begins; `number` counts from 1 to `total`."""

    method: str
    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted:
    """A model is asked; `attempt` counts from 1 for each method."""

    method: str
    attempt: int
    model: ModelId


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRejected:
    """An attempt came to nothing."""

    method: str
    attempt: int
    model: ModelId
    by: RejectedBy
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFinished:
    """Work on a method is over."""

    report: MethodReport


BuildEvent: TypeAlias = MethodStarted | AttemptStarted | CandidateRejected | MethodFinished
