"""The embedded provider with a real model in a real process."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from embedded_model import embedded_settings
from lattice_lock.errors.retry import RetryPolicy
from lattice_lock.exceptions import (
    APIClientError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotAvailableError,
    ProviderConnectionError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from lattice_lock.messages import (
    ChatRequest,
    FinishReason,
    ImagePart,
    Message,
    ModelId,
    ResponseSchema,
    Role,
    StreamEnd,
    TextDelta,
)
from lattice_lock.providers.embedded import EmbeddedClient
from lattice_lock.providers.embedded_models import BUILT_IN_MODEL, find_embedded_model
from lattice_lock.providers.transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.embedded

ONCE = RetryPolicy(max_attempts=1)
WORKER = b"_embedded_worker.py"
CANARY = "canary-91d4"


@asynccontextmanager
async def client_in(
    data_dir: Path, *, retry: RetryPolicy = ONCE, **environment: str
) -> AsyncIterator[EmbeddedClient]:
    """A client with the models of `data_dir`."""
    settings = embedded_settings(data_dir, **environment)
    async with Transport(settings) as transport:
        client = EmbeddedClient(settings, transport, retry=retry)
        try:
            yield client
        finally:
            await client.aclose()


def ask(text: str = "Say hello.", **changes: Any) -> ChatRequest:
    """A short, repeatable request to the built-in model."""
    fields: dict[str, Any] = {
        "model": BUILT_IN_MODEL,
        "messages": (Message.user(text),),
        "max_output_tokens": 8,
        "temperature": 0.0,
        "seed": 1,
    }
    return ChatRequest(**(fields | changes))


def workers(parent: int | None = None) -> list[int]:
    """The worker processes that `parent`, by default this process, has started."""
    line = f"\nPPid:\t{parent or os.getpid()}\n".encode()
    return [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit()
        and WORKER in read(process / "cmdline")
        and line in read(process / "status")
    ]


def read(path: Path) -> bytes:
    """What a file holds; nothing where it has just gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def to_its_end(stream: AsyncIterator[object]) -> None:
    """Read a stream until it ends or fails."""
    async for _ in stream:
        pass


async def test_whole_and_streamed_answers_agree(embedded_data_dir: Path) -> None:
    """The same seed gives the same text both ways, with usage, at no cost, from one process."""
    async with client_in(embedded_data_dir) as client:
        whole = await client.chat_completion(ask())
        async with aclosing(client.stream(ask())) as stream:
            events = [event async for event in stream]
        assert len(workers()) == 1
    end = events[-1]
    assert isinstance(end, StreamEnd)
    assert (
        end.response.text
        == whole.text
        == "".join(event.text for event in events if isinstance(event, TextDelta))
    )
    assert whole.text.strip()
    assert whole.usage is not None
    assert whole.usage.input_tokens > 5
    assert 0 < whole.usage.output_tokens <= 8
    assert whole.finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
    assert (whole.cost_usd, whole.served_model) == (Decimal(0), BUILT_IN_MODEL.name)


async def test_first_use_by_many_starts_one_process(embedded_data_dir: Path) -> None:
    """Callers that arrive together share one loading; one who leaves does not stop it."""
    async with client_in(embedded_data_dir) as client:
        calls = [asyncio.create_task(client.chat_completion(ask(seed=n))) for n in range(8)]
        await asyncio.sleep(0)
        calls[0].cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert not [answer for answer in answers[1:] if isinstance(answer, BaseException)]
        assert len(workers()) == 1
    assert not workers()


@pytest.mark.parametrize("phase", ["while it reads the prompt", "while it writes"])
async def test_cancelling_stops_the_generation(embedded_data_dir: Path, phase: str) -> None:
    """The process stops the work nobody wants at once, and keeps the loaded model."""
    long = ask("Tell me a very long story.", max_output_tokens=4000)
    if phase == "while it reads the prompt":
        long = ask("story " * 3500, max_output_tokens=100)
    async with client_in(embedded_data_dir) as client:
        await client.chat_completion(ask())
        before = workers()
        stream = client.stream(long)
        first = asyncio.ensure_future(anext(stream))
        if phase == "while it writes":
            await first
        else:
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
        await stream.aclose()
        started = asyncio.get_running_loop().time()
        await client.chat_completion(ask())
        took = asyncio.get_running_loop().time() - started
        assert workers() == before
    # The whole of either request takes more than ten seconds on the machine this was written on.
    assert took < 6.0


async def test_a_deadline_ends_the_wait_and_not_the_process(embedded_data_dir: Path) -> None:
    """A call that runs out of time fails, the next one is served by the same process."""
    async with client_in(embedded_data_dir) as client:
        await client.chat_completion(ask())
        before = workers()
        with pytest.raises(ProviderTimeoutError):
            await client.chat_completion(ask("Count.", max_output_tokens=4000, timeout_s=0.3))
        assert (await client.chat_completion(ask())).text
        assert workers() == before


async def test_a_killed_process_is_an_error_and_comes_back(embedded_data_dir: Path) -> None:
    """Death in mid-sentence raises with its cause; the next call works again."""
    async with client_in(embedded_data_dir) as client:
        stream = client.stream(ask("Tell a story.", max_output_tokens=4000))
        assert isinstance(await anext(stream), TextDelta)
        (pid,) = workers()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ProviderConnectionError, match="SIGKILL"):
            await to_its_end(stream)
        assert (await client.chat_completion(ask())).text
        assert workers() != [pid]


async def test_a_process_killed_between_calls_is_started_anew(embedded_data_dir: Path) -> None:
    """A call after a silent death succeeds, by retry if it comes too early to know."""
    async with client_in(embedded_data_dir, retry=RetryPolicy(base_s=0.001)) as client:
        await client.chat_completion(ask())
        (pid,) = workers()
        os.kill(pid, signal.SIGKILL)
        assert (await client.chat_completion(ask())).text


@pytest.mark.parametrize("content", [b"", b"GGUF" + b"\xff" * 4096, b"not a model at all" * 99])
async def test_a_broken_file_is_a_model_that_is_not_available(
    tmp_path: Path, content: bytes
) -> None:
    """A file that llama.cpp cannot load is reported once, by name, and leaves no process."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(content)
    model = ModelId(provider="embedded", name="broken")
    async with client_in(
        tmp_path,
        retry=RetryPolicy(base_s=0.001),
        LATTICE_LOCK_EMBEDDED_MODELS=f"broken={broken}",
    ) as client:
        with pytest.raises(ModelNotAvailableError, match="embedded/broken") as caught:
            await client.chat_completion(ask(model=model))
        assert caught.value.attempt == 1
        assert not workers()


@pytest.fixture
def half(tmp_path: Path, embedded_data_dir: Path) -> Path:
    """The first half of a good model file."""
    good = find_embedded_model(embedded_settings(embedded_data_dir), BUILT_IN_MODEL).path
    path = tmp_path / "half.gguf"
    path.write_bytes(good.read_bytes()[: 50 * 1024 * 1024])
    return path


async def test_a_file_cut_in_half_never_answers(tmp_path: Path, half: Path) -> None:
    """An interrupted copy of a good model is an error of that model, whatever llama.cpp does."""
    async with client_in(tmp_path, LATTICE_LOCK_EMBEDDED_MODELS=f"half={half}") as client:
        with pytest.raises((ModelNotAvailableError, ProviderConnectionError)) as caught:
            await client.chat_completion(ask(model=ModelId(provider="embedded", name="half")))
        assert caught.value.model == "half"
        assert not workers()


async def test_closing_while_loading_leaves_no_process(embedded_data_dir: Path) -> None:
    """A client closed in the middle of a first use ends the process and the call."""
    async with client_in(embedded_data_dir) as client:
        call = asyncio.create_task(client.chat_completion(ask()))
        while not workers():  # noqa: ASYNC110  # nothing announces a process
            await asyncio.sleep(0.01)
    with pytest.raises((asyncio.CancelledError, APIClientError)):
        await call
    assert not workers()


async def test_closing_gives_everything_back(embedded_data_dir: Path) -> None:
    """After several clients, descriptors and tasks are what they were."""
    async with client_in(embedded_data_dir) as client:
        await client.chat_completion(ask())
    before = descriptors(), len(asyncio.all_tasks())
    for _ in range(3):
        async with client_in(embedded_data_dir) as client:
            stream = client.stream(ask(max_output_tokens=500))
            await anext(stream)
            await stream.aclose()
    assert (descriptors(), len(asyncio.all_tasks())) == before


def test_the_worker_dies_with_its_parent(embedded_data_dir: Path) -> None:
    """A parent that is killed while the model writes takes the worker with it."""
    code = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from lattice_lock.settings import Settings\n"
        "from lattice_lock.messages import ChatRequest, Message\n"
        "from lattice_lock.providers.embedded import EmbeddedClient\n"
        "from lattice_lock.providers.embedded_models import BUILT_IN_MODEL\n"
        "from lattice_lock.providers.transport import Transport\n"
        "async def main():\n"
        "    settings = Settings.load()\n"
        "    client = EmbeddedClient(settings, Transport(settings))\n"
        "    request = ChatRequest(model=BUILT_IN_MODEL, messages=(Message.user('Story'),),\n"
        "                          max_output_tokens=4000)\n"
        "    async for event in client.stream(request):\n"
        "        print('writing', flush=True)\n"
        "asyncio.run(main())\n"
    )
    environment = os.environ | {"LATTICE_LOCK_DATA_DIR": str(embedded_data_dir)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "writing\n"
        (pid,) = workers(parent.pid)
        handle = os.pidfd_open(pid)
        try:
            parent.kill()
            assert select.select([handle], [], [], 10.0)[0], "the worker outlived its parent"
        finally:
            os.close(handle)


async def test_nobody_else_can_reach_the_model(embedded_data_dir: Path) -> None:
    """llama.cpp's own HTTP listener is bound to no port and to no name."""
    async with client_in(embedded_data_dir) as client:
        await client.chat_completion(ask())
        (pid,) = workers()
        sockets = _sockets_of(pid)
        assert sockets, "the test would see nothing"
        assert not sockets & (_listed(pid, "tcp") | _listed(pid, "tcp6"))
        assert not _names_of(pid, sockets)


def _sockets_of(pid: int) -> set[str]:
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def _listed(pid: int, table: str) -> set[str]:
    lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    return {line.split()[9] for line in lines}


def _names_of(pid: int, sockets: set[str]) -> list[str]:
    """Where in the file system the unix sockets can be found."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()]
    return [row[7] for row in rows if row[6] in sockets and len(row) > 7 and Path(row[7]).exists()]


async def test_the_worker_knows_no_key(
    embedded_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys in our environment are not in the worker's."""
    monkeypatch.setenv("XAI_API_KEY", CANARY)
    monkeypatch.setenv("LLAMA_API_KEY", CANARY)
    async with client_in(embedded_data_dir) as client:
        await client.chat_completion(ask())
        (pid,) = workers()
        environment = read(Path(f"/proc/{pid}/environ"))
    assert b"PATH=" in environment
    assert CANARY.encode() not in environment


async def test_a_prompt_beyond_the_window_is_refused(embedded_data_dir: Path) -> None:
    """A too long prompt is a context error that names the variable, and is not retried."""
    async with client_in(embedded_data_dir, LATTICE_LOCK_EMBEDDED_CONTEXT_TOKENS="256") as client:
        with pytest.raises(ContextLengthError, match="LATTICE_LOCK_EMBEDDED_CONTEXT_TOKENS"):
            await client.chat_completion(ask("hello " * 300))


async def test_an_answer_follows_its_schema(embedded_data_dir: Path) -> None:
    """A JSON Schema binds even a small model."""
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    async with client_in(embedded_data_dir) as client:
        answer = await client.chat_completion(
            ask(
                "Which colour is the sky?",
                max_output_tokens=60,
                response_schema=ResponseSchema(name="sky", schema=schema),
            )
        )
    assert json.loads(answer.text)["colour"] in {"red", "blue"}


async def test_a_picture_is_refused_before_anything_starts(embedded_data_dir: Path) -> None:
    """What the models here cannot see is an error and no process."""
    picture = ImagePart(data=b"x", media_type="image/png")
    message = Message(role=Role.USER, content=(picture,))
    async with client_in(embedded_data_dir) as client:
        with pytest.raises(InvalidRequestError):
            await client.chat_completion(ask(messages=(message,)))
        assert not workers()


async def test_a_malformed_schema_is_the_callers_error(embedded_data_dir: Path) -> None:
    """What llama.cpp refuses is an error of the request, and the process lives on."""
    bad = ResponseSchema(name="bad", schema={"type": "no such type"})
    async with client_in(embedded_data_dir) as client:
        with pytest.raises(InvalidRequestError):
            await client.chat_completion(ask(response_schema=bad))
        assert (await client.chat_completion(ask())).text


async def test_models_that_are_here_are_listed(embedded_data_dir: Path, tmp_path: Path) -> None:
    """The built-in model is listed once it is pulled; before, the error says how to pull it."""
    async with client_in(embedded_data_dir) as client:
        assert await client.list_models() == (BUILT_IN_MODEL,)
    async with client_in(tmp_path) as client:
        with pytest.raises(ProviderUnavailableError, match="models pull embedded"):
            await client.list_models()
