"""Ask a model one question."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import click
import msgspec

from lattice_lock.bootstrap import open_clients
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, note, printable
from lattice_lock.cli.progress import working
from lattice_lock.exceptions import ConfigurationError, InternalError
from lattice_lock.messages import (
    DEFAULT_TIMEOUT_S,
    ChatRequest,
    FinishReason,
    Message,
    ModelId,
    StreamEnd,
    TextDelta,
)
from lattice_lock.providers.availability import ProviderAvailability
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from lattice_lock.messages import ChatResponse, StreamEvent
    from lattice_lock.providers.base_client import BaseAPIClient

__all__ = ["command"]

_ANSWERED = {FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS}


@click.command("ask")
@click.argument("prompt")
@click.option(
    "--model",
    "-m",
    metavar="PROVIDER/NAME",
    help="The model to ask; without it, the first that `lattice-lock models list` shows.",
)
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
    prompt: str,
    model: str | None,
    max_tokens: int | None,
    timeout_s: float,
    output_format: OutputFormat,
    *,
    stream: bool,
) -> ExitCode:
    """Ask a model one question and print its answer.

    With --stream and JSON each event is one line. Exits with 1 where the model refused.
    """
    settings = Settings.load()
    request = ChatRequest(
        model=ModelId.parse(model) if model is not None else asyncio.run(_first_model(settings)),
        messages=(Message.user(prompt),),
        max_output_tokens=max_tokens,
        timeout_s=timeout_s,
    )
    response = asyncio.run(_ask(settings, request, output_format if stream else None))
    if not stream:
        emit(response, output_format, text=lambda: response.text)
    if response.finish_reason is not FinishReason.STOP:
        note(f"The model stopped for this reason: {response.finish_reason}.")
    return ExitCode.OK if response.finish_reason in _ANSWERED else ExitCode.FINDINGS


async def _first_model(settings: Settings) -> ModelId:
    for status in await ProviderAvailability(settings).all():
        if status.models:
            return status.models[0]
    raise ConfigurationError(
        "No model can be asked on this machine.",
        hint="Run `lattice-lock models pull embedded`, or `lattice-lock doctor` to see what lacks.",
    )


async def _ask(
    settings: Settings, request: ChatRequest, stream_as: OutputFormat | None
) -> ChatResponse:
    provider = request.model.provider
    async with open_clients(settings, [provider]) as clients:
        if stream_as is not None:
            return await _print_stream(clients[provider], request, stream_as)
        with working(f"Asking {request.model} ..."):
            return await clients[provider].chat_completion(request)


async def _print_stream(
    client: BaseAPIClient, request: ChatRequest, output_format: OutputFormat
) -> ChatResponse:
    try:
        async with aclosing(client.stream(request)) as events:
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
