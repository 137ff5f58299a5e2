"""Ask a model one question."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, TypedDict

import click
import msgspec

from lattice_lock.bootstrap import current_project, open_orchestrator
from lattice_lock.cli.amount import max_cost_option
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, note, printable
from lattice_lock.cli.progress import working
from lattice_lock.exceptions import InternalError, UsageError
from lattice_lock.messages import (
    DEFAULT_TIMEOUT_S,
    ChatRequest,
    FinishReason,
    Message,
    StreamEnd,
    TextDelta,
)
from lattice_lock.orchestrator.budget import Budget
from lattice_lock.orchestrator.completing import AUTO, Strategy
from lattice_lock.orchestrator.tasks import TaskType
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from decimal import Decimal

    from lattice_lock.messages import ChatResponse, StreamEvent

__all__ = ["command"]


class _Choice(TypedDict):
    """What was said about the choice of the model."""

    strategy: Strategy | None
    task_type: TaskType | None
    budget: Budget | None


_ANSWERED = {FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS}


@click.command("ask")
@click.argument("prompt")
@click.option(
    "--model",
    "-m",
    metavar="MODEL",
    help="The model to ask: PROVIDER/NAME, a name, or an alias; without it, one is chosen.",
)
@click.option(
    "--strategy",
    type=click.Choice([one.value for one in Strategy]),
    help="What counts most where a model is chosen.  [default: balanced]",
)
@click.option(
    "--task",
    "task_type",
    type=click.Choice([one.value for one in TaskType]),
    help="What the prompt is about; without it, that is found out.",
)
@max_cost_option("What the answer may cost at most.")
@click.option("--stream", is_flag=True, help="Print the answer as it is made.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Bound on the answer, in tokens.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    help="Seconds that the whole answer may take.",
)
@format_option
def command(
    *,
    prompt: str,
    model: str | None,
    strategy: str | None,
    task_type: str | None,
    max_cost_usd: Decimal | None,
    max_tokens: int | None,
    timeout_s: float,
    output_format: OutputFormat,
    stream: bool,
) -> ExitCode:
    """Ask a model one question and print its answer.

    Without --model, the one that suits the prompt is asked; `lattice-lock route` says why. With
    --stream and JSON each event is one line. Exits with 1 where the model refused.
    """
    if not prompt:
        raise UsageError("The prompt is empty.", hint="Write what the model is to do.")
    if model is not None and (strategy or task_type):
        raise UsageError(
            "`--strategy` and `--task` choose a model, and `--model` names one.",
            hint="Leave out `--model`, or both of the others.",
        )
    request = ChatRequest(
        model=AUTO,
        messages=(Message.user(prompt),),
        max_output_tokens=max_tokens,
        timeout_s=timeout_s,
    )
    choice = _Choice(
        strategy=Strategy(strategy) if strategy else None,
        task_type=TaskType(task_type) if task_type else None,
        budget=None if max_cost_usd is None else Budget(max_cost_usd),
    )
    stream_as = output_format if stream else None
    response = asyncio.run(_ask(Settings.load(), request, model, choice, stream_as))
    if not stream:
        emit(response, output_format, text=lambda: response.text)
    if model is None:
        note(f"{response.model} was chosen.")
    if response.finish_reason is not FinishReason.STOP:
        note(f"The model stopped for this reason: {response.finish_reason}.")
    return ExitCode.OK if response.finish_reason in _ANSWERED else ExitCode.FINDINGS


async def _ask(
    settings: Settings,
    request: ChatRequest,
    model: str | None,
    choice: _Choice,
    stream_as: OutputFormat | None,
) -> ChatResponse:
    async with open_orchestrator(settings, project=current_project()) as orchestrator:
        if model is not None:
            found = await orchestrator.find_model(model)
            request = msgspec.structs.replace(request, model=found)
        if stream_as is not None:
            return await _print_stream(orchestrator.stream(request, **choice), stream_as)
        with working(f"Asking {request.model if model is not None else 'a model'} ..."):
            return await orchestrator.complete(request, **choice)


async def _print_stream(
    stream: AsyncGenerator[StreamEvent, None], output_format: OutputFormat
) -> ChatResponse:
    try:
        async with aclosing(stream) as events:
            async for event in events:
                _print_event(event, output_format)
                if isinstance(event, StreamEnd):
                    return event.response
    finally:
        if output_format == "text":
            click.echo()  # an error message begins on a line of its own
    raise InternalError("A stream ended without its last event.")


def _print_event(event: StreamEvent, output_format: OutputFormat) -> None:
    if output_format == "json":
        click.echo(msgspec.json.encode(event))
    elif isinstance(event, TextDelta):
        click.echo(printable(event.text), nl=False)
