"""All members of a panel are asked at once, until all were heard or nothing can change any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.exceptions import InvalidResponseError, LatticeLockError, ProviderTimeoutError
from lattice_lock.messages import FinishReason, Message, Role, TextPart
from lattice_lock.orchestrator._answers import (
    canonical,
    find_label,
    normalised,
    read_json,
    read_ranking,
)
from lattice_lock.orchestrator._ballots import WHOLE
from lattice_lock.orchestrator._decision import Absence, Ballot, MemberStatus, MemberVote
from lattice_lock.orchestrator._judge import join_texts
from lattice_lock.orchestrator._panel import COUNTED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from typing import TypeAlias

    from lattice_lock.messages import ChatRequest, ChatResponse
    from lattice_lock.orchestrator._panel import ConsensusSettings, Member

    Complete: TypeAlias = Callable[[ChatRequest], Awaitable[ChatResponse]]
    Settled: TypeAlias = Callable[[Mapping[int, Ballot], Collection[int]], bool]

__all__ = ["Heard", "Poll", "instructed", "read_ballot", "timed_out"]

_WHOLE_ANSWER = frozenset({FinishReason.STOP, FinishReason.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Heard:
    """A member, and its ballot where it voted."""

    vote: MemberVote
    ballot: Ballot | None = None


class Poll:
    """One question to every member.

    Args:
        settled: told the ballots by voter and who is still waited for, says whether to stop.
        notify: called with each member that answered or failed, as it does.
    """

    def __init__(
        self,
        complete: Complete,
        members: Sequence[Member],
        settings: ConsensusSettings,
        *,
        settled: Settled,
        notify: Callable[[MemberVote], None] | None,
    ) -> None:
        self._complete = complete
        self._members = members
        self._settings = settings
        self._settled = settled
        self._notify = notify
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()

    async def take(self, request: ChatRequest) -> tuple[Heard, ...]:
        """Every member, in the order of the panel; none of their calls is left running."""
        until = self._begun + request.timeout_s
        heard: dict[int, Heard] = {}
        out_of_time = False
        async with asyncio.TaskGroup() as group:
            voters = {
                group.create_task(self._ask(member, request)): voter
                for voter, member in enumerate(self._members)
            }
            waiting = set(voters)
            while waiting and not out_of_time:
                ballots = {voter: one.ballot for voter, one in heard.items() if one.ballot}
                if self._settled(ballots, [voters[task] for task in waiting]):
                    break
                left_s = max(0.0, until - self._loop.time())
                done, waiting = await asyncio.wait(
                    waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
                )
                out_of_time = not done
                for task in sorted(done, key=voters.__getitem__):
                    if (one := _result(task)) is not None:
                        heard[voters[task]] = one
                        if self._notify is not None:
                            self._notify(one.vote)
            for task in waiting:
                task.cancel()
        stopped = timed_out(request) if out_of_time else None
        # One that answered while it was being cancelled has answered.
        return tuple(
            _result(task)
            or self._unheard(self._members[voter], stopped, waited_for=task in waiting)
            for task, voter in voters.items()
        )

    async def _ask(self, member: Member, request: ChatRequest) -> Heard:
        try:
            response = await self._complete(msgspec.structs.replace(request, model=member.model))
        except LatticeLockError as error:
            return Heard(self._vote(member, absence=Absence.of(error)))
        try:
            ballot = read_ballot(response, request, self._settings)
        except ValueError as error:
            absence = Absence(
                code=InvalidResponseError.code, reason=f"The answer does not count: {error}."
            )
            return Heard(self._vote(member, response, absence=absence))
        return Heard(self._vote(member, response, ballot=ballot), ballot)

    def _vote(
        self,
        member: Member,
        response: ChatResponse | None = None,
        *,
        ballot: Ballot | None = None,
        absence: Absence | None = None,
        status: MemberStatus | None = None,
    ) -> MemberVote:
        return MemberVote(
            model=member.model,
            weight=member.weight,
            status=status or (MemberStatus.ABSENT if ballot is None else MemberStatus.VOTED),
            vote=None if ballot is None else ballot.value,
            response=response,
            absence=absence,
            elapsed_ms=(self._loop.time() - self._begun) * 1000,
        )

    def _unheard(self, member: Member, stopped: Absence | None, *, waited_for: bool) -> Heard:
        """A member whose call was cancelled: by this poll, or from within."""
        if not waited_for:
            within = Absence(code=LatticeLockError.code, reason="Its call cancelled itself.")
            return Heard(self._vote(member, absence=within))
        if stopped is not None:
            return Heard(self._vote(member, absence=stopped))
        reason = "It was cancelled: its answer could not change the outcome any more."
        absence = Absence(code=LatticeLockError.code, reason=reason)
        return Heard(self._vote(member, absence=absence, status=MemberStatus.CANCELLED))


def _result(task: asyncio.Task[Heard]) -> Heard | None:
    """What `task` found out; None where it was cancelled or failed unexpectedly."""
    return None if task.cancelled() or task.exception() is not None else task.result()


def timed_out(request: ChatRequest) -> Absence:
    """The absence of who had not answered `request` in its time."""
    return Absence(
        code=ProviderTimeoutError.code,
        reason=f"There was no answer within {request.timeout_s:g} s.",
        hint="Give the panel more time.",
    )


def instructed(request: ChatRequest, settings: ConsensusSettings) -> ChatRequest:
    """The request, with how to answer where only some answers can be counted."""
    if not (names := settings.labels or settings.options):
        return request
    listed = ", ".join(msgspec.json.encode(name).decode() for name in names)
    if settings.labels:
        text = f"Answer with one of these labels and nothing else: {listed}."
    else:
        text = (
            f"Rank these options from best to worst: [{listed}]. Answer with a JSON array of them"
            " in your order and nothing else."
        )
    *before, last = request.messages
    if last.role is Role.USER:  # some providers refuse two messages of one role
        content = join_texts((*last.content, TextPart(text=f"\n\n{text}")))
        after = [msgspec.structs.replace(last, content=content)]
    else:
        after = [last, Message.user(text)]
    return msgspec.structs.replace(request, messages=(*before, *after))


def read_ballot(
    response: ChatResponse, request: ChatRequest, settings: ConsensusSettings
) -> Ballot:
    """What `response` votes for.

    Raises:
        ValueError: it votes for nothing; a clause that says why.
    """
    # A label may well stand in an answer that was cut off, because it comes first.
    cut_off_counts = bool(settings.labels) and response.finish_reason is FinishReason.LENGTH
    if response.finish_reason not in _WHOLE_ANSWER and not cut_off_counts:
        raise ValueError(f"the model stopped for the reason `{response.finish_reason}`")
    if settings.labels:
        label = find_label(response.text, settings.labels)
        return Ballot(label, {WHOLE: label})
    if settings.options:
        ranking = read_ranking(response.text, settings.options)
        return Ballot(ranking, {WHOLE: ranking[0]})
    if request.response_schema is None:
        if not (text := response.text.strip()):
            raise ValueError("it is empty")
        return Ballot(text, {WHOLE: normalised(text)})
    value, exact = read_json(response.text)
    schema = request.response_schema.schema
    if settings.rule not in COUNTED or not (
        schema.get("type") == "object" or "properties" in schema
    ):
        return Ballot(value, {WHOLE: canonical(exact)})
    if not isinstance(exact, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  # the answer is wrong, no argument
    return Ballot(value, {name: canonical(one) for name, one in exact.items()})
