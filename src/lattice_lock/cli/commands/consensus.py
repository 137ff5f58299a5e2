"""Ask several models the same and decide by their votes."""

from __future__ import annotations

import asyncio
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import click

from lattice_lock.bootstrap import open_orchestrator
from lattice_lock.cli.amount import max_cost_option
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, format_table
from lattice_lock.cli.progress import working
from lattice_lock.exceptions import UsageError
from lattice_lock.messages import DEFAULT_TIMEOUT_S, ChatRequest, Message
from lattice_lock.orchestrator.budget import Budget
from lattice_lock.orchestrator.completing import AUTO
from lattice_lock.orchestrator.consensus import (
    ConsensusEngine,
    ConsensusSettings,
    Member,
    MemberStatus,
    VotingRule,
    choose_panel,
)
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lattice_lock.orchestrator.consensus import Decision, JudgeVote, MemberVote
    from lattice_lock.orchestrator.orchestrator import ModelOrchestrator

__all__ = ["command"]

_MEMBERS = 3
_SHOWN = 60  # characters of an answer in the table


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


@click.command("consensus")
@click.argument("prompt")
@click.option(
    "--panel",
    "-p",
    "panel",
    multiple=True,
    metavar="MODEL[=WEIGHT]",
    help="Ask this model; repeat it, or divide several by commas. Without it, the best model of"
    " each provider is asked.",
)
@click.option(
    "--members",
    type=click.IntRange(min=2),
    metavar="N",
    help=f"How many are asked where no --panel names them.  [default: {_MEMBERS}]",
)
@click.option(
    "--strategy",
    type=click.Choice([one.value for one in VotingRule]),
    help="How votes become a decision. Without it: judge, ranked-choice or weighted where --judge,"
    " --option or a weight is given, and majority otherwise.",
)
@click.option("--judge", metavar="MODEL", help="Let this model choose the best answer.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="TEXT",
    help="Vote on labels, and this is one of them; give at least two.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="TEXT",
    help="Have options ranked, and this is one of them; give at least two.",
)
@click.option(
    "--quorum",
    type=click.IntRange(min=1),
    metavar="N",
    help="Members that have to vote. Without it more than half; if unanimous, all.",
)
@click.option("--hear-all", is_flag=True, help="Wait also for those who can change nothing.")
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Bound on each answer, in tokens.",
)
@max_cost_option("Bound on the whole panel, the judge included.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    help="Seconds that the whole panel may take.",
)
@format_option
def command(
    *,
    prompt: str,
    panel: tuple[str, ...],
    members: int | None,
    strategy: str | None,
    judge: str | None,
    labels: tuple[str, ...],
    options: tuple[str, ...],
    quorum: int | None,
    max_tokens: int | None,
    max_cost_usd: Decimal | None,
    timeout_s: float,
    output_format: OutputFormat,
    hear_all: bool,
) -> ExitCode:
    """Ask several models the same and decide by their votes.

    Exits with 1 where they come to no decision: too few answered, or they disagree.
    """
    if not prompt.strip():
        raise UsageError("The prompt is empty.", hint="Write what the models are to answer.")
    if panel and members is not None:
        raise UsageError("`--members` says how many to choose, and `--panel` names them.")
    weights = _weights(panel)
    rule = _rule(strategy, judge, options, weights)
    settings = Settings.load()
    request = ChatRequest(
        model=AUTO,
        messages=(Message.user(prompt),),
        max_output_tokens=max_tokens,
        timeout_s=timeout_s,
    )

    async def decide() -> Decision:
        async with open_orchestrator(settings) as orchestrator:
            seats = await _panel(orchestrator, request, weights, members or _MEMBERS)
            consensus = ConsensusSettings(
                rule=rule,
                labels=labels,
                options=options,
                judge=await orchestrator.find_model(judge) if judge is not None else None,
                quorum=quorum,
                stop_early=not hear_all,
            )
            budget = Budget(max_cost_usd, name="panel") if max_cost_usd is not None else None
            with working(f"Asking {', '.join(str(seat.model) for seat in seats)} ...") as say:
                return await ConsensusEngine(orchestrator).decide(
                    request,
                    seats,
                    consensus,
                    budget=budget,
                    notify=lambda vote: say(f"{vote.model}: {vote.status}"),
                )

    decision = asyncio.run(decide())
    emit(decision, output_format, text=lambda: _text(decision))
    return ExitCode.OK if decision.decided else ExitCode.FINDINGS


def _weights(panel: Sequence[str]) -> list[tuple[str, Decimal]]:
    """Each name of a panel, and its weight."""
    weights = []
    for seat in (seat.strip() for one in panel for seat in one.split(",")):
        if not seat:
            raise UsageError("A name in `--panel` is empty.", hint="Divide names by one comma.")
        name, equals, text = seat.rpartition("=")
        weight = _decimal(text) if equals else Decimal(1)
        if weight is None:
            raise UsageError(
                f"`{seat}`: `{text}` is no weight.", hint="Write `MODEL=WEIGHT`, such as `a/b=2`."
            )
        weights.append((name if equals else seat, weight))
    return weights


def _rule(
    strategy: str | None,
    judge: str | None,
    options: Sequence[str],
    weights: Sequence[tuple[str, Decimal]],
) -> VotingRule:
    if strategy is not None:
        return VotingRule(strategy)
    if judge is not None:
        return VotingRule.JUDGE
    if options:
        return VotingRule.RANKED_CHOICE
    weighted = any(weight != 1 for _, weight in weights)
    return VotingRule.WEIGHTED if weighted else VotingRule.MAJORITY


async def _panel(
    orchestrator: ModelOrchestrator,
    request: ChatRequest,
    weights: Sequence[tuple[str, Decimal]],
    size: int,
) -> tuple[Member, ...]:
    if weights:
        return tuple(
            [
                Member(model=await orchestrator.find_model(name), weight=weight)
                for name, weight in weights
            ]
        )
    _, ranking = await orchestrator.rank(request)
    chosen = choose_panel([one.model for one in ranking.ranked], size)
    return tuple(Member(model=model) for model in chosen)


def _text(decision: Decision) -> str:
    return "\n\n".join(_paragraphs(decision))


def _paragraphs(decision: Decision) -> Iterator[str]:
    rows = [_row(vote) for vote in decision.votes]
    if decision.judge is not None:
        rows.append(_judge_row(decision.judge))
    yield format_table(("model", "vote", "seconds", "cost $"), rows)
    yield f"{'Decided' if decision.decided else 'Not decided'}: {decision.reason}"
    if decision.decided:
        yield str(decision.answer)
    for one in decision.dissent:
        yield f"{one.model} dissents:\n{one.answer}"
    if decision.stopped_early is not None:
        yield f"Stopped early: {decision.stopped_early}"
    cost = "an unknown amount" if decision.cost_usd is None else f"{decision.cost_usd:f} USD"
    yield f"The answers cost {cost}."


def _row(vote: MemberVote) -> tuple[object, ...]:
    said = _said(vote.vote) if vote.status is MemberStatus.VOTED else str(vote.status)
    if vote.status is MemberStatus.ABSENT and vote.absence is not None:
        said = " ".join(filter(None, ("absent:", vote.absence.reason, vote.absence.hint)))
    return vote.model, said, _seconds(vote.elapsed_ms), vote.cost_usd


def _judge_row(judge: JudgeVote) -> tuple[object, ...]:
    said = f"chose {judge.chosen}" if judge.chosen is not None else "chose none"
    cost = judge.response.cost_usd if judge.response is not None else None
    return f"{judge.model} (judge)", said, _seconds(judge.elapsed_ms), cost


def _seconds(elapsed_ms: float) -> str:
    return f"{elapsed_ms / 1000:.1f}"


def _said(vote: object) -> str:
    """A vote on one line, and only its beginning if it is long."""
    text = " > ".join(vote) if isinstance(vote, tuple) else str(vote)
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
