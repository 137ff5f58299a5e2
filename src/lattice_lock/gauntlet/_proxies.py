"""Stand-ins for the implementation, with which contract tests talk to the worker unawares."""

from __future__ import annotations

import builtins
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NoReturn

import pytest
from typing_extensions import override

from lattice_lock.gauntlet._channel import ChannelTimeoutError, Json
from lattice_lock.gauntlet._codec import Codec, MalformedError, NotDataError, Value, take_over
from lattice_lock.gauntlet._worker_process import WorkerLostError, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "CandidateFailedError",
    "CandidateStoppedError",
    "Implementation",
    "RemoteObject",
    "is_remote",
]

_MAX_TEXT: Final = 2000
_REMOTE: Final = "__lattice_lock_remote__"


class CandidateFailedError(
    pytest.fail.Exception  # type: ignore[name-defined,misc]  # pytest has no other public name
):
    """The implementation gave no answer, but is still there to be asked again.

    Hypothesis shrinks this like any failure; `pytest.raises(Exception)` lets it through.
    """


class CandidateStoppedError(BaseException):
    """The implementation is gone; no further example makes sense.

    Not an `Exception`, so that Hypothesis stops at once instead of trying to shrink.
    """


class Implementation:
    """The worker, started again for the next test whenever it was lost.

    Args:
        start: starts another worker when the first is lost.
        first: the worker to begin with.
        codec: for values to and from it.
        call_timeout_s: seconds that one call may take.
        start_timeout_s: seconds that the import of the project may take.
        deadline: `time.monotonic` at which everything ends.

    Attributes:
        answered: how often each method has answered since `begin_example`.
    """

    def __init__(
        self,
        start: Callable[[], WorkerProcess],
        first: WorkerProcess,
        codec: Codec,
        *,
        call_timeout_s: float,
        start_timeout_s: float,
        deadline: float,
    ) -> None:
        self._start = start
        self._codec = codec
        self._call_timeout_s = call_timeout_s
        self._start_timeout_s = start_timeout_s
        self._deadline = deadline
        self._worker: WorkerProcess | None = first
        self._is_ready = False
        self._unusable: str | None = None
        self._fault: str | None = None
        self._count = 0
        self._released: list[int] = []
        self.answered: Counter[str] = Counter()

    def begin_test(self) -> None:
        """Forget what went wrong before."""
        self._fault = None

    def begin_example(self) -> None:
        """Forget what was answered before."""
        self.answered.clear()

    def end_test(self) -> None:
        """See that the worker was there all along and has nothing else to say.

        Raises:
            CandidateStoppedError: it was not, so the answers so far are worth nothing, even if
                the test made nothing of it.
        """
        if self._fault is not None:
            raise CandidateStoppedError(self._fault)
        if self._worker is not None and self._is_ready:
            self._ask({"do": "ping"})

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()

    def create(
        self, module: str, name: str, positional: Sequence[Value], named: Mapping[str, Value]
    ) -> int:
        """Make an object of a class in the worker and return the number it is kept under."""
        self._count += 1
        self._ask(
            {
                "do": "new",
                "module": module,
                "name": name,
                "number": self._count,
                "arguments": self._describe(positional, named),
            }
        )
        return self._count

    def call(
        self, number: int, method: str, positional: Sequence[Value], named: Mapping[str, Value]
    ) -> Value:
        """Call a method of a kept object; returns or raises what it did.

        Arguments end up in the state in which the method left them.

        Raises:
            CandidateFailedError: it returned something that is not data, or the like.
            CandidateStoppedError: it died, hung, or tried something forbidden.
        """
        arguments = self._describe(positional, named)
        reply = self._ask({"do": "call", "number": number, "name": method, "arguments": arguments})
        try:
            self._take_over_changes(reply.get("changed"), [*positional, *named.values()])
            if "raised" in reply:
                error = _make_error(reply["raised"])
            else:
                result = self._codec.decode(reply["result"])
                error = None
        except (MalformedError, AttributeError, LookupError, TypeError, ValueError) as problem:
            self._lose("wrote something that is no reply to its channel", problem)
        self.answered[method] += 1
        if error is not None:
            raise error
        return result

    def release(self, number: int) -> None:
        """Let the worker forget an object, with the next request."""
        self._released.append(number)

    def _describe(self, positional: Sequence[Value], named: Mapping[str, Value]) -> list[Json]:
        pairs = [*((None, value) for value in positional), *named.items()]
        described: list[Json] = []
        for name, value in pairs:
            if isinstance(value, RemoteObject):
                described.append([name, "kept", value.lattice_lock_number])
                continue
            try:
                described.append([name, "value", self._codec.encode(value)])
            except NotDataError as error:
                raise TypeError(f"the test passes {error}") from error
        return described

    def _take_over_changes(self, changed: Json, values: Sequence[Value]) -> None:
        for position, description in (changed or {}).items():
            old, new = values[int(position)], self._codec.decode(description)
            if take_over(old, new, self._codec) is not old:
                self._fail(
                    f"changed an argument that is immutable: {old!r:.500} became {new!r:.500}"
                )

    def _ask(self, message: dict[str, Json]) -> dict[str, Json]:
        worker = self._ready_worker()
        dropped, self._released = self._released, []
        reply = self._within(
            self._call_timeout_s,
            "did not answer",
            lambda d: worker.request({**message, "drop": dropped}, d),
        )
        if "failed" in reply:
            self._fail(str(reply["failed"])[:_MAX_TEXT])
        return reply

    def _ready_worker(self) -> WorkerProcess:
        if self._unusable is not None:
            self._fault = self._unusable
            raise CandidateStoppedError(self._unusable)
        worker = self._worker
        if worker is None:
            worker = self._worker = self._start()
        if not self._is_ready:
            reply = self._within(
                self._start_timeout_s, "could not be imported", worker.wait_until_ready
            )
            if "failed" in reply:
                self._unusable = str(reply["failed"])[:_MAX_TEXT]
                self._lose(self._unusable)
            self._is_ready = True
        return worker

    def _within(
        self, limit_s: float, complaint: str, ask: Callable[[float], dict[str, Json]]
    ) -> dict[str, Json]:
        """Ask with a deadline; whatever loses the worker stops the test."""
        now = time.monotonic()
        try:
            return ask(min(now + limit_s, self._deadline))
        except ChannelTimeoutError as error:
            if now + limit_s < self._deadline:
                self._lose(f"{complaint} within {limit_s:g} s", error)
            self._unusable = "was too slow: the time for all tests together has run out"
            self._lose(self._unusable, error)
        except WorkerLostError as error:
            self._lose(str(error), error)

    def _fail(self, reason: str) -> NoReturn:
        self._fault = reason
        raise CandidateFailedError(reason, pytrace=False)

    def _lose(self, reason: str, cause: Exception | None = None) -> NoReturn:
        if self._worker is not None:
            self._worker.close()
        if not self._is_ready:
            self._unusable = reason  # it would not fare better the next time
        self._worker = None
        self._is_ready = False
        self._released.clear()
        self._fault = reason
        raise CandidateStoppedError(reason) from cause

    def make_class(self, module: str, name: str) -> type[RemoteObject]:
        """The stand-in for a class of an implementation module."""
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (RemoteObject,), {"lattice_lock_home": (self, module, name)})


class RemoteObject:
    """An object of the implementation; every method is a call to the worker."""

    lattice_lock_home: tuple[Implementation, str, str]
    lattice_lock_number = 0

    def __init__(self, *positional: Value, **named: Value) -> None:
        implementation, module, name = self.lattice_lock_home
        self.lattice_lock_number = implementation.create(module, name, positional, named)

    def __getattr__(self, name: str) -> Callable[..., Value]:
        if name.startswith("__"):
            raise AttributeError(name)
        implementation = self.lattice_lock_home[0]

        def call(*positional: Value, **named: Value) -> Value:
            return implementation.call(self.lattice_lock_number, name, positional, named)

        return call

    def __del__(self) -> None:
        if self.lattice_lock_number:
            self.lattice_lock_home[0].release(self.lattice_lock_number)

    @override
    def __repr__(self) -> str:
        return f"{self.lattice_lock_home[2]}(...)"


def is_remote(error: BaseException) -> bool:
    """Whether the implementation raised this, and not the test."""
    return getattr(error, _REMOTE, False) is True


def _make_error(raised: Mapping[str, Json]) -> Exception:
    """The built-in exception that the implementation raised, with its traceback as a note."""
    cls = getattr(builtins, str(raised["type"]))
    if not (isinstance(cls, type) and issubclass(cls, Exception)):
        raise MalformedError(f"`{cls}` is not an exception")
    message = str(raised["message"])[:_MAX_TEXT]
    error: Exception
    if issubclass(cls, UnicodeDecodeError):
        error = cls("", b"", 0, 0, message)
    elif issubclass(cls, UnicodeEncodeError):
        error = cls("", "", 0, 0, message)
    elif issubclass(cls, UnicodeTranslateError):
        error = cls("", 0, 0, message)
    elif issubclass(cls, ExceptionGroup):
        error = cls(message, [Exception(message)])
    else:
        error = cls(message)
    lines = [str(line)[:_MAX_TEXT] for line in raised["trace"]]
    name = str(raised["name"])[:_MAX_TEXT]
    setattr(error, _REMOTE, True)
    error.add_note("\n".join([f"raised {name}: {message}", *lines]))
    return error
