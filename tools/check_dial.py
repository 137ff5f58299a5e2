"""Run the provider `dial` against a server made with EPAM's own SDK, in an environment of its own.

`make conformance` installs that SDK into `build/dial` and runs this. What the server takes and
answers is EPAM's code; only the application behind it, which echoes, is ours.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lattice_lock.bootstrap import open_clients
from lattice_lock.exceptions import (
    LatticeLockError,
    ModelNotAvailableError,
    RateLimitError,
)
from lattice_lock.messages import (
    ChatRequest,
    FinishReason,
    Message,
    ModelId,
    Role,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolDefinition,
    ToolResult,
)
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from lattice_lock.providers.base_client import BaseAPIClient

ROOT = Path(__file__).resolve().parent.parent
_PYTHON = ROOT / "build" / "dial" / "bin" / "python"
_WEATHER = ToolDefinition(name="weather", parameters={"type": "object", "properties": {}})

# Runs in the other environment: echoes the last message, calls a tool if there is one.
_SERVER = """
import socket, uvicorn
from aidial_sdk import DIALApp, HTTPException
from aidial_sdk.chat_completion import ChatCompletion

class Echo(ChatCompletion):
    async def chat_completion(self, request, response):
        last = request.messages[-1]
        if last.content == "be slow":
            raise HTTPException(
                status_code=429, message="rate", type="rate_limit", display_message="Wait a moment."
            )
        with response.create_single_choice() as choice:
            if request.tools and last.role == "user":
                call = choice.create_function_tool_call("call-1", "weather")
                call.append_arguments("{}")
            else:
                with choice.create_stage("thinking") as stage:
                    stage.append_content("a stage")
                choice.add_attachment(type="text/markdown", title="note", data="attached")
                for word in ("echo: ", str(last.content)):
                    choice.append_content(word)
        response.set_usage(3, 2)

app = DIALApp()
app.add_chat_completion("echo", Echo())
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])
"""


@contextmanager
def _serving() -> Iterator[str]:
    with subprocess.Popen(
        [str(_PYTHON), "-c", _SERVER], stdout=subprocess.PIPE, text=True
    ) as server:
        port = server.stdout.readline().strip() if server.stdout else ""
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _ask(*messages: Message, model: str = "echo", tools: bool = False) -> ChatRequest:
    return ChatRequest(
        model=ModelId(provider="dial", name=model),
        messages=messages or (Message.user("hello"),),
        tools=(_WEATHER,) if tools else (),
        temperature=0.5,
        max_output_tokens=50,
    )


async def _whole(client: BaseAPIClient) -> None:
    answer = await client.chat_completion(_ask())
    _same(answer.text, "echo: hello")
    _same(answer.finish_reason, FinishReason.STOP)
    _same(answer.usage and (answer.usage.input_tokens, answer.usage.output_tokens), (3, 2))


async def _streamed(client: BaseAPIClient) -> None:
    async with aclosing(client.stream(_ask())) as stream:
        *deltas, end = [event async for event in stream]
    text = "".join(event.text for event in deltas if isinstance(event, TextDelta))
    _same(text, "echo: hello")
    _same(isinstance(end, StreamEnd) and end.response.text, text)


async def _custom_content(client: BaseAPIClient) -> None:
    whole = (await client.chat_completion(_ask())).message
    async with aclosing(client.stream(_ask())) as stream:
        end = [event async for event in stream][-1]
    for message in (whole, end.response.message if isinstance(end, StreamEnd) else whole):
        kept = repr(message)
        _same(("attached" in kept, "a stage" in kept), (True, True))
    # What is kept goes back to the server, which takes it.
    after = await client.chat_completion(_ask(Message.user("x"), whole, Message.user("again")))
    _same(after.text, "echo: again")


async def _tools(client: BaseAPIClient) -> None:
    asked = _ask(tools=True)
    answer = await client.chat_completion(asked)
    _same([(call.name, call.arguments) for call in answer.tool_calls], [("weather", {})])
    async with aclosing(client.stream(asked)) as stream:
        deltas = [event async for event in stream if isinstance(event, ToolCallDelta)]
    _same("".join(delta.arguments for delta in deltas), "{}")
    result = ToolResult(call_id="call-1", name="weather", content=(TextPart(text="rain"),))
    history = (*asked.messages, answer.message, Message(role=Role.TOOL, content=(result,)))
    _same((await client.chat_completion(_ask(*history, tools=True))).text, "echo: rain")


async def _errors(client: BaseAPIClient) -> None:
    await _fails(client, _ask(model="nowhere"), ModelNotAvailableError)
    error = await _fails(client, _ask(Message.user("be slow")), RateLimitError)
    _same("Wait a moment." in str(error), wanted=True)


async def _fails(
    client: BaseAPIClient, request: ChatRequest, kind: type[LatticeLockError]
) -> LatticeLockError:
    try:
        await client.chat_completion(request)
    except LatticeLockError as error:
        _same(type(error), kind)
        return error
    raise SystemExit(f"{kind.__name__} was expected")


def _same(found: object, wanted: object) -> None:
    if found != wanted:
        raise ValueError(f"{found!r} in place of {wanted!r}")


_CHECKS: dict[str, Callable[[BaseAPIClient], Awaitable[None]]] = {
    "a whole answer": _whole,
    "a streamed answer": _streamed,
    "stages and attachments, kept and sent back": _custom_content,
    "tools, whole and streamed, and their result": _tools,
    "errors": _errors,
}


async def _run(address: str) -> int:
    environment = {"DIAL_URL": address, "DIAL_API_KEY": "k"}
    settings = await asyncio.to_thread(Settings.load, environment=environment)
    failed = 0
    async with open_clients(settings, ["dial"]) as clients:
        for name, check in _CHECKS.items():
            try:
                await check(clients["dial"])
            except (LatticeLockError, ValueError, TypeError) as error:
                failed += 1
                print(f"FAILED  {name}: {type(error).__name__}: {error}")
            else:
                print(f"ok      {name}")
    return failed


def main() -> int:
    """Print a line for each check; 1 when one failed, 2 where the SDK is not installed."""
    if not _PYTHON.is_file():
        print("EPAM's SDK is not installed: run `make conformance`.", file=sys.stderr)
        return 2
    with _serving() as address:
        return 1 if asyncio.run(_run(address)) else 0


if __name__ == "__main__":
    sys.exit(main())
