"""The worker as the judge sees it: a process that answers, fails, dies or stays silent."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from lattice_lock.gauntlet._audit import FORBIDDEN_ATTEMPT
from lattice_lock.gauntlet._channel import Channel, ChannelBrokenError, ChannelTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["UnconfinedError", "WorkerLostError", "WorkerProcess"]

_END_GRACE_S: Final = 1.0
_SIGNALLED: Final = 128
_FRAME_SLACK: Final = 4

_SIGNAL_MEANINGS: Final = {
    signal.SIGSYS: "tried a forbidden system call (network, process, tracing or the like)",
    signal.SIGKILL: "was killed, most likely for want of memory",
    signal.SIGXCPU: "used up its processor time",
}


class WorkerLostError(Exception):
    """The worker gave no usable answer and is dead now; the message says what it did."""


class UnconfinedError(Exception):
    """The worker could not confine itself, so it has not run anything."""


class WorkerProcess:
    """A worker that has been started and told what to import.

    Args:
        command: makes the command line from the descriptor to write replies to.
        environment: the only environment variables that it gets.
        order: what it must import, see `_worker`.
        message_bytes: largest value that it may return.
        output_bytes: how much of what it prints is kept, counted from the end.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        order: Mapping[str, Any],
        message_bytes: int,
        output_bytes: int,
    ) -> None:
        replies, reply_end = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter
                [*command, str(reply_end)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(reply_end,),
                env=dict(environment),
            )
        finally:
            os.close(reply_end)
        assert self._process.stdin is not None  # noqa: S101  # asked for above
        self._channel = Channel(
            replies, os.dup(self._process.stdin.fileno()), max_bytes=_FRAME_SLACK * message_bytes
        )
        self._process.stdin.close()
        self._output = bytearray()
        self._drain = threading.Thread(target=self._keep_output, args=(output_bytes,), daemon=True)
        self._drain.start()
        self._nonce = secrets.token_hex(8)
        self._started = False
        with contextlib.suppress(ChannelBrokenError):  # noticed when its answer is read
            self._channel.send({**order, "nonce": self._nonce})

    def wait_until_ready(self, deadline: float) -> dict[str, Any]:
        """The reply to the import of the project.

        Raises:
            WorkerLostError: it died, or the deadline passed.
            UnconfinedError: the sandbox could not be applied.
        """
        return self._receive(self._nonce, deadline)

    def request(
        self,
        message: Mapping[str, Any],
        deadline: float,
        consult: Callable[[Any], dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Ask and return the reply.

        Args:
            message: what to do, see `_worker`.
            deadline: `time.monotonic` at which to give up; the time that `consult` takes is added.
            consult: answers what the worker asks of dependencies meanwhile; None where there are
                none.

        Raises:
            WorkerLostError: it died, answered nonsense, tried something forbidden, or the
                deadline passed. It is dead afterwards.
        """
        nonce = secrets.token_hex(8)
        self._send({**message, "nonce": nonce}, deadline)
        reply = self._receive(nonce, deadline)
        while consult is not None and "ask" in reply:
            asked = time.monotonic()
            try:
                answer = consult(reply["ask"])
            except BaseException:  # it would wait for the answer for ever
                self.kill()
                raise
            deadline += time.monotonic() - asked
            self._send({**answer, "nonce": nonce}, deadline)
            reply = self._receive(nonce, deadline)
        return reply

    def _send(self, message: Mapping[str, Any], deadline: float) -> None:
        try:
            self._channel.send(dict(message), deadline=deadline)
        except ChannelTimeoutError:
            self.kill()
            raise
        except ChannelBrokenError:
            pass  # what it said before it died is more telling

    def _receive(self, nonce: str, deadline: float) -> dict[str, Any]:
        try:
            reply = self._channel.receive(deadline=deadline)
        except ChannelTimeoutError:
            self.kill()
            raise
        except ChannelBrokenError as error:
            raise WorkerLostError(self._describe_end(str(error))) from error
        if "unconfined" in reply:
            self.kill()
            raise UnconfinedError(str(reply["unconfined"]))
        if "attempt" in reply:
            self.kill()
            raise WorkerLostError(f"tried to {reply['attempt']!s:.300}, which the sandbox forbids")
        if reply.get("nonce") != nonce:
            self.kill()
            raise WorkerLostError("wrote something that is no reply to its channel")
        return reply

    def kill(self) -> None:
        """End the process and wait for it; harmless when it is dead already."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill it and release everything."""
        self.kill()
        self._drain.join(_END_GRACE_S)  # without a sandbox, something else may hold the other end
        self._channel.close()

    def _describe_end(self, reason: str) -> str:
        try:
            status = self._process.wait(_END_GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"wrote something that is no reply to its channel ({reason})"
        self._drain.join(_END_GRACE_S)
        printed = self._output.decode("utf-8", "replace").strip()
        tail = f"; it had printed: {printed[-300:]}" if printed else ""
        return describe_status(status) + tail

    def _keep_output(self, limit: int) -> None:
        assert self._process.stdout is not None  # noqa: S101  # asked for above
        with self._process.stdout as stream:
            while chunk := stream.read1(65536):  # type: ignore[attr-defined]  # a BufferedReader
                self._output += chunk
                del self._output[:-limit]


def describe_status(status: int) -> str:
    """What the end of a worker means, as the rest of a sentence about the implementation.

    Args:
        status: as `Popen.returncode`; bubblewrap reports signal N as 128 + N.
    """
    number = -status if status < 0 else status - _SIGNALLED
    if status == FORBIDDEN_ATTEMPT:
        return "tried something that the sandbox forbids"
    if number <= 0 or number not in {int(sign) for sign in signal.Signals}:
        return f"ended its process with exit status {status} instead of answering"
    sign = signal.Signals(number)
    return f"{_SIGNAL_MEANINGS.get(sign, 'crashed')} ({sign.name})"
