"""The caller's end of the process in which an embedded model lives."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from lattice_lock.exceptions import (
    APIClientError,
    ContextLengthError,
    ModelNotAvailableError,
    ProviderConnectionError,
    ProviderTimeoutError,
)
from lattice_lock.providers.chat_completions import ChatChunk
from lattice_lock.providers.error_mapping import error_kind, openai_error_facts

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator

    from lattice_lock.messages import ModelId
    from lattice_lock.providers.transport import Deadline

__all__ = ["WorkerProcess"]

_WORKER = Path(__file__).with_name("_embedded_worker.py")
_LINE_LIMIT = 16 * 1024 * 1024
_STDERR_BYTES = 4096
_EXIT_GRACE_S = 2.0

# What the worker's environment holds: no key of any provider, and none of the variables through
# which llama.cpp itself takes options.
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH")
_ACCELERATORS = ("CUDA_", "HIP_", "ROCR_", "GGML_", "VK_")


class _Frame(msgspec.Struct, frozen=True):
    ready: bool = False
    fatal: str | None = None
    id: int = 0
    chunk: ChatChunk | None = None
    error: Any = None
    end: bool = False


_FRAME = msgspec.json.Decoder(_Frame)


class WorkerProcess:
    """One loaded model. Calls share it, one after the other."""

    def __init__(self, model: ModelId, process: Process) -> None:
        self._model = model
        self._process = process
        self._calls: dict[int, asyncio.Queue[_Frame | None]] = {}
        self._last_call = 0
        self._stderr: deque[bytes] = deque()
        self._stderr_reader = asyncio.create_task(self._keep_stderr())
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, model: ModelId, path: Path, *, context_tokens: int) -> Self:
        """Start a process and wait until it has loaded `path`.

        Raises:
            ModelNotAvailableError: llama.cpp cannot load the file.
            ProviderConnectionError: the process cannot be started, or died while loading.
        """
        options = msgspec.json.encode({"model": str(path), "context_tokens": context_tokens})
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                str(_WORKER),
                options.decode(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_LIMIT,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is the caller's to handle
            )
        except OSError as error:
            raise ProviderConnectionError(
                f"The process for `{model}` cannot be started: {error}.",
                provider=model.provider,
                model=model.name,
            ) from error
        worker = cls(model, process)
        try:
            await worker._ready
        except (APIClientError, asyncio.CancelledError):
            await asyncio.shield(worker.aclose())
            raise
        return worker

    @property
    def alive(self) -> bool:
        """Whether calls can be made."""
        return not self._reader.done()

    @property
    def process_id(self) -> int:
        """The operating system's number of the process."""
        return self._process.pid

    async def chat(
        self, body: dict[str, Any], deadline: Deadline
    ) -> AsyncGenerator[ChatChunk, None]:
        """The pieces of the answer to `body`. Closing the generator stops the generation.

        Raises:
            ProviderConnectionError: the process died.
            ProviderTimeoutError: the deadline passed.
            APIClientError: the model refused the request.
        """
        self._last_call += 1
        number = self._last_call
        frames: asyncio.Queue[_Frame | None] = asyncio.Queue()
        self._calls[number] = frames
        over = False
        try:
            self._send({"op": "chat", "id": number, "body": body})
            while (frame := await self._next(frames, deadline)) is not None:
                if frame.end:
                    over = True
                    return
                if frame.error is not None:
                    raise self._refusal(frame.error)
                if frame.chunk is not None:
                    yield frame.chunk
            over = True
            raise self._death()
        finally:
            del self._calls[number]
            if not over:
                self._send({"op": "cancel", "id": number})

    async def aclose(self) -> None:
        """End the process, whatever it is doing, and wait until it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_EXIT_GRACE_S):
                await asyncio.shield(self._reader)
        if not self._reader.done():
            self._kill()
            await self._reader
        await self._stderr_reader

    def _send(self, message: dict[str, Any]) -> None:
        stdin = self._process.stdin
        if self.alive and stdin is not None and not stdin.is_closing():
            stdin.write(msgspec.json.encode(message) + b"\n")

    async def _next(
        self, frames: asyncio.Queue[_Frame | None], deadline: Deadline
    ) -> _Frame | None:
        if not self.alive and frames.empty():
            return None
        try:
            async with asyncio.timeout_at(deadline.at):
                return await frames.get()
        except TimeoutError:
            raise ProviderTimeoutError(
                f"`{self._model}` did not finish within the {deadline.total_s:g} s of the call.",
                provider=self._model.provider,
                model=self._model.name,
            ) from None

    async def _read(self) -> None:
        """Hand every line to the call it belongs to; at the end, tell all that there is no more."""
        stdout = self._process.stdout
        try:
            while stdout is not None and (line := await stdout.readline()):
                self._take(_FRAME.decode(line))
        except (msgspec.DecodeError, ValueError):
            self._kill()  # it no longer speaks our language
        await self._process.wait()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({self._stderr_reader}, timeout=_EXIT_GRACE_S)
        if not self._ready.done():
            self._ready.set_exception(self._death())
        for frames in self._calls.values():
            frames.put_nowait(None)

    def _take(self, frame: _Frame) -> None:
        if frame.ready:
            if not self._ready.done():
                self._ready.set_result(None)
        elif frame.fatal is not None:
            if not self._ready.done():
                self._ready.set_exception(
                    ModelNotAvailableError(
                        f"llama.cpp cannot load `{self._model}`: {frame.fatal}.",
                        provider=self._model.provider,
                        model=self._model.name,
                        hint="Check that its file is a complete GGUF model and fits into memory.",
                    )
                )
        elif (frames := self._calls.get(frame.id)) is not None:
            frames.put_nowait(frame)

    async def _keep_stderr(self) -> None:
        stderr = self._process.stderr
        kept = 0
        while stderr is not None and (piece := await stderr.read(_STDERR_BYTES)):
            self._stderr.append(piece)
            kept += len(piece)
            while kept - len(self._stderr[0]) >= _STDERR_BYTES:
                kept -= len(self._stderr.popleft())

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    def _refusal(self, error: object) -> APIClientError:
        facts = openai_error_facts({"error": error})
        if facts is None:
            return self._death()
        failure = error_kind(200, facts)(
            facts.message, provider=self._model.provider, model=self._model.name
        )
        failure.provider_code = next(iter(facts.codes), None)
        if isinstance(failure, ContextLengthError):
            failure.hint = "Ask for less, or raise `LATTICE_LOCK_EMBEDDED_CONTEXT_TOKENS`."
        return failure

    def _death(self) -> ProviderConnectionError:
        code = self._process.returncode
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = f"signal {signal.Signals(-code).name}"
        said = b"".join(self._stderr)[-_STDERR_BYTES:].decode("utf-8", "replace").strip()
        return ProviderConnectionError(
            f"The process of `{self._model}` ended ({how})" + (f": {said}" if said else "."),
            provider=self._model.provider,
            model=self._model.name,
            hint="The next call starts it anew; if it was killed, the model may need more memory.",
        )


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(_ACCELERATORS)
    }
