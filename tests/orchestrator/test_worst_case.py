"""What a call may cost at most, and the gate that holds that much."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    ContentFilteredError,
    ContextLengthError,
    IncompleteStreamError,
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    PolicyViolationError,
    ProviderConnectionError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitError,
    ServerError,
)
from lattice_lock.messages import (
    ChatRequest,
    ChatResponse,
    EmbeddingRequest,
    EmbeddingResponse,
    FilePart,
    FinishReason,
    ImagePart,
    Message,
    ModelId,
    OpaquePart,
    ProviderData,
    ReasoningPart,
    ResponseSchema,
    Role,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCall,
    ToolDefinition,
    ToolResult,
    Usage,
)
from lattice_lock.orchestrator.budget import Budget
from lattice_lock.orchestrator.model_facts import ModelFacts, Prices
from lattice_lock.orchestrator.pricing import PriceTag
from lattice_lock.orchestrator.registry import ModelRegistry
from lattice_lock.orchestrator.worst_case import (
    IMAGE_TOKENS,
    BudgetGate,
    costs_nothing,
    worst_case_usd,
)
from lattice_lock.providers.openai import OpenAIClient
from lattice_lock.providers.transport import NoConnectionError
from openai_wire import KEY, client_for
from wire_server import Wire, answer, delta, event, events, serving, whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from lattice_lock.messages import Part, StreamEvent

MODEL = ModelId(provider="openai", name="test")
MILLION = 1_000_000
ZERO = Decimal(0)
PICTURE = ImagePart(data=b"x", media_type="image/png")
LETTER = FilePart(name="a.pdf", data=b"x", media_type="application/pdf")
OWN = ProviderData(provider="openai", json=b'"' + b"s" * 98 + b'"')


def facts(**changes: Any) -> ModelFacts:
    """A model at one dollar for a million tokens in, ten out."""
    fields: dict[str, Any] = {
        "id": MODEL,
        "max_input_tokens": 100_000,
        "max_output_tokens": 1000,
        "prices": (Prices(input=Decimal(1), output=Decimal(10)),),
    }
    return ModelFacts(**(fields | changes))


def request(*parts: Part, **changes: Any) -> ChatRequest:
    """A request with one message of these parts."""
    content = parts or (TextPart(text="Hello"),)
    fields: dict[str, Any] = {
        "model": MODEL,
        "messages": (Message(role=Role.USER, content=content),),
    }
    return ChatRequest(**(fields | changes))


def input_tokens(*parts: Part, **changes: Any) -> Decimal:
    """The tokens that the bound counts for the input."""
    free_answer = facts(max_input_tokens=10**9, prices=(Prices(input=Decimal(1), output=ZERO),))
    found = worst_case_usd(request(*parts, **changes), free_answer)
    assert found is not None
    return found * MILLION


BARE = input_tokens(TextPart(text=""))


@pytest.mark.parametrize(
    ("part", "least"),
    [
        (TextPart(text="x" * 100), 100),
        (TextPart(text="ü" * 100), 200),
        (TextPart(text="\ud800" * 100), 300),  # no UTF-8, and still bounded
        (TextPart(text="", provider_data=OWN), 100),
        (ReasoningPart(text="x" * 50, provider_data=OWN), 150),
        (OpaquePart(provider_data=OWN), 100),
        (ToolCall(id="i" * 10, name="n" * 10, raw_arguments="a" * 80), 100),
        (PICTURE, IMAGE_TOKENS),
        (
            ToolResult(call_id="i" * 10, name="n" * 10, content=(TextPart(text="x" * 80), PICTURE)),
            100 + IMAGE_TOKENS,
        ),
    ],
)
def test_every_part_is_counted(part: Part, least: int) -> None:
    """No part has more tokens than are counted for it, and the bound is not absurd either."""
    assert least <= input_tokens(part) - BARE <= 2 * least + 100


def test_what_is_sent_besides_messages_is_counted() -> None:
    """Tools and the schema of the answer are read by the model too."""
    tool = ToolDefinition(
        name="t" * 10, description="d" * 100, parameters={"type": "object", "x": "y" * 100}
    )
    assert input_tokens(TextPart(text=""), tools=(tool,)) - BARE >= 230
    schema = ResponseSchema(name="s", schema={"type": "object", "x": "y" * 100})
    assert input_tokens(TextPart(text=""), response_schema=schema) - BARE >= 125
    twice = request(messages=(Message.user(""), Message.user("")))
    assert worst_case_usd(twice, facts()) > worst_case_usd(request(TextPart(text="")), facts())  # type: ignore[operator]  # neither is None


def test_nothing_longer_than_the_window_is_answered() -> None:
    """A huge prompt, or a file of unknown content, costs a full window at most."""
    most = Decimal(100_000) / MILLION + Decimal(1000 * 10) / MILLION
    assert worst_case_usd(request(TextPart(text="x" * 10**6)), facts()) == most
    assert worst_case_usd(request(LETTER), facts()) == most
    assert worst_case_usd(request(LETTER), facts(max_input_tokens=None, context_tokens=50)) == (
        Decimal(50 + 10_000) / MILLION
    )
    assert worst_case_usd(request(LETTER), facts(max_input_tokens=None)) is None


def test_the_answer_is_as_long_as_it_may_be() -> None:
    """The request's own bound counts, else the model's; without either there is none."""
    short, long = request(max_output_tokens=100), request()
    low, high = worst_case_usd(short, facts()), worst_case_usd(long, facts())
    assert low is not None
    assert high is not None
    assert high - low == Decimal(900 * 10) / MILLION
    assert worst_case_usd(long, facts(max_output_tokens=None)) is None
    assert worst_case_usd(short, facts(max_output_tokens=None)) == low


def test_unknown_and_free_are_told_apart() -> None:
    """Of a model without prices nothing is known, unless it runs on the user's own machine."""
    assert worst_case_usd(request(), None) is None
    assert worst_case_usd(request(), facts(prices=())) is None
    cloud = request(model=ModelId(provider="local", name="big-cloud"))
    assert worst_case_usd(cloud, None) is None
    local = request(model=ModelId(provider="local", name="qwen"))
    assert worst_case_usd(local, None) == ZERO
    assert worst_case_usd(local, facts(prices=())) == ZERO
    assert worst_case_usd(local, facts()) == worst_case_usd(request(), facts())
    nothing = facts(max_output_tokens=None, prices=(Prices(input=ZERO, output=ZERO),))
    assert worst_case_usd(request(), nothing) == ZERO


def test_the_dearest_that_may_apply_counts() -> None:
    """A dear tier counts as soon as so much input may be there, and writing a cache may be dear."""
    cheap = Prices(input=Decimal(1), output=ZERO, cache_write=Decimal("1.25"))
    dear = Prices(input=Decimal(2), output=ZERO, from_input_tokens=5000)
    below = worst_case_usd(request(TextPart(text="x")), facts(prices=(cheap, dear)))
    above = worst_case_usd(request(TextPart(text="x" * 5000)), facts(prices=(cheap, dear)))
    assert below == (BARE + 1) * Decimal("1.25") / MILLION
    assert above == (BARE + 5000) * 2 / MILLION
    falling = Prices(input=Decimal("0.5"), output=ZERO, from_input_tokens=5000)
    # What is counted as 5,000 tokens may be fewer, and those are dearer.
    most = worst_case_usd(request(TextPart(text="x" * 5000)), facts(prices=(cheap, falling)))
    assert most == (BARE + 5000) * Decimal("1.25") / MILLION


def test_embeddings_have_no_answer() -> None:
    """Every text counts, whatever the window of one is."""
    wanted = EmbeddingRequest(model=MODEL, inputs=("x" * 10, "ü"))
    most = worst_case_usd(wanted, facts(max_input_tokens=5, max_output_tokens=None))
    assert most is not None
    assert Decimal(12) / MILLION <= most <= Decimal(112) / MILLION


PRICE = st.decimals(0, 100, places=3)


@st.composite
def _facts(draw: st.DrawFn) -> ModelFacts:
    starts = draw(st.lists(st.integers(1, 3000), max_size=3, unique=True))
    prices = tuple(
        Prices(
            input=draw(PRICE),
            output=draw(PRICE),
            cached_input=draw(st.none() | PRICE),
            cache_write=draw(st.none() | PRICE),
            from_input_tokens=start,
        )
        for start in (0, *sorted(starts))
    )
    return facts(
        prices=prices,
        max_input_tokens=draw(st.none() | st.integers(1, 3000)),
        context_tokens=draw(st.none() | st.integers(1, 3000)),
    )


@given(model=_facts(), text=st.text(max_size=200), data=st.data())
def test_no_usage_costs_more(model: ModelFacts, text: str, data: st.DataObject) -> None:
    """Whatever a call uses within its bounds, at any tier, costs no more than the worst case."""
    wanted = request(TextPart(text=text), max_output_tokens=500)
    most = worst_case_usd(wanted, model)
    assert most is not None
    window = model.max_input_tokens or model.context_tokens or 10**9
    total = data.draw(st.integers(0, min(window, len(text.encode()) + 100)))
    cached = data.draw(st.integers(0, total))
    written = data.draw(st.integers(0, total - cached))
    usage = Usage(
        input_tokens=total,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=data.draw(st.integers(0, 500)),
    )
    cost = model.cost_usd(usage)
    assume(cost is not None)
    assert cost is not None
    assert cost <= most


def _refused(kind: type[APIClientError], **more: Any) -> APIClientError:
    return kind("No.", provider="openai", **more)


@pytest.mark.parametrize(
    ("error", "free"),
    [
        (_refused(RateLimitError, status=429, attempt=3), True),
        (_refused(OverloadedError, status=529, attempt=3), True),
        (_refused(AuthenticationError, status=401, attempt=1), True),
        (_refused(InvalidRequestError, status=400, attempt=1), True),
        (_refused(InvalidRequestError), True),
        (_refused(ProviderUnavailableError), True),
        (_refused(ContextLengthError), True),
        (_refused(ContextLengthError, attempt=1), True),
        (ConfigurationError("No."), True),
        (BudgetExceededError("No."), True),
        (_refused(ContextLengthError, status=400, attempt=1), False),  # Azure has read it
        (_refused(ContentFilteredError, status=400, attempt=1), False),
        (_refused(ServerError, status=500, attempt=3), False),
        (_refused(ProviderTimeoutError, attempt=3), False),
        (_refused(ProviderTimeoutError), False),
        (_refused(IncompleteStreamError, attempt=1), False),
        (_refused(ProviderConnectionError, attempt=3), False),
        (_refused(InvalidResponseError, status=200, attempt=1), False),
        (PolicyViolationError("No.", policy="x"), False),
        (asyncio.CancelledError(), False),
        (GeneratorExit(), False),
        (KeyError("x"), False),
    ],
)
def test_only_certainty_is_free(error: BaseException, free: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """What was not sent or not read costs nothing; whatever may have been made counts."""
    assert costs_nothing(error, request()) is free


def test_one_of_several_batches_may_have_cost() -> None:
    """Many texts may go in many requests, and those before the one that failed were answered."""
    one = EmbeddingRequest(model=MODEL, inputs=("x",))
    several = EmbeddingRequest(model=MODEL, inputs=("x", "y"))
    limited = _refused(RateLimitError, status=429, attempt=1)
    refused = _refused(InvalidRequestError)
    assert [costs_nothing(limited, each) for each in (one, several)] == [True, False]
    assert [costs_nothing(refused, each) for each in (one, several)] == [True, True]


LINE = (
    '{"provider": "openai", "name": "test", "max_input_tokens": 10000, "max_output_tokens": 1000,'
    ' "prices": [{"input": "1", "output": "10"}]}\n'
    '{"provider": "openai", "name": "unpriced", "max_output_tokens": 1000}\n'
    '{"provider": "openai", "name": "boundless", "max_input_tokens": 10000,'
    ' "prices": [{"input": "1", "output": "10"}]}\n'
    '{"provider": "openai", "name": "windowless", "max_output_tokens": 1000,'
    ' "prices": [{"input": "1", "output": "10"}]}\n'
)
USED = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
COST = Decimal("0.0002")
GOOD = answer(whole(usage=USED))
STREAM = events(
    delta("Hi"),
    delta("!"),
    delta(finish="stop"),
    event(choices=[], usage=USED),
    "data: [DONE]\n\n",
)


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    """One that knows the models of these tests, read already."""
    path = tmp_path / "models.jsonl"
    path.write_text(LINE)
    registry = ModelRegistry(path)
    registry.models("openai")
    registry.models("local")
    return registry


@pytest.fixture
def most(registry: ModelRegistry) -> Decimal:
    """What the request of these tests costs at most."""
    found = worst_case_usd(request(), registry.get(MODEL))
    assert found is not None
    return found


@asynccontextmanager
async def gated(url: str, budget: Budget, registry: ModelRegistry) -> AsyncIterator[OpenAIClient]:
    """A client of `url` that asks nothing that `budget` does not allow."""
    environment = {
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": KEY,
        "LATTICE_LOCK_OPENAI_API": "chat",
    }
    async with client_for(OpenAIClient, **environment) as client:
        client.use(BudgetGate(budget, registry), PriceTag(registry))
        yield client


async def _ask(client: OpenAIClient, *, stream: bool) -> ChatResponse:
    """The answer to the request of these tests, in one piece or in many."""
    if not stream:
        return await client.chat_completion(request())
    *_, end = [one async for one in client.stream(request())]
    assert isinstance(end, StreamEnd)
    return end.response


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_is_settled_to_what_it_cost(
    registry: ModelRegistry,
    most: Decimal,
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """The worst case is held while the call runs, and its cost is spent afterwards."""
    budget = Budget(Decimal(1))
    held: list[Decimal] = []

    async def watch(wire: Wire) -> object:
        held.append(budget.held_usd)
        return await (STREAM if stream else GOOD)(wire)

    async with serving(watch) as server, gated(server.url, budget, registry) as client:
        assert (await _ask(client, stream=stream)).cost_usd == COST
    assert held == [most]
    assert (budget.spent_usd, budget.held_usd) == (COST, ZERO)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_not_left_is_not_asked(
    registry: ModelRegistry,
    most: Decimal,
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Nothing is sent for a call that might cost more than is left; exactly as much is enough."""
    budget = Budget(most - Decimal("1E-9"))
    async with serving(STREAM if stream else GOOD) as server:
        async with gated(server.url, budget, registry) as client:
            with pytest.raises(BudgetExceededError):
                await _ask(client, stream=stream)
        assert (server.requests, budget.held_usd, budget.spent_usd) == ([], ZERO, ZERO)
        async with gated(server.url, Budget(most), registry) as client:
            await _ask(client, stream=stream)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("model", "part", "why", "hint"),
    [
        ("openai/unknown", None, "its prices are unknown", "Give its `prices`"),
        ("openai/unpriced", None, "its prices are unknown", "Give its `prices`"),
        ("openai/boundless", None, "its longest answer is unknown", "Set `max_output_tokens`"),
        ("openai/windowless", LETTER, "its window is unknown", "Give its `max_input_tokens`"),
    ],
)
async def test_what_has_no_bound_is_not_asked(
    registry: ModelRegistry, model: str, part: Part | None, why: str, hint: str
) -> None:
    """The error says what is unknown and where to say it."""
    budget = Budget(Decimal(1000))
    async with serving(GOOD) as server, gated(server.url, budget, registry) as client:
        parts = () if part is None else (part,)
        with pytest.raises(BudgetExceededError, match=why) as caught:
            await client.chat_completion(request(*parts, model=ModelId.parse(model)))
    assert (caught.value.hint or "").startswith(hint)
    assert "LATTICE_LOCK_MODELS_FILE" in (caught.value.hint or "")
    assert (server.requests, budget.spent_usd) == ([], ZERO)


@pytest.mark.parametrize(
    ("step", "counts"),
    [
        (answer({"error": {"message": "No."}}, 400), False),
        (answer({"error": {"message": "No."}}, 429), False),
        (answer({"error": {"message": "No."}}, 500), True),
        (answer({"nonsense": 1}), True),
        (answer(whole(usage=None)), True),
    ],
)
async def test_a_failure_counts_unless_it_is_certainly_free(
    registry: ModelRegistry,
    most: Decimal,
    step: Any,
    counts: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A refusal releases the hold; what may have been paid for counts in full."""
    budget = Budget(Decimal(1))
    async with serving(step) as server, gated(server.url, budget, registry) as client:
        with suppress(APIClientError):
            assert (await client.chat_completion(request())).usage is None
    assert (budget.spent_usd, budget.held_usd) == (most if counts else ZERO, ZERO)


async def test_no_connection_costs_nothing(registry: ModelRegistry, most: Decimal) -> None:
    """Where nobody listens nothing was sent; a connection that breaks may have cost."""
    budget = Budget(Decimal(1))
    async with gated("http://127.0.0.1:9/v1", budget, registry) as client:
        with pytest.raises(ProviderConnectionError) as caught:
            await client.chat_completion(request())
    assert isinstance(caught.value.__cause__, NoConnectionError)
    assert (budget.spent_usd, budget.held_usd) == (ZERO, ZERO)

    async def reset(wire: Wire) -> None:
        wire.reset()

    async with serving(reset) as server, gated(server.url, budget, registry) as client:
        with pytest.raises(ProviderConnectionError):
            await client.chat_completion(request())
    assert (budget.spent_usd, budget.held_usd) == (most, ZERO)


async def test_a_call_that_is_cancelled_counts(registry: ModelRegistry, most: Decimal) -> None:
    """Once it was sent nobody knows what it costs."""
    budget = Budget(Decimal(1))
    came = asyncio.Event()

    async def silent(wire: Wire) -> None:
        came.set()
        await wire.until_hung_up()

    async with serving(silent) as server, gated(server.url, budget, registry) as client:
        task = asyncio.create_task(client.chat_completion(request()))
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (budget.spent_usd, budget.held_usd) == (most, ZERO)


async def test_a_stream_holds_until_it_is_closed(registry: ModelRegistry, most: Decimal) -> None:
    """Closed early it counts in full; after its last event its cost is known."""
    budget = Budget(Decimal(1))
    async with serving(STREAM) as server, gated(server.url, budget, registry) as client:
        async with aclosing(client.stream(request())) as stream:
            await anext(stream)
            assert (budget.held_usd, budget.spent_usd) == (most, ZERO)
        assert (budget.held_usd, budget.spent_usd) == (ZERO, most)
        async with aclosing(client.stream(request())) as stream:
            async for one in stream:
                if isinstance(one, StreamEnd):
                    break
        assert (budget.held_usd, budget.spent_usd) == (ZERO, most + COST)


@pytest.mark.parametrize(
    ("step", "counts"),
    [(events(delta("Hi")), True), (answer({"error": {"message": "No."}}, 429), False)],
)
async def test_a_broken_stream_counts_once_it_began(
    registry: ModelRegistry,
    most: Decimal,
    step: Any,
    counts: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """What broke off may cost as much as the whole; what never began was refused."""
    budget = Budget(Decimal(1))
    async with serving(step) as server, gated(server.url, budget, registry) as client:
        with pytest.raises(APIClientError):
            [_ async for _ in client.stream(request())]
    assert (budget.spent_usd, budget.held_usd) == (most if counts else ZERO, ZERO)


async def test_a_refusal_in_the_middle_of_a_stream_counts(
    registry: ModelRegistry, most: Decimal
) -> None:
    """The class of the error says nothing once some of the answer is there."""
    budget = Budget(Decimal(1))

    async def limited(_: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        yield TextDelta(text="H")
        raise _refused(RateLimitError, attempt=1)

    with pytest.raises(RateLimitError):
        [_ async for _ in BudgetGate(budget, registry).stream(request(), limited)]
    assert (budget.spent_usd, budget.held_usd) == (most, ZERO)


async def test_a_cost_above_the_hold_counts(registry: ModelRegistry) -> None:
    """What the provider says it took is spent, whatever was expected."""
    budget = Budget(Decimal(1))
    made = ChatResponse(
        model=MODEL,
        message=Message.assistant("Hi"),
        finish_reason=FinishReason.STOP,
        cost_usd=Decimal(3),
    )

    async def dear(_: ChatRequest) -> ChatResponse:
        return made

    assert await BudgetGate(budget, registry).chat_completion(request(), dear) is made
    assert (budget.spent_usd, budget.held_usd) == (Decimal(3), ZERO)


async def test_calls_at_once_never_exceed_the_budget(
    registry: ModelRegistry, most: Decimal
) -> None:
    """Of many calls at once only as many are sent as could all cost their worst."""
    budget = Budget(most * 3)
    full, every = asyncio.Event(), asyncio.Event()
    waiting = 0

    async def holds(wire: Wire) -> object:
        nonlocal waiting
        waiting += 1
        if waiting == 3:
            full.set()
        await every.wait()
        return await GOOD(wire)

    async with serving(holds) as server, gated(server.url, budget, registry) as client:
        calls = [asyncio.create_task(client.chat_completion(request())) for _ in range(10)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        await full.wait()
        assert budget.held_usd == budget.limit_usd
        every.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert done
    assert sum(isinstance(one, ChatResponse) for one in results) == 3 == len(server.requests)
    assert sum(isinstance(one, BudgetExceededError) for one in results) == 7
    assert (budget.spent_usd, budget.held_usd) == (3 * COST, ZERO)


async def test_embeddings_are_held_and_settled(registry: ModelRegistry) -> None:
    """Vectors are paid from the same budget."""
    budget = Budget(Decimal("0.0001"))
    gate = BudgetGate(budget, registry)
    wanted = EmbeddingRequest(model=MODEL, inputs=("x",))
    held: list[Decimal] = []

    async def embeds(asked: EmbeddingRequest) -> EmbeddingResponse:
        held.append(budget.held_usd)
        return EmbeddingResponse(model=asked.model, vectors=(), cost_usd=Decimal("1E-6"))

    await gate.embed(wanted, embeds)
    assert held == [worst_case_usd(wanted, registry.get(MODEL))]
    assert (budget.spent_usd, budget.held_usd) == (Decimal("1E-6"), ZERO)
    with pytest.raises(BudgetExceededError):
        await gate.embed(msgspec.structs.replace(wanted, inputs=("x" * 1000,)), embeds)

    async def limited(_: EmbeddingRequest) -> EmbeddingResponse:
        raise _refused(RateLimitError, attempt=1)

    with pytest.raises(RateLimitError):
        await gate.embed(wanted, limited)
    assert budget.spent_usd == Decimal("1E-6")
    assert len(held) == 1


async def test_free_models_need_no_budget(registry: ModelRegistry) -> None:
    """What runs on the user's own machine is asked even where nothing may be spent."""
    free = request(model=ModelId(provider="local", name="unheard-of"))

    async def answers(asked: ChatRequest) -> ChatResponse:
        return ChatResponse(
            model=asked.model, message=Message.assistant("Hi"), finish_reason=FinishReason.STOP
        )

    budget = Budget(ZERO)
    await BudgetGate(budget, registry).chat_completion(free, answers)
    assert (budget.spent_usd, budget.held_usd) == (ZERO, ZERO)
