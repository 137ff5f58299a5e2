"""A model calls Python functions; whatever goes wrong is told to it, and limits hold."""

from __future__ import annotations

import asyncio
import functools
import pickle
import re
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypedDict

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypedDict as NewTypedDict
from typing_extensions import override

from lattice_lock.bootstrap import open_clients
from lattice_lock.exceptions import (
    APIClientError,
    BudgetExceededError,
    InvalidRequestError,
    ProviderTimeoutError,
    ToolLoopError,
    UsageError,
)
from lattice_lock.messages import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    Message,
    ModelId,
    NamedTool,
    OpaquePart,
    ProviderData,
    ReasoningPart,
    Role,
    ToolCall,
    Usage,
)
from lattice_lock.orchestrator._function_schema import UnusableValueError
from lattice_lock.orchestrator.budget import Budget
from lattice_lock.orchestrator.completing import AUTO
from lattice_lock.orchestrator.functions import Function, _Caller, _cut, run_functions
from lattice_lock.settings import Settings
from openai_wire import openai_server
from wire_server import NOWHERE, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from _typeshed import Incomplete

    from lattice_lock.orchestrator.completing import Strategy
    from lattice_lock.orchestrator.tasks import TaskType
    from lattice_lock.providers.base_client import BaseAPIClient

MODEL = ModelId(provider="local", name="qwen")


class Colour(Enum):
    """Some colours."""

    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    """A place."""

    x: int
    y: int = 0


class Old(TypedDict):
    """As `typing` has it, which pydantic cannot read before Python 3.12."""

    a: int


class New(NewTypedDict):
    """As `typing_extensions` has it."""

    a: int


class Pair(NamedTuple):
    """Two things."""

    first: int
    second: str = "x"


class Tree(msgspec.Struct):
    """A structure of msgspec's that holds itself."""

    name: str
    branches: list[Tree] = []


class Order(BaseModel):
    """A model of pydantic's."""

    title: str
    at: Point


def taking(annotation: object, **defaults: object) -> Callable[..., object]:
    """A function with one parameter `value` of that type, which it returns."""

    def echo(value: Any) -> Any:
        return value

    echo.__annotations__ = {"value": annotation}
    echo.__kwdefaults__ = None
    echo.__defaults__ = (defaults["default"],) if defaults else None
    return echo


GOOD: list[tuple[object, str, object]] = [
    (str, '"a"', "a"),
    (int, "3", 3),
    (float, "3", 3.0),
    (bool, "true", True),
    (None, "null", None),
    (int | None, "null", None),
    (int | list[str], '["a"]', ["a"]),
    (Literal["a", 1], "1", 1),
    (Colour, '"red"', Colour.RED),
    (list[int], "[1]", [1]),
    (tuple[int, str], '[1, "a"]', (1, "a")),
    (tuple[int, ...], "[1, 2]", (1, 2)),
    (set[int], "[1, 2]", {1, 2}),
    (dict[str, Point], '{"a": {"x": 1}}', {"a": Point(1)}),
    (Point, '{"x": 1, "y": 2}', Point(1, 2)),
    (list[Point] | None, '[{"x": 1}]', [Point(1)]),
    (Old, '{"a": 1}', {"a": 1}),
    (New, '{"a": 1}', {"a": 1}),
    (Pair, "[1]", Pair(1)),
    (Tree, '{"name": "a", "branches": [{"name": "b"}]}', Tree("a", [Tree("b")])),
    (list[Tree] | None, '[{"name": "a"}]', [Tree("a")]),
    (Order, '{"title": "a", "at": {"x": 1}}', Order(title="a", at=Point(1))),
    (Annotated[int, Field(ge=1)], "1", 1),
    (Annotated[int, msgspec.Meta(ge=1)], "1", 1),
    (date, '"2026-01-02"', date(2026, 1, 2)),
    (Any, '{"a": [1]}', {"a": [1]}),
]
BAD: list[tuple[object, str]] = [
    (str, "1"),
    (int, '"3"'),
    (int, "true"),
    (int, "3.5"),
    (float, '"3"'),
    (bool, "1"),
    (int | None, '"x"'),
    (Literal["a", 1], '"b"'),
    (Colour, '"green"'),
    (list[int], '["x"]'),
    (tuple[int, str], "[1]"),
    (Point, '{"y": 2}'),
    (Point, '{"x": "1"}'),
    (Old, "{}"),
    (Tree, '{"name": 1}'),
    (Order, '{"title": "a", "at": {"x": "1"}}'),
    (Annotated[int, Field(ge=1)], "0"),
    (Annotated[int, msgspec.Meta(ge=1)], "0"),
]


@pytest.mark.parametrize(("annotation", "json", "value"), GOOD, ids=str)
def test_a_type_is_described_and_read(annotation: object, json: str, value: object) -> None:
    """The schema is valid and takes what the function takes, which gets a value of its type."""
    function = Function(taking(annotation))
    schema = function.definition.parameters
    jsonschema.Draft202012Validator.check_schema(dict(schema))
    jsonschema.validate({"value": msgspec.json.decode(json)}, dict(schema))
    arguments = function.arguments(f'{{"value": {json}}}')
    assert arguments == {"value": value}
    assert type(arguments["value"]) is type(value)


@pytest.mark.parametrize(("annotation", "json"), BAD, ids=str)
def test_another_type_is_refused(annotation: object, json: str) -> None:
    """Nothing is bent into shape, and the message names the parameter."""
    function = Function(taking(annotation))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {"value": msgspec.json.decode(json)}, dict(function.definition.parameters)
        )
    with pytest.raises(UnusableValueError, match="`value"):
        function.arguments(f'{{"value": {json}}}')


def search(
    query: Annotated[str, "Words to look for."],
    *,
    limit: int = 10,
    colour: Colour | None = None,
    near: Point = Point(0, 0),  # noqa: B008  # a default that JSON could say, but need not
) -> list[str]:
    """Finds things.

    Looks everywhere.

    Args:
        query: not this, as the annotation says it.
        limit (int): how many: at most
            so many.
        colour: of the thing.

    Returns:
        Names: all of them.
    """
    return [query, str(limit), str(colour), str(near)]


def test_a_definition_says_all_that_hints_and_docstring_say() -> None:
    """Descriptions, defaults and what is required come from the function alone."""
    definition = Function(search).definition
    assert definition.name == "search"
    assert definition.description == "Finds things.\n\nLooks everywhere."
    schema: Incomplete = definition.parameters
    assert list(schema["properties"]) == ["query", "limit", "colour", "near"]
    assert schema["properties"]["query"] == {"type": "string", "description": "Words to look for."}
    assert schema["properties"]["limit"] == {
        "type": "integer",
        "description": "how many: at most so many.",
        "default": 10,
    }
    assert schema["properties"]["colour"]["description"] == "of the thing."
    assert "default" not in schema["properties"]["near"]
    assert schema["required"] == ["query"]
    assert schema["additionalProperties"] is False
    assert set(schema["$defs"]) == {"Colour", "Point"}
    assert schema["$defs"]["Point"]["properties"]["x"] == {"type": "integer"}


def test_optional_arguments_are_left_to_the_function() -> None:
    """What a model does not give is not passed, so that the function's own default counts."""
    assert Function(search).arguments('{"query": "a"}') == {"query": "a"}


def test_a_function_without_parameters_takes_an_empty_text() -> None:
    """Some models send nothing where there is nothing to send."""
    function = Function(lambda: 1, name="one")
    assert function.definition.parameters == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    assert function.arguments("") == function.arguments(" {} ") == {}


def test_two_types_of_one_name_stay_apart() -> None:
    """A model of pydantic's and a structure of msgspec's may have the same name."""
    both: Any = [type("Tree", (BaseModel,), {"__annotations__": {"b": int}}), Tree]

    def plant(first: Any, second: Any) -> None: ...

    plant.__annotations__ = dict(zip(("first", "second"), both, strict=True))
    schema: Incomplete = Function(plant).definition.parameters
    jsonschema.validate({"first": {"b": 1}, "second": {"name": "a"}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"first": {"name": "a"}, "second": {"b": 1}}, schema)


def positional(a: int, /) -> None:
    """By position only."""


def any_number(*a: int) -> None:
    """Any number."""


def any_names(**a: int) -> None:
    """Any names."""


def unannotated(a) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  # that is the case
    """No type."""


def a_function(a: Callable[[], int]) -> None:
    """A type that is there for type checkers only."""


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (positional, "parameter `a` of `positional` cannot be given by name"),
        (any_number, "parameter `a` of `any_number` cannot be given by name"),
        (any_names, "parameter `a` of `any_names` cannot be given by name"),
        (unannotated, "parameter `a` of `unannotated` has no type"),
        (
            a_function,
            r"parameter `a` of `a_function` has the type `Callable\[\[\], int\]`, which ca",
        ),
        (taking(object()), "parameter `value` of `echo` has the type"),
        (taking(5), "parameter `value` of `echo` has the type"),
        (taking(threading.Lock), "parameter `value` of `echo` has the type"),
        (taking(type), "`echo` has the type `<class 'type'>`, which JSON cannot say"),
        (taking("int |"), "`echo` has the type `int |`, which cannot be looked up"),
        (taking("Nowhere"), "`echo` has the type `Nowhere`, which cannot be looked up"),
        (taking(Tree | Order), "`echo` has the type .*, which JSON cannot say"),
        (Point, "`Point` is a class"),
        (lambda: 1, "`<lambda>` cannot be the name"),
        (print, "of `print` cannot be given by name"),
        (max, "`max`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # no address of a function
)
def test_what_cannot_be_a_tool_is_refused(call: Callable[..., object], said: str) -> None:
    """Registration names the function and the parameter that is at fault."""
    with pytest.raises(UsageError, match=said):
        Function(call)


@pytest.mark.parametrize("name", ["", "a b", "größe", "1a", "a.b", "a" * 65, "a\n", "-a"])
def test_a_name_that_no_provider_takes_is_refused(name: str) -> None:
    """Names are short and ASCII."""
    with pytest.raises(UsageError, match="name of a tool"):
        Function(search, name=name)


def test_generators_are_refused() -> None:
    """What yields has no result."""

    def some() -> Generator[int]:
        yield 1

    async def later() -> Any:
        yield 1

    for call in (some, later):
        with pytest.raises(UsageError, match="yields"):
            Function(call)


class Name(str):
    """Text with a class of its own."""

    __slots__ = ()


class Shop:
    """Something with methods, which can be called itself."""

    def price(self, item: str) -> str:
        """Price of an item."""
        return f"{item}: {id(self)}"

    async def __call__(self, item: str) -> str:
        """Sells an item."""
        return f"sold {item}"


def logged(call: Callable[..., object]) -> Callable[..., object]:
    """A decorator."""

    @functools.wraps(call)
    def wrapper(*args: object, **kwargs: object) -> object:
        return call(*args, **kwargs)

    return wrapper


def test_methods_objects_and_decorated_functions_are_tools() -> None:
    """What can be called by names can be registered, with its own docstring."""
    shop = Shop()
    method, whole = Function(shop.price), Function(shop, name="sell")
    assert (method.name, method.definition.description) == ("price", "Price of an item.")
    assert whole.definition.description == "Sells an item."
    assert Function(logged(search)).definition == Function(search).definition
    assert Function(functools.cache(search)).definition == Function(search).definition
    with pytest.raises(UsageError, match="name of a tool"):
        Function(shop)


def lookup(key: str, table: str, key_ring: str = "none") -> str:
    """Looks up.

    Args:
        key: what for.
    """
    return f"{key} {table} {key_ring}"


def test_bound_parameters_are_hidden_and_their_values_too() -> None:
    """A model sees neither the names nor the values of what `partial` has bound."""
    function = Function(functools.partial(lookup, table="users", key_ring="canary"))
    assert function.name == "lookup"
    assert function.definition.description == "Looks up."
    assert list(function.definition.parameters["properties"]) == ["key"]
    assert b"canary" not in msgspec.json.encode(function.definition)
    with pytest.raises(UnusableValueError, match="`key_ring`: there is no such parameter"):
        function.arguments('{"key": "a", "key_ring": "b"}')


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("{", "no JSON object"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        ("\ud800", "no JSON object"),
        ('{"query": NaN}', "no JSON object"),
        ('{"query": ' + "[" * 100_000, "nested too deeply"),
        ('{"query": ' + "[" * 500 + "]" * 500 + "}", "`query`"),
        ("{}", "`query`: is required"),
        ('{"query": "a", "limit": "b", "x": 1}', "`x`: there is no .*`limit`: Input should be a"),
        ('{"query": "a", "near": {"x": "1"}}', r"`near\.x`: Input"),
        ('{"query": ' + "1" * 1_000_000 + "}", "`query`"),
    ],
    ids=lambda text: text[:30],
)
def test_wrong_arguments_are_described(raw: str, said: str) -> None:
    """All that is wrong is said at once, by name."""
    with pytest.raises(UnusableValueError, match=said):
        Function(search).arguments(raw)


def test_a_deep_tree_is_refused() -> None:
    """Structures that hold themselves are read to a certain depth only."""
    deep = '{"name": "a", "branches": [' * 2000 + "]}" * 2000
    with pytest.raises(UnusableValueError, match="too deeply"):
        Function(taking(Tree)).arguments(f'{{"value": {deep}}}')


_TEXT = st.text('aä€😀 \ud800{}[]",:1\\', max_size=40)
_WORD = st.text("ab", max_size=3)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORD, inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(["query", "limit", "colour", "near", "x"])


SEARCH = Function(search)
VALID = jsonschema.Draft202012Validator(dict(SEARCH.definition.parameters))


@settings(deadline=None)
@given(st.dictionaries(_NAMES, _JSON | st.just("red") | st.just({"x": 1})))
def test_schema_and_reader_agree(arguments: dict[str, object]) -> None:
    """What the reader takes the schema takes too, whatever a model sends."""
    raw = msgspec.json.encode(arguments).decode()
    try:
        SEARCH.arguments(raw)
    except UnusableValueError:
        return
    VALID.validate(msgspec.json.decode(raw))


@given(_TEXT)
def test_no_text_breaks_the_reader(raw: str) -> None:
    """Arguments are read or refused, whatever the text."""
    with suppress(UnusableValueError):
        SEARCH.arguments(raw)


class Scripted:
    """Answers question number n with item number n, or raises it."""

    def __init__(self, *script: ChatResponse | Exception) -> None:
        self.script = list(script)
        self.requests: list[ChatRequest] = []
        self.budgets: list[Budget | None] = []

    async def complete(
        self,
        request: ChatRequest,
        *,
        task_type: TaskType | None = None,
        strategy: Strategy | None = None,
        budget: Budget | None = None,
    ) -> ChatResponse:
        """The next item."""
        assert (task_type, strategy) == (None, None)
        self.requests.append(request)
        self.budgets.append(budget)
        item = self.script[min(len(self.requests), len(self.script)) - 1]
        if isinstance(item, Exception):
            raise item
        return item


def said(text: str = "Done", **more: Any) -> ChatResponse:
    """An answer in words."""
    return ChatResponse(
        model=MODEL, message=Message.assistant(text), finish_reason=FinishReason.STOP, **more
    )


def calling(*calls: tuple[str, object], **more: Any) -> ChatResponse:
    """An answer that calls functions with arguments; text is sent as it is."""
    parts = tuple(
        ToolCall(
            id=f"c{number}",
            name=name,
            raw_arguments=raw if isinstance(raw, str) else msgspec.json.encode(raw).decode(),
        )
        for number, (name, raw) in enumerate(calls)
    )
    message = Message(role=Role.ASSISTANT, content=parts)
    return ChatResponse(model=MODEL, message=message, finish_reason=FinishReason.TOOL_CALLS, **more)


def asking(**changes: Any) -> ChatRequest:
    """A request."""
    fields: dict[str, Any] = {"model": MODEL, "messages": (Message.user("Hi"),)}
    return ChatRequest(**(fields | changes))


async def results(
    *functions: Function | Callable[..., object], calls: ChatResponse, **options: Any
) -> list[str]:
    """What the model was told about `calls`, marked where it is an error."""
    request = options.pop("request", asking())
    result = await run_functions(Scripted(calls, said()), request, functions, **options)
    assert [one.call for one in result.calls] == list(calls.tool_calls)
    assert [one.call.id for one in result.calls] == [one.result.call_id for one in result.calls]
    assert result.messages[-2] == Message.tool(*(one.result for one in result.calls))
    assert all(one.duration_s >= 0 for one in result.calls)
    return [text_of(one.result) for one in result.calls]


def text_of(result: Any) -> str:
    """The text of a result, marked where it is an error."""
    (part,) = result.content
    return ("! " if result.is_error else "") + str(part.text)


async def test_an_answer_without_calls_is_the_end() -> None:
    """The request goes out with the tools and nothing else changed."""
    completes = Scripted(said(cost_usd=Decimal(1), usage=Usage(input_tokens=3)))
    request = asking(temperature=0.5)
    result = await run_functions(completes, request, [search])
    definition = Function(search).definition
    assert completes.requests == [msgspec.structs.replace(request, tools=(definition,))]
    assert result.response.text == "Done"
    assert (result.rounds, result.calls) == (1, ())
    assert (result.cost_usd, result.usage) == (Decimal(1), Usage(input_tokens=3))
    assert result.messages == (*request.messages, Message.assistant("Done"))


async def test_results_go_back_and_nothing_else_changes() -> None:
    """What only a provider understands returns untouched, in its place."""
    own = ProviderData.pack("local", {"signature": "x"})
    call = ToolCall(id="c0", name="search", raw_arguments='{"query":  "a"}', provider_data=own)
    first = Message(
        role=Role.ASSISTANT,
        content=(
            ReasoningPart(text="hm", provider_data=own),
            OpaquePart(provider_data=own),
            call,
        ),
    )
    asked = msgspec.structs.replace(calling(cost_usd=Decimal(1), usage=Usage(input_tokens=1)))
    asked = msgspec.structs.replace(asked, message=first)
    completes = Scripted(asked, said(cost_usd=Decimal(2), usage=Usage(output_tokens=2)))
    seen: list[Message] = []
    result = await run_functions(completes, asking(), [search], notify=seen.append)
    told = completes.requests[1].messages
    assert told[1] == first
    assert text_of(told[2].content[0]) == '["a","10","None","Point(x=0, y=0)"]'
    assert result.messages == (*told, Message.assistant("Done"))
    assert list(result.messages[1:]) == seen
    assert (result.cost_usd, result.rounds) == (Decimal(3), 2)
    assert result.usage == Usage(input_tokens=1, output_tokens=2)
    assert result.calls[0].call.arguments == {"query": "a"}
    assert result.calls[0].error is None


async def test_an_unknown_cost_is_not_zero() -> None:
    """Where one round does not say what it took, nobody knows what all took."""
    result = await run_functions(
        Scripted(calling(("search", {"query": "a"})), said(cost_usd=Decimal(2), usage=Usage())),
        asking(),
        [search],
    )
    assert result.cost_usd is None
    assert result.usage is None


async def test_the_model_that_was_chosen_answers_all_rounds() -> None:
    """A model left open is left open once."""
    completes = Scripted(calling(("search", {"query": "a"})), said())
    await run_functions(completes, asking(model=AUTO), [search])
    assert [request.model for request in completes.requests] == [AUTO, MODEL]


async def test_a_forced_call_is_forced_once() -> None:
    """Otherwise the model could never answer; a ban on calls stays."""
    tools = (Function(search).definition,)
    for choice, later in (("required", None), (NamedTool(name="search"), None), ("none", "none")):
        completes = Scripted(calling(("search", {"query": "a"})), said())
        await run_functions(completes, asking(tools=tools, tool_choice=choice), [search])
        assert [request.tool_choice for request in completes.requests] == [choice, later]


async def test_tools_of_the_request_are_what_is_offered() -> None:
    """They choose among the functions, no other can be called, and each has to be one of them."""
    offered = (Function(lookup).definition,)
    completes = Scripted(calling(("search", {"query": "a"})), said())
    result = await run_functions(completes, asking(tools=offered), [search, lookup])
    assert completes.requests[0].tools == offered
    assert text_of(result.calls[0].result) == "! There is no such tool. There are `lookup`."
    with pytest.raises(InvalidRequestError, match="`lookup` is none of the functions") as caught:
        await run_functions(completes, asking(tools=offered), [search])
    assert caught.value.parameter == "tools"


async def test_coroutines_run_at_the_same_time_in_order_of_calls() -> None:
    """Two calls that wait for one another both return, and results keep the order of calls."""
    first, second = asyncio.Event(), asyncio.Event()

    async def meet(who: int) -> int:
        mine, theirs = (first, second) if who == 1 else (second, first)
        mine.set()
        await theirs.wait()
        return who

    calls = calling(("meet", {"who": 1}), ("meet", {"who": 2}))
    assert await results(meet, calls=calls) == ["1", "2"]


async def test_plain_functions_run_in_threads_at_the_same_time() -> None:
    """None of them runs on the event loop, and each sees the context it was called in."""
    barrier = threading.Barrier(2, timeout=10)
    here = threading.get_ident()

    def meet() -> bool:
        barrier.wait()
        return threading.get_ident() == here

    assert await results(meet, calls=calling(("meet", {}), ("meet", {}))) == ["false", "false"]


async def test_calls_run_one_by_one_where_the_request_says_so() -> None:
    """A request without parallel calls gets several all the same, and none overlaps another."""
    running: list[int] = []
    most: list[int] = []

    async def work(number: int) -> int:
        running.append(number)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(number)
        return number

    calls = calling(*(("work", {"number": n}) for n in range(20)))
    texts = [str(n) for n in range(20)]
    request = asking(parallel_tool_calls=False)
    assert await results(work, calls=calls, request=request) == texts
    assert max(most) == 1
    most.clear()
    assert await results(work, calls=calls) == texts
    assert max(most) == 8


class HostileError(Exception):
    """An error that cannot even be printed."""

    def __str__(self) -> str:  # type: ignore[explicit-override]  # a hostile class is careless
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("bad"), "! ValueError: bad"),
        (KeyError("k"), "! KeyError: 'k'"),
        (TimeoutError("own"), "! TimeoutError: own"),
        (SystemExit(3), "! SystemExit: 3"),
        (asyncio.CancelledError("own"), "! asyncio.exceptions.CancelledError: own"),
        (
            UsageError("Wrong.", hint="Mend."),
            "! lattice_lock.exceptions.UsageError: [LL-802] Wrong",
        ),
        (HostileError(), "HostileError: <exception str() failed>"),
        (ValueError("\ud800"), "! ValueError: ?"),
        (RecursionError(), "! RecursionError"),
        (ExceptionGroup("many", [ValueError("a")]), "! ExceptionGroup: many (1 sub-exception)"),
    ],
    ids=lambda one: type(one).__name__,
)
async def test_what_a_function_raises_is_told(error: BaseException, text: str) -> None:
    """Type and message are the result, in a thread or not; the caller gets the error itself."""

    def plain() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    completes = Scripted(calling(("plain", {}), ("coroutine", {})), said())
    result = await run_functions(completes, asking(), [plain, coroutine])
    for one in result.calls:
        assert text in text_of(one.result)
        assert "Traceback" not in text_of(one.result)
        assert ".py" not in text_of(one.result)
        assert one.error is error


async def test_a_stray_stop_iteration_is_an_error_too() -> None:
    """`StopIteration`, which must not pass through a future, ends no loop."""

    def plain() -> None:
        raise StopIteration

    assert await results(plain, calls=calling(("plain", {}))) == [
        "! RuntimeError: coroutine raised StopIteration"
    ]


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_an_interruption_is_not_swallowed(kind: str) -> None:
    """`KeyboardInterrupt` ends the program, from a thread as well."""

    def plain() -> None:
        raise KeyboardInterrupt

    async def coroutine() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        await results(plain, coroutine, calls=calling((kind, {})))

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


async def test_cancelling_the_loop_cancels_its_calls() -> None:
    """Coroutines are ended, threads left alone, and no task stays behind."""
    begun, ended, release = asyncio.Event(), asyncio.Event(), threading.Event()

    async def waits() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    def hangs() -> None:
        release.wait(10)

    calls = calling(("waits", {}), ("hangs", {}))
    before = asyncio.all_tasks()
    task = asyncio.create_task(results(waits, hangs, calls=calls))
    async with asyncio.timeout(10):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert asyncio.all_tasks() == before
    release.set()


async def test_a_call_that_is_cancelled_has_no_result() -> None:
    """A cancellation that was asked for goes on its way."""
    begun = asyncio.Event()

    async def waits() -> None:
        begun.set()
        await asyncio.Event().wait()

    function = Function(waits)
    caller = _Caller(
        functions={"waits": function},
        deadline=0,
        timeout_s=0,
        max_bytes=0,
        gate=asyncio.Semaphore(),
    )
    (call,) = calling(("waits", {})).tool_calls
    task = asyncio.create_task(caller._call(function, call, 60))
    async with asyncio.timeout(10):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_that_hangs_is_given_up() -> None:
    """After its time a call is an error, in a thread or not; the others are not held up."""
    release = threading.Event()
    threads = threading.active_count()

    async def waits() -> None:
        await asyncio.Event().wait()

    def hangs() -> str:
        release.wait(10)
        return "too late"

    def quick() -> str:
        return "here"

    calls = calling(("waits", {}), ("hangs", {}), ("quick", {}))
    texts = await results(waits, hangs, quick, calls=calls, tool_timeout_s=0.3)
    late = "! It did not finish within 0.3 seconds."
    assert texts == [late, late, "here"]
    release.set()
    for thread in threading.enumerate():
        if thread.name == "lattice-lock-tool":
            await asyncio.to_thread(thread.join, 10)
    assert threading.active_count() <= threads + 1  # one of `to_thread`'s own


async def test_what_resists_its_end_may_still_say_why() -> None:
    """An error raised while a call is being ended does not hide that it took too long."""

    async def resists() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("no")

    texts = await results(resists, calls=calling(("resists", {})), tool_timeout_s=0.01)
    assert texts == ["! It did not finish within 0.01 seconds."]


def test_a_thread_may_outlive_its_loop() -> None:
    """What it returns in the end is dropped without a word."""
    release = threading.Event()

    def hangs() -> str:
        release.wait(10)
        return "too late"

    texts = asyncio.run(results(hangs, calls=calling(("hangs", {})), tool_timeout_s=0.02))
    assert texts == ["! It did not finish within 0.02 seconds."]
    release.set()
    for thread in threading.enumerate():
        if thread.name == "lattice-lock-tool":
            thread.join(10)


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    """The program ends although a function never does."""
    program = """
    import asyncio, threading
    from decimal import Decimal
    from lattice_lock.messages import *
    from lattice_lock.orchestrator.functions import run_functions

    def hangs() -> None:
        threading.Event().wait()

    class Once:
        async def complete(self, request, **_):
            model = request.model
            if len(request.messages) > 1:
                return ChatResponse(model=model, message=Message.assistant("Done"),
                                    finish_reason=FinishReason.STOP)
            call = ToolCall(id="1", name="hangs", raw_arguments="{}")
            return ChatResponse(model=model, message=Message(role=Role.ASSISTANT, content=(call,)),
                                finish_reason=FinishReason.TOOL_CALLS)

    request = ChatRequest(model=ModelId.parse("local/m"), messages=(Message.user("Hi"),))
    result = asyncio.run(run_functions(Once(), request, [hangs], tool_timeout_s=0.05))
    print(result.response.text, result.calls[0].result.is_error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Done True\n", "")


def endless() -> list[object]:
    """A list that holds itself."""
    ring: list[object] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (None, "null"),
        (1, "1"),
        (float("nan"), "null"),
        ({"a": [1, True]}, '{"a":[1,true]}'),
        (Point(1, 2), '{"x":1,"y":2}'),
        (Tree("a"), '{"name":"a","branches":[]}'),
        ([Order(title="a", at=Point(1))], '[{"title":"a","at":{"x":1,"y":0}}]'),
        (Colour.RED, '"red"'),
        ([Name("a")], '["a"]'),
        (FinishReason.STOP, "stop"),
        (Decimal("1.50"), '"1.50"'),
        ("half \ud800", "half ?"),
        (endless(), "! The result contains itself, or is nested too deeply."),
        ([object()], "! The result cannot be written as JSON: it holds a `builtins.object`."),
        (
            iter(()),
            "! The result cannot be written as JSON: it holds a `builtins.tuple_iterator`.",
        ),
        (["\ud800"], "! The result cannot be written as JSON: 'utf-8' codec can't encode"),
        ({(1, 2): 3}, "! The result cannot be written as JSON: it holds a `builtins.tuple`."),
    ],
    ids=lambda one: type(one).__name__,
)
async def test_a_result_is_text_or_json(value: object, text: str) -> None:
    """Text goes as it is, all else as JSON; what JSON cannot say is an error that names it."""

    async def give() -> object:
        return value

    (told,) = await results(give, calls=calling(("give", {})))
    assert told.startswith(text)
    assert len(told) == len(text) or text.startswith("! The result cannot")


async def test_a_huge_result_is_cut() -> None:
    """Fifty megabytes become what was allowed, with a note of how much there was."""

    def letters() -> str:
        return "ä" * 50_000_000

    def numbers() -> list[int]:
        return [1] * 1_000_000

    def fails() -> None:
        raise ValueError("x" * 1_000_000)

    calls = calling(("letters", {}), ("numbers", {}), ("fails", {}), ("x" * 100_000, {}))
    texts = await results(letters, numbers, fails, calls=calls, max_result_bytes=2000)
    assert all(len(text.removeprefix("! ").encode()) <= 2000 for text in texts)
    assert texts[0].startswith("ää")
    assert texts[0].endswith("ä\n[Cut: this is the beginning of 50000000 characters.]")
    assert texts[1].endswith("1\n[Cut: this is the beginning of 2000001 characters.]")
    assert texts[2].startswith("! ValueError: xxx")
    assert texts[3].startswith("! There is no such tool.")


@given(_TEXT.map(lambda text: text * 5), st.integers(60, 200))
def test_a_cut_text_never_exceeds_its_bound(text: str, most: int) -> None:
    """In bytes of UTF-8 the bound holds; what fits stays as it is."""
    cut = _cut(text, most)
    assert len(cut.encode()) <= most
    if len(text.encode("utf-8", "replace")) <= most:
        assert cut == text.encode("utf-8", "replace").decode()


async def test_a_model_is_told_what_is_wrong_with_its_call() -> None:
    """Odd names, bad JSON and wrong types are results, so that the model can do better."""
    calls = calling(
        ("drop table; --\n\u202e", {}),
        ("search", "{'query'"),
        ("search", {"query": 1}),
        ("search", '{"query": ' + "[" * 100_000),
        ("search", {"query": "a" * 1_000_000}),
    )
    texts = await results(search, lookup, calls=calls)
    assert texts[0] == "! There is no such tool. There are `search`, `lookup`."
    assert texts[1].startswith("! The arguments are no JSON object: ")
    assert texts[2] == "! The arguments are wrong. `query`: Input should be a valid string."
    assert texts[3] == "! The arguments are nested too deeply."
    assert texts[4].startswith('["aaa')


class Moody(BaseModel):
    """A model whose check raises what pydantic does not expect."""

    mood: int

    @override
    def model_post_init(self, _context: object, /) -> None:
        """Fail."""
        raise LookupError("no mood")


async def test_a_check_of_arguments_that_fails_is_told() -> None:
    """Types bring code of their own, which is not trusted more than the function."""
    texts = await results(taking(Moody), calls=calling(("echo", {"value": {"mood": 1}})))
    assert texts == ["! LookupError: no mood"]


async def test_a_function_may_change_what_it_gets() -> None:
    """Arguments are made anew for each call; the record keeps what the model has sent."""

    def empties(value: list[int]) -> int:
        taken = len(value)
        value.clear()
        return taken

    call = ("empties", {"value": [1, 2]})
    completes = Scripted(calling(call, call), calling(call), said())
    result = await run_functions(completes, asking(), [empties])
    assert [text_of(one.result) for one in result.calls] == ["2", "2", "2"]
    assert [one.call.arguments for one in result.calls] == [{"value": [1, 2]}] * 3


async def test_a_plain_function_may_return_something_to_wait_for() -> None:
    """A decorator that hides that a function is a coroutine does no harm."""

    async def later(a: int) -> int:
        await asyncio.sleep(0)
        return a

    def hidden(a: int) -> object:
        return later(a)

    assert await results(hidden, calls=calling(("hidden", {"a": 1}))) == ["1"]


async def test_coroutines_begin_on_the_event_loop() -> None:
    """What stands around a coroutine function is called where the function runs."""
    threads: list[int] = []

    async def later(a: int) -> int:
        return a

    @functools.wraps(later)
    def around(a: int) -> object:
        threads.append(threading.get_ident())
        return later(a)

    assert await results(around, calls=calling(("later", {"a": 1}))) == ["1"]
    assert threads == [threading.get_ident()]


def ensure_complete(messages: tuple[Message, ...]) -> None:
    """Every call in `messages` has its result, in order, right after it."""
    pending: list[str] = []
    for message in messages:
        for part in message.content:
            if isinstance(part, ToolCall):
                pending.append(part.id)
            elif message.role is Role.TOOL:
                assert pending.pop(0) == part.call_id  # type: ignore[union-attr]  # so it is
        if message.role is not Role.ASSISTANT:
            assert pending == []
    assert pending == []


@pytest.mark.parametrize(
    ("limits", "rounds", "calls", "text"),
    [
        ({"max_rounds": 1}, 1, 0, "still calls tools in round 1, and `max_rounds` is 1"),
        ({"max_rounds": 3}, 3, 4, "still calls tools in round 3, and `max_rounds` is 3"),
        ({"max_calls": 1}, 1, 0, "has made 2 calls, and `max_calls` is 1"),
        ({"max_calls": 4}, 3, 4, "has made 6 calls, and `max_calls` is 4"),
        ({"max_calls": 5}, 3, 4, "has made 6 calls, and `max_calls` is 5"),
    ],
)
async def test_a_limit_ends_the_loop_with_the_conversation(
    limits: dict[str, int], rounds: int, calls: int, text: str
) -> None:
    """No call beyond it is made, and what was said can go on from where it stopped."""
    made: list[int] = []

    async def count() -> None:
        made.append(1)

    completes = Scripted(calling(("count", {}), ("count", {})))
    with pytest.raises(ToolLoopError, match=text) as caught:
        await run_functions(completes, asking(), [count], **limits)  # type: ignore[arg-type]
    assert (len(completes.requests), len(made)) == (rounds, calls)
    messages = caught.value.messages
    ensure_complete(messages)
    assert len(messages) == 1 + 2 * rounds
    assert "! Not called: The model" in text_of(messages[-1].content[0])
    assert pickle.loads(pickle.dumps(caught.value)).messages == messages  # noqa: S301  # our own
    result = await run_functions(Scripted(said()), asking(messages=messages), [count])
    assert result.response.text == "Done"


@pytest.mark.parametrize(
    "limits",
    [
        {"max_rounds": 0},
        {"max_calls": 0},
        {"tool_timeout_s": 0},
        {"tool_timeout_s": float("nan")},
        {"tool_timeout_s": float("inf")},
        {"max_result_bytes": 1023},
    ],
    ids=str,
)
async def test_a_limit_out_of_range_is_refused(limits: dict[str, Any]) -> None:
    """Nothing is asked then."""
    completes = Scripted(said())
    with pytest.raises(UsageError, match=f"`{next(iter(limits))}` must be"):
        await run_functions(completes, asking(), [search], **limits)
    assert completes.requests == []


async def test_two_functions_of_one_name_are_refused() -> None:
    """A model could not tell them apart."""
    with pytest.raises(UsageError, match="Two functions have the name `search`"):
        await run_functions(Scripted(said()), asking(), [search, Function(lookup, name="search")])


async def test_time_is_for_all_rounds_together() -> None:
    """Each round gets what is left; a call that has used it up ends the loop, told as usual."""

    async def waits() -> None:
        await asyncio.Event().wait()

    calls = [("search", {"query": "a"}), ("waits", {}), ("search", {"query": "b"})]
    completes = Scripted(calling(calls[0]), calling(*calls[1:]), said())
    request = asking(timeout_s=0.5, parallel_tool_calls=False)
    with pytest.raises(ToolLoopError, match=r"0\.5 seconds were up after round 2") as caught:
        await run_functions(completes, request, [search, waits])
    assert len(completes.requests) == 2
    assert 0 < completes.requests[1].timeout_s < completes.requests[0].timeout_s == 0.5
    ensure_complete(caught.value.messages)
    late, never = (text_of(part) for part in caught.value.messages[-1].content)
    assert re.fullmatch(r"! It did not finish within 0\.\d+ seconds\.", late)
    assert never == "! Not called: the time for the conversation was up."


@pytest.mark.parametrize(
    "error",
    [
        ProviderTimeoutError("Slow.", provider="local"),
        BudgetExceededError("Dear."),
        APIClientError("Broken.", provider="local"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_round_that_fails_loses_nothing(error: APIClientError) -> None:
    """The first round fails as it would alone; later ones hand over what was paid for."""
    with pytest.raises(type(error)):
        await run_functions(Scripted(error), asking(), [search])
    completes = Scripted(calling(("search", {"query": "a"})), error)
    with pytest.raises(ToolLoopError, match="Round 2 failed: ") as caught:
        await run_functions(completes, asking(), [search])
    assert caught.value.__cause__ is error
    assert caught.value.messages == completes.requests[1].messages
    ensure_complete(caught.value.messages)


async def test_one_budget_is_for_all_rounds() -> None:
    """Whoever asks the model gets the same budget each time."""
    budget = Budget(Decimal(1))
    completes = Scripted(calling(("search", {"query": "a"})), said())
    await run_functions(completes, asking(), [search], budget=budget)
    assert completes.budgets == [budget, budget]


@dataclass
class Single:
    """Asks one client."""

    client: BaseAPIClient

    async def complete(
        self,
        request: ChatRequest,
        *,
        task_type: TaskType | None = None,
        strategy: Strategy | None = None,
        budget: Budget | None = None,
    ) -> ChatResponse:
        """The client's answer."""
        assert (task_type, strategy, budget) == (None, None, None)
        return await self.client.chat_completion(request)


def completion(message: dict[str, Any], finish: str) -> dict[str, Any]:
    """A chat completion on the wire."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant"} | message}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"id": "c1", "model": "served", "choices": [choice], "usage": usage}


async def test_functions_are_called_over_the_wire() -> None:
    """A real client, a server that judges what it gets, several calls at once, and a mistake."""
    wrong, right = '{"query": 1}', '{"query": "a", "limit": 2}'
    functions = [("search", wrong), ("search", right), ("price", '{"item": "tea"}')]
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": raw}}
        for n, (name, raw) in enumerate(functions)
    ]
    steps = (
        answer(completion({"content": None, "tool_calls": calls}, "tool_calls")),
        answer(completion({"content": None, "tool_calls": calls[1:2]}, "tool_calls")),
        answer(completion({"content": "Here you are."}, "stop")),
    )

    async def price(item: str) -> Decimal:
        """Price of an item."""
        return Decimal(len(item))

    async with openai_server(*steps) as server:
        environment = {"GROQ_BASE_URL": server.url, "GROQ_API_KEY": "k"}
        settings = Settings.load(environment=environment, dotenv=NOWHERE)
        async with open_clients(settings, ["groq"]) as clients:
            result = await run_functions(
                Single(clients["groq"]),
                asking(model=ModelId(provider="groq", name="m"), parallel_tool_calls=True),
                [search, price],
            )
    assert result.response.text == "Here you are."
    assert result.rounds == 3
    assert result.usage == Usage(input_tokens=9, output_tokens=6)
    first, second, third = (request.json for request in server.requests)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["search", "price"]
    assert second["tools"] == first["tools"]
    told = second["messages"][2:]
    assert [one["tool_call_id"] for one in told] == ["call_0", "call_1", "call_2"]
    assert told[0]["content"].startswith("The arguments are wrong. `query`")
    assert told[1]["content"] == '["a","2","None","Point(x=0, y=0)"]'
    assert told[2]["content"] == '"3"'
    assert len(third["messages"]) == 7


async def test_the_page_about_functions_is_true(root: Path) -> None:
    """The examples of the page run, in their order, and do what the page says."""
    page = (root / "docs" / "how-to" / "functions.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == page.count("```python")
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "functions.md", "exec", dont_inherit=True), names)  # noqa: S102  # that is the point
    weather = ("weather", {"city": "Oslo"})
    completes = Scripted(calling(weather, ("weather", {"city": "Bergen"})), said("Cold."))
    assert await names["main"](completes) == "Cold."
    assert [text_of(part) for part in completes.requests[1].messages[-1].content] == [
        '{"celsius":-3.0,"wind":"calm"}',
        "! ValueError: no station in Bergen",
    ]
    completes = Scripted(calling(weather), said("Cold."))
    assert await names["patient"](completes) == "Cold."
    assert completes.requests[1].tool_choice == "none"
    completes = Scripted(said("One."), said("Two."))
    assert await names["chat"](completes) == ("One.", "Two.")
    assert [len(request.messages) for request in completes.requests] == [2, 4]
