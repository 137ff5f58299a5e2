"""One question, several models, one decision.

    decision = await ConsensusEngine(orchestrator).decide(request, panel, ConsensusSettings(...))
    decision.ensure_decided().answer

All members are asked at once, with one budget and within one deadline. A member that fails is
absent and reported. As soon as the outcome is certain the rest is cancelled. A tie or a missed
quorum is a decision with `decided=False`, because what the members said has been paid for.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from lattice_lock.exceptions import (
    APIClientError,
    ConsensusError,
    InvalidResponseError,
    LatticeLockError,
)
from lattice_lock.messages import ChatResponse, FinishReason, Message
from lattice_lock.orchestrator._answers import similar_groups
from lattice_lock.orchestrator._ballots import (
    MISSING,
    WHOLE,
    Election,
    Round,
    instant_runoff,
    questions,
)
from lattice_lock.orchestrator._decision import (
    Absence,
    Ballot,
    Count,
    Decision,
    Dissent,
    FieldResult,
    JudgeVote,
    MemberStatus,
    MemberVote,
    answer_of,
    dissent_of,
    field_results,
    total_cost_usd,
    total_usage,
)
from lattice_lock.orchestrator._judge import judging_request, read_verdict
from lattice_lock.orchestrator._panel import (
    COUNTED,
    ConsensusSettings,
    EmbeddedEquality,
    Embeds,
    Member,
    VotingRule,
    choose_panel,
    seated,
)
from lattice_lock.orchestrator._poll import Poll, instructed, timed_out
from lattice_lock.providers.structured_output import check_answer, schema_validator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from lattice_lock.messages import ChatRequest, ModelId
    from lattice_lock.orchestrator._ballots import Choice, Vote
    from lattice_lock.orchestrator._poll import Complete
    from lattice_lock.orchestrator.budget import Budget
    from lattice_lock.orchestrator.completing import Completes

__all__ = [
    "Absence",
    "ConsensusEngine",
    "ConsensusSettings",
    "Count",
    "Decision",
    "Dissent",
    "EmbeddedEquality",
    "Embeds",
    "FieldResult",
    "JudgeVote",
    "Member",
    "MemberStatus",
    "MemberVote",
    "Round",
    "VotingRule",
    "choose_panel",
]

_VOTING_TIME = 0.75  # part of the time, where a judge or an embedding comes after the members
_LEAST_S = 1e-3  # a request has to have some time
_SHOWN = 60  # characters of an answer in a reason


class ConsensusEngine:
    """Asks panels; it keeps nothing between them and can be shared.

    Args:
        completes: who answers, `ModelOrchestrator` above all.
    """

    def __init__(self, completes: Completes) -> None:
        self._completes = completes

    async def decide(
        self,
        request: ChatRequest,
        panel: Sequence[ModelId | Member],
        settings: ConsensusSettings | None = None,
        *,
        budget: Budget | None = None,
        notify: Callable[[MemberVote], None] | None = None,
    ) -> Decision:
        """What `panel` comes to.

        Args:
            request: the question; each member gets it with its own model, and its `timeout_s` is
                for the whole panel.
            panel: at least two different models.
            budget: for the whole panel, the judge included.
            notify: called with each member that answered or failed, as it does.

        Raises:
            UsageError: panel, settings and request do not fit together.
            InvalidRequestError: the schema of the request is no JSON Schema.
            ConsensusError: `embed` did not return one finite vector for each text.
        """
        settings = settings or ConsensusSettings()
        sitting = _Sitting(self._completes, request, seated(panel, settings, request), settings)
        return await sitting.decide(budget, notify)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of the ballots; `won` may hold fields although the whole is undecided."""

    decided: bool
    answer: Any = None
    reason: str
    ballots: Mapping[int, Ballot]
    won: Mapping[str | None, Choice]
    rounds: tuple[Round, ...] = ()
    judge: JudgeVote | None = None


class _Sitting:
    """One question before one panel."""

    def __init__(
        self,
        completes: Completes,
        request: ChatRequest,
        members: tuple[Member, ...],
        settings: ConsensusSettings,
    ) -> None:
        self._completes = completes
        self._request = request
        self._members = members
        self._models = [member.model for member in members]
        self._settings = settings
        unanimous = settings.rule is VotingRule.UNANIMOUS
        self._election = Election(
            weights=[Fraction(member.weight) for member in members],
            quorum=settings.quorum or (len(members) if unanimous else len(members) // 2 + 1),
            unanimous=unanimous,
        )

    async def decide(
        self, budget: Budget | None, notify: Callable[[MemberVote], None] | None
    ) -> Decision:
        settings, request = self._settings, self._request
        if request.response_schema is not None:  # a wrong one is refused before money is spent
            await asyncio.to_thread(schema_validator, request, request.response_schema)
        deadline = asyncio.get_running_loop().time() + request.timeout_s
        complete = partial(self._completes.complete, budget=budget)
        comes_more = settings.rule is VotingRule.JUDGE or settings.equality is not None
        voting_s = request.timeout_s * (_VOTING_TIME if comes_more else 1.0)
        poll = Poll(complete, self._members, settings, settled=self._settled, notify=notify)
        heard = await poll.take(
            msgspec.structs.replace(instructed(request, settings), timeout_s=voting_s)
        )
        votes = tuple(one.vote for one in heard)
        ballots = {voter: one.ballot for voter, one in enumerate(heard) if one.ballot is not None}
        if len(ballots) < self._election.quorum:
            outcome = self._undecided(ballots, self._missed_quorum(ballots))
        elif settings.judge is not None:
            outcome = await self._judged(ballots, votes, complete, settings.judge, deadline)
        elif settings.options:
            outcome = self._ranked(ballots)
        elif settings.equality is not None:
            outcome = await self._compared(ballots, settings.equality, deadline)
        else:
            outcome = await self._counted(ballots)
        return self._decision(outcome, votes)

    def _settled(self, ballots: Mapping[int, Ballot], waiting: Collection[int]) -> bool:
        if not self._settings.stop_early:
            return not waiting
        if self._settings.rule in COUNTED and self._settings.equality is None:
            return self._election.settled(_choices(ballots), waiting)
        return len(ballots) + len(waiting) < self._election.quorum

    def _missed_quorum(self, ballots: Mapping[int, Ballot]) -> str:
        return (
            f"{len(ballots)} of {len(self._members)} members voted, and the quorum is"
            f" {self._election.quorum}."
        )

    def _undecided(
        self, ballots: Mapping[int, Ballot], reason: str, judge: JudgeVote | None = None
    ) -> _Outcome:
        return _Outcome(decided=False, reason=reason, ballots=ballots, won={}, judge=judge)

    # Counting equal answers

    async def _counted(self, ballots: Mapping[int, Ballot]) -> _Outcome:
        choices = _choices(ballots)
        won = {
            question: winner
            for question in questions(choices)
            if (winner := self._election.winner(choices, question)) is not None
        }
        fields = field_results(self._election, ballots, self._models, won)
        if self._election.winners(choices) is None:
            reason = self._disagreement(fields)
            return _Outcome(decided=False, reason=reason, ballots=ballots, won=won)
        answer = answer_of(fields)
        if (misfit := await self._misfit(answer)) is not None:
            return _Outcome(decided=False, reason=misfit, ballots=ballots, won=won)
        reason = self._agreement(fields)
        return _Outcome(decided=True, answer=answer, reason=reason, ballots=ballots, won=won)

    async def _misfit(self, answer: object) -> str | None:
        """Why fields that won one by one are no answer together; None where they are."""
        wanted = self._request.response_schema
        if wanted is None:
            return None
        text = msgspec.json.encode(answer).decode()
        together = ChatResponse(
            model=self._request.model,
            message=Message.assistant(text),
            finish_reason=FinishReason.STOP,
        )
        try:
            validator = await asyncio.to_thread(schema_validator, self._request, wanted)
            await asyncio.to_thread(check_answer, validator, self._request, wanted, together)
        except APIClientError as error:
            return f"What was decided field by field does not fit together. {error.message}"
        return None

    def _agreement(self, fields: Sequence[FieldResult]) -> str:
        if not fields:
            return "Those who voted left every field out."
        weakest = min(fields, key=lambda field: field.support)
        count = f"{len(weakest.counts[0].models)} of {len(self._members)} members"
        if self._settings.rule is VotingRule.WEIGHTED:
            count += f", with {weakest.support:.0%} of the weight,"
        if weakest.name is WHOLE:
            return f"{count} agree."
        return f"Every field is decided; on the weakest, `{weakest.name}`, {count} agree."

    def _disagreement(self, fields: Sequence[FieldResult]) -> str:
        missing = (
            "The members are not of one mind"
            if self._election.unanimous
            else ("Nothing has more than half of the panel")
        )
        if not fields:
            return f"{missing}."
        if fields[0].name is not WHOLE:
            names = ", ".join(f"`{field.name}`" for field in fields if not field.decided)
            return f"{missing} on {names}."
        counts = fields[0].counts
        tie = len(counts) > 1 and counts[0].support == counts[1].support
        told = ", ".join(f"{_short(one.value)} {one.support:.0%}" for one in counts)
        return f"{missing}{', and the first are tied' if tie else ''}: {told}."

    async def _compared(
        self, ballots: Mapping[int, Ballot], equality: EmbeddedEquality, deadline: float
    ) -> _Outcome:
        by_text = {str(ballot.choices[WHOLE]): str(ballot.value) for ballot in ballots.values()}
        texts = sorted(by_text)
        try:
            async with asyncio.timeout_at(deadline):
                vectors = await equality.embed([by_text[text] for text in texts])
        except TimeoutError:
            return self._undecided(ballots, "The time was over before the answers were compared.")
        if (
            len(vectors) != len(texts)
            or len({len(vector) for vector in vectors}) > 1
            or not all(math.isfinite(number) for vector in vectors for number in vector)
        ):
            raise ConsensusError("`embed` did not return one finite vector for each text.")
        groups = similar_groups(dict(zip(texts, vectors, strict=True)), equality.threshold)
        return await self._counted(
            {
                voter: Ballot(ballot.value, {WHOLE: groups[str(ballot.choices[WHOLE])]})
                for voter, ballot in ballots.items()
            }
        )

    # Ranked choice

    def _ranked(self, ballots: Mapping[int, Ballot]) -> _Outcome:
        options = self._settings.options
        winner, rounds = instant_runoff(options, [ballot.value for ballot in ballots.values()])
        last = rounds[-1].counts
        # In the end a ballot counts for the first of its options that is left.
        counted = {
            voter: next((option for option in ballot.value if option in last), None)
            for voter, ballot in ballots.items()
        }
        ballots = {
            voter: Ballot(option, {WHOLE: MISSING if option is None else option})
            for voter, option in counted.items()
        }
        if winner is None:
            tied = ", ".join(map(_short, last))
            return _Outcome(
                decided=False,
                reason=f"In round {len(rounds)} all that is left is tied: {tied}.",
                ballots=ballots,
                won={},
                rounds=rounds,
            )
        return _Outcome(
            decided=True,
            answer=winner,
            reason=(
                f"{_short(winner)} has {last[winner]} of {sum(last.values())} ballots in round"
                f" {len(rounds)}."
            ),
            ballots=ballots,
            won={WHOLE: winner},
            rounds=rounds,
        )

    # A judge

    async def _judged(
        self,
        ballots: Mapping[int, Ballot],
        votes: Sequence[MemberVote],
        complete: Complete,
        model: ModelId,
        deadline: float,
    ) -> _Outcome:
        voters = sorted(ballots)
        random.Random(self._settings.seed).shuffle(voters)  # noqa: S311  # to be repeatable
        loop = asyncio.get_running_loop()
        begun = loop.time()
        answers = [response.text for voter in voters if (response := votes[voter].response)]
        request = judging_request(
            self._request, answers, model, timeout_s=max(deadline - begun, _LEAST_S)
        )
        response, absence = None, None
        try:
            async with asyncio.timeout_at(deadline):
                response = await complete(request)
        except TimeoutError:
            absence = timed_out(request)
        except LatticeLockError as error:
            absence = Absence.of(error)
        verdict = None
        if response is not None:
            try:
                verdict = read_verdict(response.text, len(voters))
            except ValueError as error:
                absence = Absence(code=InvalidResponseError.code, reason=f"{error}.")
        chosen = voters[verdict.choice - 1] if verdict is not None and verdict.choice else None
        judge = JudgeVote(
            model=model,
            chosen=None if chosen is None else self._models[chosen],
            reason=None if verdict is None else verdict.reason,
            response=response,
            absence=absence,
            elapsed_ms=(loop.time() - begun) * 1000,
        )
        if absence is not None:
            reason = f"The judge `{model}` chose nothing. {absence.reason}"
            return self._undecided(ballots, reason, judge)
        if chosen is None:
            reason = f"The judge `{model}` accepts no answer: {judge.reason}"
            return self._undecided(ballots, reason, judge)
        return _Outcome(
            decided=True,
            answer=ballots[chosen].value,
            reason=f"The judge `{model}` chose the answer of `{judge.chosen}`: {judge.reason}",
            ballots=ballots,
            won=ballots[chosen].choices,
            judge=judge,
        )

    # The result

    def _decision(self, outcome: _Outcome, votes: tuple[MemberVote, ...]) -> Decision:
        fields = field_results(self._election, outcome.ballots, self._models, outcome.won)
        support = 0.0
        if outcome.decided:
            everybody = float(self._election.weight(outcome.ballots))
            support = min((field.support for field in fields), default=everybody)
        asked: list[MemberVote | JudgeVote] = [*votes, *filter(None, [outcome.judge])]
        responses = [one.response for one in asked if one.response is not None]
        return Decision(
            rule=self._settings.rule,
            decided=outcome.decided,
            answer=outcome.answer,
            reason=outcome.reason,
            support=support,
            fields=fields,
            votes=votes,
            dissent=dissent_of(outcome.ballots, votes, outcome.won),
            rounds=outcome.rounds,
            judge=outcome.judge,
            stopped_early=self._why_stopped(outcome.ballots, votes),
            cost_usd=total_cost_usd(responses),
            usage=total_usage(responses),
        )

    def _why_stopped(
        self, ballots: Mapping[int, Ballot], votes: Sequence[MemberVote]
    ) -> str | None:
        cancelled = sum(vote.status is MemberStatus.CANCELLED for vote in votes)
        if not cancelled:
            return None
        if len(ballots) + cancelled < self._election.quorum:
            return f"The quorum of {self._election.quorum} could not be reached any more."
        return "No answer still to come could change the outcome."


def _choices(ballots: Mapping[int, Ballot]) -> dict[int, Vote]:
    return {voter: ballot.choices for voter, ballot in ballots.items()}


def _short(value: object) -> str:
    """`value` as a reason shows it: on one line, and only its beginning if it is long."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    line = " ".join(text.split())
    return f"`{line}`" if len(line) <= _SHOWN else f"`{line[: _SHOWN - 1]}…`"
