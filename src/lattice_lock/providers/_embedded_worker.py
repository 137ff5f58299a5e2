"""The process in which an embedded model lives; run as a program, never imported by the package.

A crash of llama.cpp, a broken model file or the kernel's memory killer ends this process and not
the caller's. It reads one JSON object on each line of standard input and writes one on each line
of standard output:

    <- {"ready": true} | {"fatal": "why the model could not be loaded"}
    -> {"op": "chat", "id": 1, "body": {...}}        a chat-completions body
    <- {"id": 1, "chunk": {...}}                     ... one for each piece
    <- {"id": 1, "error": {...}} | {"id": 1, "end": true}
    -> {"op": "cancel", "id": 1}

Calls run one after the other. When standard input ends, because the caller closed it or died, the
process ends at once, in the middle of a word if need be.

This file imports nothing of the package, so that the process starts fast and needs no import path.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import sys
import tempfile
import threading
import traceback
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Protocol

    class _Server(Protocol):
        """A loaded model; the library ships no types."""

        def handle_chat_completions(
            self, body: dict[str, Any], on_chunk: Callable[[dict[str, Any]], bool]
        ) -> object: ...


# A prompt can be abandoned between batches only, so that they are small.
_BATCH_TOKENS = 128
_MAX_THREADS = 8
_SOCKET = "s.sock"
_LOG_ERRORS_ONLY = 1


class _Output:
    """Lines for the caller, written by one thread at a time."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, **message: object) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


class _Calls:
    """What is waiting, and what nobody wants any more."""

    def __init__(self) -> None:
        self.waiting: queue.SimpleQueue[tuple[int, dict[str, Any]]] = queue.SimpleQueue()
        self._open: set[int] = set()
        self._cancelled: set[int] = set()

    def add(self, number: int, body: dict[str, Any]) -> None:
        self._open.add(number)
        self.waiting.put((number, body))

    def cancel(self, number: int) -> None:
        if number in self._open:
            self._cancelled.add(number)

    def is_cancelled(self, number: int) -> bool:
        return number in self._cancelled

    def close(self, number: int) -> None:
        self._open.discard(number)
        self._cancelled.discard(number)


def _serve(server: _Server, calls: _Calls, output: _Output) -> None:
    while True:
        number, body = calls.waiting.get()
        _run(server, number, body, calls, output)
        calls.close(number)
        output.send(id=number, end=True)


def _run(
    server: _Server, number: int, body: dict[str, Any], calls: _Calls, output: _Output
) -> None:
    def on_chunk(chunk: dict[str, Any]) -> bool:
        # True stops the generation; without it the next chunk comes.
        if calls.is_cancelled(number):
            return True
        if "error" in chunk:
            output.send(id=number, error=chunk["error"])
        elif "prompt_progress" not in chunk:
            output.send(id=number, chunk=chunk)
        return False

    if calls.is_cancelled(number):
        return
    try:
        # Progress reports give the chance to stop while the prompt is read, too.
        server.handle_chat_completions(body | {"return_progress": True}, on_chunk)
    except (RuntimeError, ValueError, TypeError) as error:
        message = {"message": str(error), "type": "invalid_request_error", "code": 400}
        output.send(id=number, error=message)


def _load(options: dict[str, Any]) -> _Server:
    import xllamacpp  # noqa: PLC0415  # after standard output is safe from what it prints

    cores = min(_cores(), _MAX_THREADS)
    params = xllamacpp.CommonParams()
    params.model.path = options["model"]
    params.n_ctx = options["context_tokens"]
    params.n_parallel = 1
    params.n_batch = _BATCH_TOKENS
    # Threads meet after every operation, so that one which has to wait for a core stops them all.
    params.cpuparams.n_threads = max(1, cores // 2)
    params.cpuparams_batch.n_threads = max(1, cores - 1)
    params.verbosity = _LOG_ERRORS_ONLY
    params.ui = False
    # The library always listens for HTTP. Nobody but us can find or open this socket, it wants a
    # key that nobody knows, and it has no name any more as soon as the model is loaded.
    params.api_keys = [secrets.token_hex(32)]
    with tempfile.TemporaryDirectory(prefix="lattice-lock-") as folder:
        os.chdir(folder)  # a socket's path may have 107 bytes at most
        params.hostnames = [_SOCKET]
        try:
            server: _Server = xllamacpp.Server(params)
        finally:
            os.chdir("/")
    return server


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _die(
    kind: type[BaseException], value: BaseException | None, trace: TracebackType | None
) -> None:
    """End the process where a thread failed, so that no caller waits for it."""
    traceback.print_exception(kind, value, trace)
    sys.stderr.flush()
    os._exit(70)


def main() -> None:
    """Load the model that the first argument describes, and serve until standard input ends."""
    output = _Output(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # what C code prints must not come between our lines
    threading.excepthook = lambda args: _die(args.exc_type, args.exc_value, args.exc_traceback)
    try:
        server = _load(json.loads(sys.argv[1]))
    except (RuntimeError, ValueError, ImportError, OSError) as error:
        output.send(fatal=str(error) or type(error).__name__)
        os._exit(1)
    output.send(ready=True)
    calls = _Calls()
    threading.Thread(target=_serve, args=(server, calls, output), daemon=True).start()
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message["op"] == "chat":
            calls.add(message["id"], message["body"])
        else:
            calls.cancel(message["id"])
    os._exit(0)


if __name__ == "__main__":
    main()
