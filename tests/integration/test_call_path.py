"""The whole call path against real servers and a real model, and what it leaves behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import BlockingError

from embedded_model import embedded_settings
from lattice_lock.exceptions import (
    AllProvidersFailedError,
    APIClientError,
    AuthenticationError,
    ContextLengthError,
    ProviderConnectionError,
)
from lattice_lock.messages import (
    ChatRequest,
    FinishReason,
    Message,
    ModelId,
    ReasoningDelta,
    ResponseSchema,
    StreamEnd,
    TextDelta,
)
from lattice_lock.providers.availability import ProviderAvailability
from lattice_lock.providers.embedded import EmbeddedClient
from lattice_lock.providers.embedded_models import BUILT_IN_MODEL
from lattice_lock.providers.fallback import FallbackManager
from lattice_lock.providers.local import LocalClient
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings
from wire_server import (
    QUICK,
    Wire,
    answer,
    ask,
    client_of,
    delta,
    event,
    events,
    serving,
    whole,
)

if TYPE_CHECKING:
    from pathlib import Path

    from wire_server import Step

LOCAL = ModelId(provider="local", name="smollm2")
DONE = "data: [DONE]\n\n"


def short(**changes: Any) -> ChatRequest:
    """A short, repeatable request."""
    fields: dict[str, Any] = {
        "model": LOCAL,
        "messages": (Message.user("Say hello."),),
        "max_output_tokens": 8,
        "temperature": 0.0,
        "seed": 1,
    }
    return ChatRequest(**(fields | changes))


@pytest.mark.embedded
async def test_a_real_llama_cpp_server_answers(llama_server: str) -> None:
    """Whole and streamed answers of a real server agree, with usage, finish and models."""
    async with client_of(llama_server, LATTICE_LOCK_LOCAL_API_KEY="local-key") as client:
        assert len(await client.list_models()) == 1
        response = await client.chat_completion(short())
        async with aclosing(client.stream(short())) as stream:
            seen = [item async for item in stream]
    end = seen[-1]
    assert isinstance(end, StreamEnd)
    assert (
        end.response.text
        == response.text
        == "".join(item.text for item in seen if isinstance(item, TextDelta))
    )
    assert response.usage is not None
    assert response.usage.output_tokens > 0
    assert response.finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
    assert not [item for item in seen if isinstance(item, ReasoningDelta)]


@pytest.mark.embedded
async def test_a_real_server_follows_a_schema(llama_server: str) -> None:
    """A structured answer of a real server is JSON of that form."""
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    wanted = ResponseSchema(name="verdict", schema=schema)
    async with client_of(llama_server, LATTICE_LOCK_LOCAL_API_KEY="local-key") as client:
        response = await client.chat_completion(short(response_schema=wanted, max_output_tokens=40))
    assert response.text.replace(" ", "").replace("\n", "") in {'{"ok":true}', '{"ok":false}'}


@pytest.mark.embedded
async def test_a_real_servers_errors_are_mapped(llama_server: str) -> None:
    """A too long prompt and a wrong key of a real server are what they are, each sent once."""
    async with client_of(llama_server, LATTICE_LOCK_LOCAL_API_KEY="local-key") as client:
        with pytest.raises(ContextLengthError) as caught:
            await client.chat_completion(short(messages=(Message.user("hello " * 600),)))
        assert caught.value.attempt == 1
    async with client_of(llama_server, LATTICE_LOCK_LOCAL_API_KEY="wrong-key") as client:
        with pytest.raises(AuthenticationError) as refused:
            await client.chat_completion(short())
    assert (refused.value.status, refused.value.attempt) == (401, 1)


@pytest.mark.embedded
async def test_a_cancelled_stream_frees_the_real_server(llama_server: str) -> None:
    """The only slot of the server is free again soon after a long stream was closed."""
    async with client_of(llama_server, LATTICE_LOCK_LOCAL_API_KEY="local-key") as client:
        stream = client.stream(short(max_output_tokens=450, seed=3, temperature=2.0))
        await anext(stream)
        await stream.aclose()
        response = await client.chat_completion(short(max_output_tokens=2))
    assert response.attempts == 1


@pytest.mark.embedded
async def test_a_dead_server_falls_back_to_the_embedded_model(embedded_data_dir: Path) -> None:
    """With nothing listening, the embedded model answers and says that it did."""
    settings = embedded_settings(embedded_data_dir, LATTICE_LOCK_LOCAL_URL="http://127.0.0.1:1/v1")
    looker = ProviderAvailability(settings)
    assert not (await looker.status("local")).available
    assert (await looker.status("embedded")).models == (BUILT_IN_MODEL,)
    async with Transport(settings) as transport:
        embedded = EmbeddedClient(settings, transport)
        clients = {"local": LocalClient(settings, transport, retry=QUICK), "embedded": embedded}
        manager = FallbackManager(clients)
        try:
            response = await manager.chat_completion(short(), [LOCAL, BUILT_IN_MODEL])
            async with aclosing(manager.stream(short(), [LOCAL, BUILT_IN_MODEL])) as stream:
                seen = [item async for item in stream]
        finally:
            await embedded.aclose()
        with pytest.raises(AllProvidersFailedError) as caught:
            await manager.chat_completion(short(), [LOCAL])
    assert response.model == BUILT_IN_MODEL
    assert isinstance(seen[-1], StreamEnd)
    assert isinstance(caught.value.exceptions[0], ProviderConnectionError)


async def _silent(wire: Wire) -> None:
    await wire.until_hung_up()


async def _silent_after_head(wire: Wire) -> None:
    await wire.head(kind="text/event-stream")
    await wire.until_hung_up()


async def _silent_in_text(wire: Wire) -> None:
    await wire.head(kind="text/event-stream")
    await wire.send(delta("a"))
    await wire.until_hung_up()


async def _reset(wire: Wire) -> None:
    wire.reset()


_FAULTS: list[Step] = [
    answer({"error": "no"}, 401),
    answer({}, 500),
    answer({"choices": []}),
    _reset,
    events(delta("a")),
    events(delta("a"), "data: {garbage\n\n"),
    events(delta("a"), event(error={"message": "m"})),
    answer(whole()),
    events(delta("a"), delta(finish="stop"), DONE),
]


def _held() -> tuple[int, int]:
    """Descriptors and tasks of this process."""
    return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())  # noqa: PTH208  # counts


async def test_failed_calls_leave_nothing_behind() -> None:
    """After hundreds of failed calls of every kind, descriptors and tasks are what they were."""
    steps = itertools.cycle(_FAULTS)

    async def next_fault(wire: Wire) -> object:
        return await next(steps)(wire)

    before = _held()
    async with serving(next_fault) as server, client_of(server.url) as client:

        async def call(number: int) -> None:
            try:
                if number % 2:
                    await client.chat_completion(ask())
                else:
                    async with aclosing(client.stream(ask())) as stream:
                        async for _ in stream:
                            pass
            except APIClientError:
                return

        for start in range(0, 400, 40):
            await asyncio.gather(*(call(start + number) for number in range(40)))
        assert len(server.requests) >= 400
    await _settled(before)


@pytest.mark.parametrize("step", [_silent, _silent_after_head, _silent_in_text])
async def test_cancelled_calls_leave_nothing_behind(step: Step) -> None:
    """After hundreds of calls that were cancelled in one phase, nothing is held."""
    before = _held()
    async with serving(step) as server, client_of(server.url) as client:

        async def read_on() -> None:
            async with aclosing(client.stream(ask())) as stream:
                async for _ in stream:
                    pass

        for _ in range(4):
            tasks = [asyncio.create_task(read_on()) for _ in range(25)]
            tasks += [asyncio.create_task(_whole(client)) for _ in range(25)]
            seen = len(server.requests)
            while len(server.requests) < seen + 50:  # noqa: ASYNC110  # a server has no event for it
                await asyncio.sleep(0.001)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)
    await _settled(before)


async def _whole(client: LocalClient) -> None:
    await client.chat_completion(ask())


async def _settled(before: tuple[int, int]) -> None:
    """Wait until what is held is what was held before; closing a socket takes a turn or two."""
    async with asyncio.timeout(5):
        while _held() != before:  # noqa: ASYNC110  # the kernel has no event for it
            await asyncio.sleep(0.001)


def test_importing_one_provider_imports_no_other() -> None:
    """The call path of a provider costs nothing for those that are not used."""
    code = (
        "import sys, lattice_lock.providers.local\n"
        "print(sorted(m for m in sys.modules if m.startswith('lattice_lock.providers.')"
        " and ('embedded' in m or 'availability' in m or 'fallback' in m)),"
        " [m for m in ('pydantic', 'rich', 'click', 'xllamacpp', 'hypothesis')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    """A `.env` file."""
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    return path


async def test_blocking_is_caught(dotenv: Path) -> None:
    """The guard that all these tests run under sees a blocking read of ours."""
    with pytest.raises(BlockingError):
        Settings.load(dotenv=dotenv)
