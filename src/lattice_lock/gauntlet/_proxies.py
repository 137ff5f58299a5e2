"""Stand-ins for the implementation, with which contract tests talk to the worker unawares."""

from __future__ import annotations

import builtins
import inspect
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, TypeGuard

import pytest
from hypothesis.errors import UnsatisfiedAssumption
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
    "NoAnswerError",
    "OutOfTimeError",
    "RemoteObject",
    "is_remote",
    "show",
]

_MAX_TEXT: Final = 2000
_MOST_DROPPED: Final = 25
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


class OutOfTimeError(CandidateStoppedError):
    """The time for all tests together is over, which says nothing about the implementation."""


class NoAnswerError(CandidateStoppedError):
    """Example after example was dropped, since dependencies had no answer to give."""


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
        history: the calls of dependencies since then, with their answers, as text; where
            `is_recording`, the calls of methods too.
        gave_up: why examples had to be dropped, None where none had to be.
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
        self._is_out_of_time = False
        self._fakes: dict[int, Fake] = {}
        self._interruption: BaseException | None = None
        self.answered: Counter[str] = Counter()
        self.history: list[str] = []
        self.is_recording = False
        self.gave_up: str | None = None
        self._dropped = 0

    def begin_test(self) -> None:
        """Forget what went wrong before."""
        self._fault = None
        self.gave_up = None
        self._dropped = 0

    def begin_example(self) -> None:
        """Forget what was answered before."""
        self.answered.clear()
        self.history.clear()
        self._fakes.clear()

    def end_test(self) -> None:
        """See that the worker was there all along and has nothing else to say.

        Raises:
            CandidateStoppedError: it was not, so the answers so far are worth nothing, even if
                the test made nothing of it.
        """
        if self._fault is not None:
            raise self._stopped(self._fault)
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
        number = self._new_number()
        self._ask(
            {
                "do": "new",
                "module": module,
                "name": name,
                "number": number,
                "arguments": self._describe(positional, named),
            }
        )
        return number

    def _new_number(self) -> int:
        self._count += 1
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
        if self.is_recording:
            self.history.append(_show_call(method, [*positional], named))
        place = len(self.history) - 1
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
        self._dropped = 0
        if self.is_recording:
            told = f"raised {error!r}" if error is not None else show(result)
            self.history[place] += f" -> {told}"
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
            if is_fake(value):
                described.append([name, "fake", self._describe_fake(value)])
                continue
            try:
                described.append([name, "value", self._codec.encode(value)])
            except NotDataError as error:
                raise TypeError(f"the test passes {error}") from error
        return described

    def _describe_fake(self, fake: Fake) -> Json:
        number = self._new_number()
        self._fakes[number] = fake
        methods = {
            name: list(inspect.signature(one).parameters)[1:]
            for name, one in vars(type(fake)).items()
            if inspect.isfunction(one) and not name.startswith("_")
        }
        return {"number": number, "name": type(fake).__name__, "methods": methods}

    def _consult(self, question: Json) -> dict[str, Json]:
        """What a fake answers; once something is wrong, only that the method has to end."""
        if self._interruption is None:
            try:
                return self._answer_of_fake(question)
            except UnsatisfiedAssumption as error:
                self.gave_up = "a dependency had no answer that its contract allows"
                self.answered.clear()
                self._interruption = error
            except CandidateFailedError as error:
                self._interruption = error
            except MalformedError:
                self._interruption = CandidateFailedError(
                    "asked a dependency for something that it does not do", pytrace=False
                )
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                self._interruption = error  # a condition that has no value for these arguments
        return {"raise": "RuntimeError", "message": "this example is over"}

    def _answer_of_fake(self, question: Json) -> dict[str, Json]:
        fake = self._fakes.get(question.get("fake"))
        method = str(question.get("method"))
        if fake is None or method.startswith("_") or method not in vars(type(fake)):
            raise MalformedError(method)
        if "problem" in question:
            raise CandidateFailedError(
                f"calls {fake.__interface__}.{method} with {question['problem']!s:.500}",
                pytrace=False,
            )
        given = {str(name): self._codec.decode(one) for name, one in question["given"].items()}
        call = f"  {_show_call(f'{fake.__interface__}.{method}', [], given)}"
        expected: tuple[type[Exception], ...] = (AssertionError, *fake.__errors__)
        try:
            answer = getattr(fake, method)(**given)
        except expected as error:
            if fake.__misuse__:
                raise CandidateFailedError(fake.__misuse__, pytrace=False) from error
            self.history.append(f"{call} -> raised {error!r}")
            return {"raise": type(error).__name__, "message": str(error)}
        self.history.append(f"{call} -> {show(answer)}")
        return {"answer": self._codec.encode(answer)}

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
            lambda d: worker.request({**message, "drop": dropped}, d, self._consult),
        )
        interruption, self._interruption = self._interruption, None
        if isinstance(interruption, CandidateFailedError):
            self._fault = str(interruption)
        if isinstance(interruption, UnsatisfiedAssumption):
            self._dropped += 1
            if self._dropped >= _MOST_DROPPED:
                raise NoAnswerError(self.gave_up)
        if interruption is not None:
            raise interruption
        if "failed" in reply:
            self._fail(str(reply["failed"])[:_MAX_TEXT])
        return reply

    def _ready_worker(self) -> WorkerProcess:
        self._interruption = None
        if self._unusable is not None:
            self._fault = self._unusable
            raise self._stopped(self._unusable)
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
            self._unusable = "the time for all tests together has run out"
            self._is_out_of_time = True
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
        raise self._stopped(reason) from cause

    def _stopped(self, reason: str) -> CandidateStoppedError:
        return OutOfTimeError(reason) if self._is_out_of_time else CandidateStoppedError(reason)

    def make_class(self, module: str, name: str) -> type[RemoteObject]:
        """The stand-in for a class of an implementation module."""
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (RemoteObject,), {"lattice_lock_home": (self, module, name)})


class Fake(Protocol):
    """What contract files make of a dependency; its methods are those of the interface."""

    __interface__: str
    __misuse__: str
    __errors__: tuple[type[Exception], ...]


def is_fake(value: object) -> TypeGuard[Fake]:
    """Whether a value stands in for a dependency."""
    return isinstance(getattr(value, "__misuse__", None), str)


def show(value: object) -> str:
    """A value in Python notation, however large its numbers are."""
    try:
        return repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return f"<{type(value).__name__} too large to show>"


def _show_call(method: str, positional: Sequence[Value], named: Mapping[str, Value]) -> str:
    given = [*map(show, positional), *(f"{name}={show(one)}" for name, one in named.items())]
    return f"{method}({', '.join(given)})"


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
