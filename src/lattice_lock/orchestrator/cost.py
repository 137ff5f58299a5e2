"""Records what every call used and cost, without holding the call up."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count, islice
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from typing_extensions import override

from lattice_lock.exceptions import APIClientError, StorageError, UsageError
from lattice_lock.messages import StreamEnd
from lattice_lock.orchestrator.model_facts import is_free
from lattice_lock.orchestrator.worst_case import costs_nothing
from lattice_lock.providers.middleware import Middleware
from lattice_lock.storage.spending import Outcome, RecordedCall, SpendingStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from lattice_lock.messages import (
        ChatRequest,
        ChatResponse,
        EmbeddingRequest,
        EmbeddingResponse,
        StreamEvent,
    )
    from lattice_lock.providers.middleware import CallNext, EmbedNext, StreamNext

__all__ = ["CostTracker"]

_LOG = logging.getLogger(__name__)
_GATHER_S = 0.05
_BATCH = 512
_CAPACITY = 4096
_ZERO = Decimal(0)


def _utc_now() -> datetime:
    return datetime.now(tz=UTC)


class CostTracker:
    """Keeps a record of each call that passes one of its layers, in the order in which they end.

    Records are written by one thread, those of about 50 ms in one transaction; that much, and the
    transaction under way, is lost where the process is killed. `aclose`, and the ordinary end of
    the interpreter, write what is left. A store that fails never fails a call: `problem` says why,
    the log says it too, and what was not written is tried again with the next record. Only what
    goes beyond `capacity` meanwhile, or is left at the end, is given up, and told to the log in
    full.

    Args:
        folder: the data folder, whose `SpendingStore` keeps the calls.
        capacity: records that may wait to be written; a call beyond them waits before it is made.
        now: the time in UTC.
    """

    def __init__(
        self,
        folder: Path,
        *,
        capacity: int = _CAPACITY,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._store = SpendingStore(folder)
        self._capacity = capacity
        self._now = now
        self._name = uuid4().hex
        self._numbers = count(1)
        # A record stays in the queue until it is in the store.
        self._queue: deque[RecordedCall] = deque()
        self._lock = threading.Lock()
        self._writing = False
        self._closed = False
        self._hurry = threading.Event()
        self._problem: StorageError | None = None
        self._given_up = 0
        # Its one thread starts with the first record and is waited for at the interpreter's end.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cost-writer")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def problem(self) -> StorageError | None:
        """Why calls are missing in the store, None where none is."""
        return self._problem

    def labelled(self, *, task: str | None = None, project: str | None = None) -> Middleware:
        """The layer that records calls under these labels; it may serve any number of calls.

        Put it outside of `PriceTag`, which says what answers cost.

        Args:
            task: what the calls are for, such as a `TaskType`.
            project: who they are for.

        Raises:
            UsageError: a label is empty or holds what cannot be printed.
        """
        for name, label in (("task", task), ("project", project)):
            if label is not None and not (label and label.isprintable()):
                raise UsageError(f"{label!r} is no label of a {name}.", hint="Write a short name.")
        return _Recorder(self, None if task is None else str(task), project)

    async def flush(self) -> None:
        """Return when all that was recorded before is in the store, or `problem` says why not."""
        if self._queue and not self._closed:
            self._hurry.set()
            try:
                await asyncio.get_running_loop().run_in_executor(self._writer, self._write)
            finally:
                if not self._closed:
                    self._hurry.clear()

    async def aclose(self) -> None:
        """Write what is left. Calls that end later are told to the log only."""
        with self._lock:
            already, self._closed = self._closed, True
        if already:
            return
        self._hurry.set()
        try:
            if self._queue:
                await asyncio.get_running_loop().run_in_executor(self._writer, self._finish)
        finally:
            self._writer.shutdown(wait=False)

    async def _has_room(self) -> None:
        """Wait for the writer where too much is unwritten, unless it cannot be written."""
        if len(self._queue) >= self._capacity and self._problem is None and not self._closed:
            self._hurry.set()
            await asyncio.get_running_loop().run_in_executor(self._writer, self._hurry.clear)

    def _next_id(self) -> str:
        # As unique as a random one, and made in a tenth of its time.
        return f"{self._name}-{next(self._numbers)}"

    def _record(self, call: RecordedCall) -> None:
        with self._lock:
            full = self._problem is not None and len(self._queue) >= self._capacity
            if full or self._closed:
                self._give_up(call)
                return
            self._queue.append(call)
            if not self._writing:
                self._writing = True
                self._writer.submit(self._write)

    def _write(self) -> None:
        """Move the queue into the store; in the writer's thread."""
        self._hurry.wait(_GATHER_S)
        while True:
            with self._lock:
                batch = list(islice(self._queue, _BATCH))
                if not batch:
                    self._writing = False
                    return
            try:
                self._store.add(batch)
            except StorageError as error:
                if self._problem is None:
                    _LOG.error("cost.unwritten calls=%s error=%s", len(self._queue), error)
                with self._lock:
                    self._problem = error
                    self._writing = False
                return
            with self._lock:
                for _ in batch:
                    self._queue.popleft()
                if not self._given_up:
                    self._problem = None

    def _finish(self) -> None:
        self._write()
        with self._lock:
            while self._queue:
                self._give_up(self._queue.popleft())

    def _give_up(self, call: RecordedCall) -> None:
        self._given_up += 1
        self._problem = self._problem or StorageError(
            f"Calls ended after `{self._store.path}` was closed, so they are not in it.",
            hint="Close the tracker after the clients.",
        )
        _LOG.error(
            "cost.lost call=%s at=%s model=%s task=%s project=%s outcome=%s cost_usd=%s usage=%s",
            *(call.id, call.at.isoformat(), call.model, call.task, call.project),
            *(call.outcome, call.cost_usd, call.usage),
        )


class _Recorder(Middleware):
    """Records each call once, whichever way it ends."""

    def __init__(self, tracker: CostTracker, task: str | None, project: str | None) -> None:
        self.tracker = tracker
        self.task = task
        self.project = project

    @override
    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        call = await self._begin(request)
        try:
            response = await call_next(request)
        except BaseException as error:
            call.broke_off(error)
            raise
        call.answered(response)
        return response

    @override
    async def stream(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        call = await self._begin(request)
        try:
            async with aclosing(call_next(request)) as events:
                async for event in events:
                    call.delivered = True
                    if isinstance(event, StreamEnd):
                        call.answered(event.response)
                    yield event
        except BaseException as error:
            call.broke_off(error)
            raise
        call.broke_off(None)

    @override
    async def embed(self, request: EmbeddingRequest, call_next: EmbedNext) -> EmbeddingResponse:
        call = await self._begin(request)
        try:
            response = await call_next(request)
        except BaseException as error:
            call.broke_off(error)
            raise
        call.answered(response)
        return response

    async def _begin(self, request: ChatRequest | EmbeddingRequest) -> _Call:
        # Room is made before the call, so that its end has to wait for nothing.
        await self.tracker._has_room()  # noqa: SLF001  # its own layer
        return _Call(self, request)


class _Call:
    """One call while it runs; what first ends it is recorded."""

    __slots__ = ("_at", "_ended", "_recorder", "_request", "_started", "delivered")

    def __init__(self, recorder: _Recorder, request: ChatRequest | EmbeddingRequest) -> None:
        self._recorder = recorder
        self._request = request
        self._at = recorder.tracker._now()  # noqa: SLF001  # its own layer
        self._started = time.perf_counter()
        self._ended = False
        self.delivered = False

    def answered(self, response: ChatResponse | EmbeddingResponse) -> None:
        """The answer is complete."""
        self._end(Outcome.ANSWERED, response.cost_usd, response=response)

    def broke_off(self, error: BaseException | None) -> None:
        """The call ended without a complete answer; nothing is said where it had one before."""
        stopped = isinstance(error, asyncio.CancelledError | GeneratorExit)
        free = is_free(self._request.model) or (
            error is not None and not self.delivered and costs_nothing(error, self._request)
        )
        self._end(
            Outcome.CANCELLED if stopped else Outcome.FAILED,
            _ZERO if free else None,
            attempts=error.attempt if isinstance(error, APIClientError) else None,
        )

    def _end(
        self,
        outcome: Outcome,
        cost_usd: Decimal | None,
        *,
        response: ChatResponse | EmbeddingResponse | None = None,
        attempts: int | None = None,
    ) -> None:
        if self._ended:
            return
        self._ended = True
        recorder = self._recorder
        recorder.tracker._record(  # noqa: SLF001  # its own layer
            RecordedCall(
                id=recorder.tracker._next_id(),  # noqa: SLF001  # its own layer
                at=self._at,
                model=self._request.model,
                task=recorder.task,
                project=recorder.project,
                usage=None if response is None else response.usage,
                attempts=attempts if response is None else response.attempts,
                latency_ms=(time.perf_counter() - self._started) * 1000.0,
                outcome=outcome,
                cost_usd=cost_usd,
            )
        )
