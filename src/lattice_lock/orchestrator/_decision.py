"""What a panel came to, as values, and how votes that are counted become it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Self

import msgspec

from lattice_lock.exceptions import ConsensusError
from lattice_lock.messages import ChatResponse, ModelId, Usage
from lattice_lock.orchestrator._ballots import MISSING, WHOLE, Round, questions, supporters
from lattice_lock.orchestrator._panel import VotingRule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lattice_lock.exceptions import LatticeLockError
    from lattice_lock.orchestrator._ballots import Choice, Election, Vote

__all__ = [
    "Absence",
    "Ballot",
    "Count",
    "Decision",
    "Dissent",
    "FieldResult",
    "JudgeVote",
    "MemberStatus",
    "MemberVote",
    "answer_of",
    "dissent_of",
    "field_results",
    "total_cost_usd",
    "total_usage",
]


class MemberStatus(StrEnum):
    """What became of a member; one that is absent failed, or answered nothing that counts."""

    VOTED = "voted"
    ABSENT = "absent"
    CANCELLED = "cancelled"


class Absence(msgspec.Struct, frozen=True, kw_only=True):
    """Why somebody's answer does not count; `code` is that of the error, such as `LL-513`."""

    code: str
    reason: str
    hint: str | None = None

    @classmethod
    def of(cls, error: LatticeLockError) -> Self:
        """The absence that `error` makes."""
        return cls(code=error.code, reason=error.message, hint=error.hint)


class MemberVote(msgspec.Struct, frozen=True, kw_only=True):
    """What one member did.

    Attributes:
        vote: what was counted: the text, the label, the ranking as a tuple, or the JSON value;
            None unless it voted.
        response: its answer, if one came, whether it counts or not.
        absence: why it did not vote; None where it did.
        elapsed_ms: milliseconds until it answered, failed or was cancelled.
    """

    model: ModelId
    weight: Decimal
    status: MemberStatus
    vote: Any = None
    response: ChatResponse | None = None
    absence: Absence | None = None
    elapsed_ms: float = 0.0

    @property
    def cost_usd(self) -> Decimal | None:
        """US dollars for its answer; None is unknown."""
        return None if self.response is None else self.response.cost_usd


class JudgeVote(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge did.

    Attributes:
        chosen: whose answer it chose, which it did not know; None where it chose none.
        reason: the reason it gave.
        response, absence, elapsed_ms: as in `MemberVote`.
    """

    model: ModelId
    chosen: ModelId | None = None
    reason: str | None = None
    response: ChatResponse | None = None
    absence: Absence | None = None
    elapsed_ms: float = 0.0


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Those who agree on one question.

    Attributes:
        value: what they say, in the words of the first of them.
        missing: they all leave the field out; `value` is None then.
        support: their part of the weight of the whole panel, from 0 to 1.
        models: they, in the order of the panel.
    """

    value: Any
    missing: bool = False
    support: float
    models: tuple[ModelId, ...]


class FieldResult(msgspec.Struct, frozen=True, kw_only=True):
    """How the panel voted on one field, or on the answer as a whole.

    Attributes:
        name: the field; None is the whole answer.
        decided: whether something won; it comes first in `counts` then.
        counts: each different answer, the one with most support first.
    """

    name: str | None
    decided: bool
    counts: tuple[Count, ...]

    @property
    def support(self) -> float:
        """Support of what won, or of what has most."""
        return self.counts[0].support


class Dissent(msgspec.Struct, frozen=True, kw_only=True):
    """A member that voted for something else than was decided.

    Attributes:
        answer: its own text, reasons included.
        fields: the fields in which it differs; empty where answers are compared as a whole.
    """

    model: ModelId
    answer: str
    fields: tuple[str, ...] = ()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a panel came to.

    Attributes:
        decided: whether there is a decision; for fields, on every one of them.
        answer: the decision: a text, a label, an option, or JSON; None where there is none.
        reason: why it was decided so, or was not, as a sentence.
        support: part of the panel's weight behind the decision, from 0 to 1; for fields that of
            the weakest; 0 where nothing was decided.
        fields: the count of each field, or one for the whole answer; empty where nobody voted.
        votes: every member, in the order of the panel.
        dissent: those who voted otherwise; empty where nothing was decided.
        rounds: of a ranked choice.
        judge: what the judge did, where one was asked.
        stopped_early: why members were cancelled before the deadline; None where none was.
        cost_usd: US dollars for all answers that came, the judge's included; None where that of
            one is unknown. What a provider charges for a call that was cancelled is not in it.
        usage: tokens of the same answers; None where those of one are unknown.
    """

    rule: VotingRule
    decided: bool
    answer: Any = None
    reason: str
    support: float = 0.0
    fields: tuple[FieldResult, ...] = ()
    votes: tuple[MemberVote, ...]
    dissent: tuple[Dissent, ...] = ()
    rounds: tuple[Round, ...] = ()
    judge: JudgeVote | None = None
    stopped_early: str | None = None
    cost_usd: Decimal | None = None
    usage: Usage | None = None

    def ensure_decided(self) -> Self:
        """This decision.

        Raises:
            ConsensusError: nothing was decided; the message has the tally.
        """
        if self.decided:
            return self
        raise ConsensusError(
            self.reason, hint="Add members, lower the quorum, or let a judge choose."
        )


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a member says, and what that counts as on each question."""

    value: Any
    choices: Vote


def field_results(
    election: Election,
    ballots: Mapping[int, Ballot],
    models: Sequence[ModelId],
    won: Mapping[str | None, Choice],
) -> tuple[FieldResult, ...]:
    """The count of each question; `won` holds what won those that are decided."""
    choices = {voter: ballot.choices for voter, ballot in ballots.items()}
    results = []
    for question in questions(choices):
        by_choice = supporters(choices, question)
        ordered = sorted(
            by_choice.items(),
            key=lambda item: (
                question in won and item[0] != won[question],
                -election.weight(item[1]),
                item[1],
            ),
        )
        counts = tuple(
            Count(
                value=_said(ballots[voters[0]], question),
                missing=choice == MISSING,
                support=float(election.weight(voters)),
                models=tuple(models[voter] for voter in voters),
            )
            for choice, voters in ordered
        )
        results.append(FieldResult(name=question, decided=question in won, counts=counts))
    return tuple(results)


def _said(ballot: Ballot, question: str | None) -> object:
    return ballot.value if question is WHOLE else ballot.value.get(question)


def answer_of(fields: Sequence[FieldResult]) -> object:
    """What was decided, put together of what won each question."""
    if [field.name for field in fields] == [WHOLE]:
        return fields[0].counts[0].value
    return {field.name: field.counts[0].value for field in fields if not field.counts[0].missing}


def dissent_of(
    ballots: Mapping[int, Ballot], votes: Sequence[MemberVote], won: Mapping[str | None, Choice]
) -> tuple[Dissent, ...]:
    """Those whose vote differs from what won."""
    dissent = []
    for voter in sorted(ballots):
        choices = ballots[voter].choices
        differs = [name for name in won if choices.get(name, MISSING) != won[name]]
        response = votes[voter].response
        if differs and response is not None:
            fields = tuple(name for name in differs if name is not None)
            dissent.append(
                Dissent(model=votes[voter].model, answer=response.text.strip(), fields=fields)
            )
    return tuple(dissent)


def total_cost_usd(responses: Sequence[ChatResponse]) -> Decimal | None:
    """US dollars for all `responses`; None where those of one are unknown."""
    costs = [response.cost_usd for response in responses if response.cost_usd is not None]
    return sum(costs, Decimal(0)) if len(costs) == len(responses) else None


def total_usage(responses: Sequence[ChatResponse]) -> Usage | None:
    """Tokens of all `responses`; None where those of one are unknown."""
    usages = [response.usage for response in responses if response.usage is not None]
    return reduce(add, usages, Usage()) if len(usages) == len(responses) else None
