"""Lets a model call Python functions until it has its answer.

    request -> model -> tool calls -> functions -> results -> model -> ... -> ToolLoopResult

Whatever a model gets wrong, and whatever a function raises, goes back to the model as the result
of the call, so that it can do better. What the caller has bounded ends the loop with an error
that holds the conversation: every call in it has a result, so it can be sent again as it is.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import math
import threading
import traceback
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from pydantic import BaseModel

from lattice_lock.exceptions import LatticeLockError, ToolLoopError, UsageError
from lattice_lock.messages import ChatRequest, Message, TextPart, ToolResult
from lattice_lock.orchestrator._function_schema import Function, UnusableValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal

    from lattice_lock.messages import ChatResponse, ToolCall, Usage
    from lattice_lock.orchestrator.budget import Budget
    from lattice_lock.orchestrator.completing import Completes

__all__ = ["CompletedCall", "Function", "ToolLoopResult", "run_functions"]

_T = TypeVar("_T")

_AT_ONCE: Final = 8  # calls of one answer that run at the same time, each perhaps in a thread
_LEAST_RESULT_BYTES: Final = 1024  # so that what is wrong with a call is never cut off


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedCall:
    """One call that a model made.

    Attributes:
        call: what the model asked for.
        result: what it was told.
        duration_s: seconds until then.
        error: what the function has raised, or the `TimeoutError` that has ended it; None
            otherwise, even where `result` is an error.
    """

    call: ToolCall
    result: ToolResult
    duration_s: float
    error: BaseException | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLoopResult:
    """What a model answered in the end, and how it came there.

    Attributes:
        response: the last answer, which calls no tool.
        messages: the request's messages and all that followed, the last answer included.
        calls: every call, in the model's order.
        rounds: how often the model was asked.
        usage: tokens of all rounds; None if one of the answers did not say.
        cost_usd: US dollars for all rounds; None if one of them is unknown.
    """

    response: ChatResponse
    messages: tuple[Message, ...]
    calls: tuple[CompletedCall, ...]
    rounds: int
    usage: Usage | None
    cost_usd: Decimal | None


async def run_functions(
    completes: Completes,
    request: ChatRequest,
    functions: Iterable[Function | Callable[..., object]],
    *,
    max_rounds: int = 10,
    max_calls: int = 50,
    tool_timeout_s: float = 60.0,
    max_result_bytes: int = 65_536,
    budget: Budget | None = None,
    notify: Callable[[Message], object] | None = None,
) -> ToolLoopResult:
    """The model's answer to `request`, after it has called `functions` as often as it wanted.

    Calls of one answer run at the same time, or one after another where the request says
    `parallel_tool_calls=False`. Coroutine functions run on the event loop and have to let
    themselves be cancelled; all others run in a thread. A thread cannot be ended from outside:
    one that takes too long is left alone, what it returns is dropped, and the process does not
    wait for it at its end.

    The model that answers the first round answers all of them, because no other can read what a
    provider keeps in its messages. A `tool_choice` that forces a call holds for the first round.

    Args:
        completes: whoever asks the model.
        request: the question. Its `tools`, if it has any, are what the model is offered of
            `functions`; its `timeout_s` bounds the loop as a whole.
        functions: what the model may call; plain callables become a `Function` each.
        max_rounds: how often the model may be asked.
        max_calls: how many calls it may make in all.
        tool_timeout_s: seconds for one call.
        max_result_bytes: length of what the model is told of one result, as UTF-8; what is longer
            is cut, with a note that says so.
        budget: what all rounds together may spend.
        notify: told each message that joins the conversation.

    Raises:
        ToolLoopError: a limit was reached, or a round after the first failed, with the reason as
            its cause; `messages` is the conversation so far.
        UsageError: a callable cannot be a tool, or a limit is out of its range.
        InvalidRequestError: the request offers a tool that is none of the functions.
        LatticeLockError: the first round failed, in any of the ways of `Completes.complete`.
    """
    _ensure_limits(max_rounds, max_calls, tool_timeout_s, max_result_bytes)
    known = _by_name(functions)
    for tool in request.tools:
        if tool.name not in known:
            raise request.refusal("tools", f"The tool `{tool.name}` is none of the functions.")
    tools = request.tools or tuple(function.definition for function in known.values())
    caller = _Caller(
        functions={tool.name: known[tool.name] for tool in tools},
        deadline=asyncio.get_running_loop().time() + request.timeout_s,
        timeout_s=tool_timeout_s,
        max_bytes=max_result_bytes,
        gate=asyncio.Semaphore(1 if request.parallel_tool_calls is False else _AT_ONCE),
    )
    loop = _Loop(
        completes=completes,
        request=msgspec.structs.replace(request, tools=tools),
        caller=caller,
        budget=budget,
        notify=notify,
    )
    while calls := (await loop.ask()).tool_calls:
        await loop.answer(calls, max_rounds, max_calls)
    return loop.result()


@dataclass(slots=True, kw_only=True)
class _Loop:
    """A conversation in which a model calls tools."""

    completes: Completes
    request: ChatRequest
    caller: _Caller
    budget: Budget | None
    notify: Callable[[Message], object] | None
    responses: list[ChatResponse] = field(default_factory=list)
    completed: list[CompletedCall] = field(default_factory=list)
    added: list[Message] = field(default_factory=list)

    async def ask(self) -> ChatResponse:
        """The model's next answer."""
        request, first = self.request, not self.responses
        if not first:
            left_s = self.caller.left_s()
            if left_s <= 0:
                raise self._stopped(
                    f"{request.timeout_s:g} seconds were up after round {len(self.responses)}.",
                    "Raise the `timeout_s` of the request.",
                )
            request = msgspec.structs.replace(
                request,
                model=self.responses[0].model,
                messages=self._messages(),
                tool_choice="none" if request.tool_choice == "none" else None,
                timeout_s=left_s,
            )
        try:
            response = await self.completes.complete(request, budget=self.budget)
        except LatticeLockError as error:
            if first:
                raise
            raise self._stopped(
                f"Round {len(self.responses) + 1} failed: {error}", "Mend that, and go on."
            ) from error
        self.responses.append(response)
        self._add(response.message)
        return response

    async def answer(self, calls: Sequence[ToolCall], max_rounds: int, max_calls: int) -> None:
        """Run `calls`, or end the loop where there would be too many."""
        limit = _limit(len(self.responses), max_rounds, len(self.completed) + len(calls), max_calls)
        if limit is not None:
            self._add(Message.tool(*(_error(call, f"Not called: {limit}") for call in calls)))
            raise self._stopped(limit, "Allow more, or ask for an answer without more calls.")
        done = await self.caller.run(calls)
        self.completed += done
        self._add(Message.tool(*(one.result for one in done)))

    def result(self) -> ToolLoopResult:
        """What came out of it."""
        return ToolLoopResult(
            response=self.responses[-1],
            messages=self._messages(),
            calls=tuple(self.completed),
            rounds=len(self.responses),
            usage=_sum([one.usage for one in self.responses]),
            cost_usd=_sum([one.cost_usd for one in self.responses]),
        )

    def _messages(self) -> tuple[Message, ...]:
        return (*self.request.messages, *self.added)

    def _add(self, message: Message) -> None:
        self.added.append(message)
        if self.notify is not None:
            self.notify(message)

    def _stopped(self, why: str, hint: str) -> ToolLoopError:
        error = ToolLoopError(why, hint=f"{hint} `messages` holds the conversation so far.")
        error.messages = self._messages()
        return error


def _limit(rounds: int, max_rounds: int, calls: int, max_calls: int) -> str | None:
    """Which limit forbids to run the calls of an answer."""
    if rounds >= max_rounds:
        return f"The model still calls tools in round {rounds}, and `max_rounds` is {max_rounds}."
    if calls > max_calls:
        return f"The model has made {calls} calls, and `max_calls` is {max_calls}."
    return None


def _ensure_limits(rounds: int, calls: int, timeout_s: float, result_bytes: int) -> None:
    if rounds < 1:
        raise UsageError("`max_rounds` must be at least 1.")
    if calls < 1:
        raise UsageError("`max_calls` must be at least 1.")
    if not 0 < timeout_s < math.inf:
        raise UsageError("`tool_timeout_s` must be a finite number of seconds.")
    if result_bytes < _LEAST_RESULT_BYTES:
        raise UsageError(f"`max_result_bytes` must be at least {_LEAST_RESULT_BYTES}.")


def _by_name(functions: Iterable[Function | Callable[..., object]]) -> dict[str, Function]:
    known: dict[str, Function] = {}
    for one in functions:
        function = one if isinstance(one, Function) else Function(one)
        if function.name in known:
            raise UsageError(
                f"Two functions have the name `{function.name}`.",
                hint="Give one of them another: `Function(call, name=...)`.",
            )
        known[function.name] = function
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class _Caller:
    """Calls functions for a model; `deadline` is by the clock of the event loop."""

    functions: dict[str, Function]
    deadline: float
    timeout_s: float
    max_bytes: int
    gate: asyncio.Semaphore

    def left_s(self) -> float:
        """Seconds until the deadline, below zero after it."""
        return self.deadline - asyncio.get_running_loop().time()

    async def run(self, calls: Sequence[ToolCall]) -> list[CompletedCall]:
        """What became of `calls`, in their order."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._complete(call)) for call in calls]
        return [task.result() for task in tasks]

    async def _complete(self, call: ToolCall) -> CompletedCall:
        async with self.gate:
            clock = asyncio.get_running_loop().time
            started = clock()
            seconds = min(self.timeout_s, self.left_s())
            error: BaseException | None = None
            if call.name not in self.functions:
                names = ", ".join(f"`{name}`" for name in self.functions)
                result = self._error(call, f"There is no such tool. There are {names or 'none'}.")
            elif seconds <= 0:
                result = self._error(call, "Not called: the time for the conversation was up.")
            else:
                result, error = await self._call(self.functions[call.name], call, seconds)
            return CompletedCall(
                call=call, result=result, duration_s=clock() - started, error=error
            )

    async def _call(
        self, function: Function, call: ToolCall, seconds: float
    ) -> tuple[ToolResult, BaseException | None]:
        """The boundary: whatever somebody's function raises is a result.

        `SystemExit` is too, because a model must not be able to end the process. An interruption
        of the program goes on its way, and so does a cancellation that was asked for; a function
        that raises `CancelledError` of its own accord has failed like any other.
        """
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self._outcome(function, call), None
        except UnusableValueError as error:
            return self._error(call, str(error)), None
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            if limit.expired():
                return self._error(call, f"It did not finish within {seconds:.3g} seconds."), error
            return self._error(call, "".join(traceback.format_exception_only(error))), error

    async def _outcome(self, function: Function, call: ToolCall) -> ToolResult:
        """The result where nothing goes wrong."""
        begin = partial(_begin, function, call.raw_arguments)
        # A thread that is given up might leave a coroutine that nobody awaits.
        value = begin() if function.is_coroutine else await _in_thread(begin)
        if inspect.isawaitable(value):
            value = await value
        # Megabytes take a while too.
        return _result(call, await _in_thread(partial(_written, value, self.max_bytes)))

    def _error(self, call: ToolCall, text: str) -> ToolResult:
        return _error(call, _cut(text.strip(), self.max_bytes))


def _begin(function: Function, raw_arguments: str) -> object:
    return function.call(**function.arguments(raw_arguments))


async def _in_thread(work: Callable[[], _T]) -> _T:
    """What `work` returns or raises.

    Each has a thread of its own, which dies with the process: threads of a pool are waited for
    when Python ends, and some work may never end.
    """
    loop = asyncio.get_running_loop()
    outcome: Future[_T] = Future()
    done = asyncio.Event()
    context = contextvars.copy_context()

    def run() -> None:
        context.run(_settle, outcome, work)
        with suppress(RuntimeError):  # the loop has ended in the meantime
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="lattice-lock-tool", daemon=True).start()
    await done.wait()
    return outcome.result()


def _settle(outcome: Future[_T], work: Callable[[], _T]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:  # noqa: BLE001  # whoever waits for the outcome raises it again
        outcome.set_exception(error)


def _written(value: object, max_bytes: int) -> str:
    """A result as a model reads it: text as it is, all else as JSON."""
    if isinstance(value, str):
        return _cut(str.__str__(value), max_bytes)
    try:
        json = msgspec.json.encode(value, enc_hook=_encodable)
    except RecursionError as error:
        raise UnusableValueError("The result contains itself, or is nested too deeply.") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise UnusableValueError(f"The result cannot be written as JSON: {error}.") from error
    return _cut(json.decode(), max_bytes)


def _encodable(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"it holds a `{type(value).__module__}.{type(value).__qualname__}`")


def _cut(text: str, max_bytes: int) -> str:
    """`text`, or its beginning and a note, in at most `max_bytes` of UTF-8."""
    data = text[: max_bytes + 1].encode("utf-8", "replace")  # half a surrogate cannot be sent
    if len(data) <= max_bytes:
        return data.decode()
    note = f"\n[Cut: this is the beginning of {len(text)} characters.]"
    return data[: max_bytes - len(note)].decode("utf-8", "ignore") + note


def _result(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(call_id=call.id, name=call.name, content=(TextPart(text=text),))


def _error(call: ToolCall, text: str) -> ToolResult:
    return msgspec.structs.replace(_result(call, text), is_error=True)


def _sum(values: Sequence[Any]) -> Any:  # noqa: ANN401  # of whatever can be added
    """All of them together, None if one of them is."""
    total = values[0]
    for value in values[1:]:
        total = None if total is None or value is None else total + value
    return total
