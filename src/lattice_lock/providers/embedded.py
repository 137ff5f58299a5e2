"""Models that run on this machine by themselves: no server, no key, no network.

Each model lives in a process of its own, started on first use. Inference therefore never touches
the event loop, and no failure of llama.cpp is a failure of the caller.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

import msgspec
from typing_extensions import override

from lattice_lock.exceptions import (
    APIClientError,
    IncompleteStreamError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from lattice_lock.messages import StreamEnd
from lattice_lock.providers._embedded_process import WorkerProcess
from lattice_lock.providers.base_client import DEFAULT_RETRY, BaseAPIClient
from lattice_lock.providers.chat_completions import ChatDialect, StreamAssembler, chat_body
from lattice_lock.providers.embedded_models import (
    embedded_models,
    find_embedded_model,
    require_llama_cpp,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lattice_lock.errors.retry import RetryPolicy
    from lattice_lock.messages import ChatRequest, ChatResponse, ModelId, StreamEvent
    from lattice_lock.providers.transport import Deadline, Transport
    from lattice_lock.settings import Settings

__all__ = ["EmbeddedClient"]

_DIALECT = ChatDialect(max_tokens_key="max_tokens", images=False, files=False)


class EmbeddedClient(BaseAPIClient):
    """Runs GGUF models with llama.cpp; needs the extra `embedded` and a model file."""

    provider: ClassVar[str] = "embedded"

    def __init__(
        self, settings: Settings, transport: Transport, *, retry: RetryPolicy = DEFAULT_RETRY
    ) -> None:
        super().__init__(settings, transport, retry=retry)
        self._workers: dict[str, asyncio.Task[WorkerProcess]] = {}

    @override
    async def list_models(self) -> tuple[ModelId, ...]:
        """The models whose file is here, the smallest first."""
        await asyncio.to_thread(require_llama_cpp)
        models = await asyncio.to_thread(embedded_models, self._settings)
        present = tuple(model.id for model in models if model.size_bytes is not None)
        if not present:
            raise ProviderUnavailableError(
                "No embedded model is on this machine.",
                provider=self.provider,
                hint="Run `lattice-lock models pull embedded`.",
            )
        return present

    @override
    async def aclose(self) -> None:
        """End every model's process, and wait until all are gone."""
        tasks = list(self._workers.values())
        self._workers.clear()
        await asyncio.shield(asyncio.gather(*map(_stop, tasks)))

    @override
    async def _chat_completion_impl(self, request: ChatRequest, deadline: Deadline) -> ChatResponse:
        async with aclosing(self._stream_impl(request, deadline)) as events:
            async for event in events:
                if isinstance(event, StreamEnd):
                    return event.response
        raise IncompleteStreamError("The model stopped without a word.", provider=self.provider)

    @override
    async def _stream_impl(
        self, request: ChatRequest, deadline: Deadline
    ) -> AsyncGenerator[StreamEvent, None]:
        body = chat_body(request, _DIALECT, stream=True)
        worker = await self._worker(request, deadline)
        assembler = StreamAssembler(request.model)
        async with aclosing(worker.chat(body, deadline)) as chunks:
            async for chunk in chunks:
                for event in assembler.feed(chunk):
                    yield event
        # What llama.cpp calls the model is the path of a file, which is nobody's business.
        answer = msgspec.structs.replace(assembler.finish(), served_model=request.model.name)
        yield StreamEnd(response=answer)

    async def _worker(self, request: ChatRequest, deadline: Deadline) -> WorkerProcess:
        """The process of the model, shared by whoever asks while it is still loading.

        A caller who leaves does not stop the loading that others wait for.
        """
        name = request.model.name
        task = self._workers.get(name)
        if task is None or not _usable(task):
            task = asyncio.create_task(self._start(request.model))
            task.add_done_callback(_retrieve)
            self._workers[name] = task
        try:
            async with asyncio.timeout_at(deadline.at):
                return await asyncio.shield(task)
        except TimeoutError:
            raise ProviderTimeoutError(
                f"`{request.model}` was not loaded within the {deadline.total_s:g} s of the call.",
                provider=self.provider,
                model=name,
            ) from None

    async def _start(self, model: ModelId) -> WorkerProcess:
        await asyncio.to_thread(require_llama_cpp)
        found = await asyncio.to_thread(find_embedded_model, self._settings, model)
        return await WorkerProcess.start(
            model, found.path, context_tokens=self._settings.embedded_context_tokens
        )

    @override
    def _cost_usd(self, response: ChatResponse) -> Decimal:
        return Decimal(0)


def _usable(task: asyncio.Task[WorkerProcess]) -> bool:
    if not task.done():
        return True
    return not task.cancelled() and task.exception() is None and task.result().alive


def _retrieve(task: asyncio.Task[WorkerProcess]) -> None:
    # Whoever waits gets the error; where nobody waits any more, nobody has to be told.
    if not task.cancelled():
        task.exception()


async def _stop(task: asyncio.Task[WorkerProcess]) -> None:
    if not task.done():
        task.cancel()
    with suppress(asyncio.CancelledError, APIClientError):
        await (await task).aclose()
