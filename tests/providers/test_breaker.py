"""Leaving a model alone while its provider is down."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from lattice_lock.errors.retry import RetryPolicy
from lattice_lock.exceptions import (
    AllProvidersFailedError,
    AuthenticationError,
    ProviderUnavailableError,
    RateLimitError,
    ServerError,
)
from lattice_lock.messages import ModelId
from lattice_lock.providers.breaker import BreakerPolicy, Breakers
from lattice_lock.providers.fallback import FallbackManager
from wire_server import (
    ScriptedServer,
    Wire,
    answer,
    ask,
    client_of,
    delta,
    events,
    serving,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from lattice_lock.providers.local import LocalClient
    from wire_server import Step

MODEL = ModelId(provider="local", name="qwen")
OTHER = ModelId(provider="local", name="other")
POLICY = BreakerPolicy(failures=2, cooldown_s=10.0, max_cooldown_s=40.0)
ONCE = RetryPolicy(max_attempts=1)
DOWN = answer({}, 500)
_MANY = settings(max_examples=60, stateful_step_count=40)


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds since some moment."""
        return self.now


@pytest.fixture
def _hurried() -> Iterator[None]:
    """Let threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def opened(clock: Clock, model: ModelId = MODEL, breakers: Breakers | None = None) -> Breakers:
    """Breakers of which that of `model` has just opened."""
    breakers = breakers or Breakers(POLICY, clock=clock)
    for _ in range(POLICY.failures):
        breakers.failed(model, breakers.admit(model))
    return breakers


def refused(breakers: Breakers, model: ModelId = MODEL) -> float | None:
    """Seconds for which a call is refused, None where it is admitted."""
    try:
        breakers.admit(model)
    except ProviderUnavailableError as error:
        return error.retry_after_s
    return None


def test_failures_in_a_row_open_it_for_one_model() -> None:
    """An answer in between starts the count anew, and other models are not concerned."""
    clock = Clock()
    breakers = Breakers(POLICY, clock=clock)
    for _ in range(5):
        breakers.failed(MODEL, breakers.admit(MODEL))
        breakers.answered(MODEL, breakers.admit(MODEL))
    assert refused(breakers) is None
    opened(clock, breakers=breakers)
    clock.now += 3.0
    assert refused(breakers) == 7.0
    assert refused(breakers, OTHER) is None


def test_probes_that_fail_double_the_wait_up_to_a_bound() -> None:
    """Each probe that fails shuts the model for twice as long; one that succeeds opens the way."""
    clock = Clock()
    breakers = opened(clock)
    waits = []
    for _ in range(4):
        waits.append(refused(breakers) or 0.0)
        clock.now += waits[-1]
        breakers.failed(MODEL, breakers.admit(MODEL))
    assert waits == [10.0, 20.0, 40.0, 40.0]
    clock.now += 40.0
    breakers.answered(MODEL, breakers.admit(MODEL))
    assert [refused(breakers) for _ in range(3)] == [None] * 3


def test_a_probe_that_shows_nothing_leaves_its_place() -> None:
    """If the probe is cancelled, the next call is the probe, and just that one."""
    clock = Clock()
    breakers = opened(clock)
    clock.now += 10.0
    breakers.dropped(MODEL, breakers.admit(MODEL))
    assert refused(breakers) is None
    assert refused(breakers) == 0.0


def test_calls_from_before_decide_nothing() -> None:
    """What was under way when the breaker opened neither closes it nor takes the probe's place."""
    clock = Clock()
    breakers = Breakers(POLICY, clock=clock)
    early = [breakers.admit(MODEL) for _ in range(3)]
    opened(clock, breakers=breakers)
    assert not breakers.may_retry(MODEL, early[0])
    breakers.answered(MODEL, early[0])
    assert refused(breakers) == 10.0
    clock.now += 10.0
    probe = breakers.admit(MODEL)
    breakers.failed(MODEL, early[1])
    breakers.dropped(MODEL, early[2])
    assert refused(breakers) == 0.0
    breakers.answered(MODEL, probe)
    assert refused(breakers) is None


def test_the_last_resort_is_never_refused() -> None:
    """Who has nobody else to ask passes in every state, and an answer closes the breaker."""
    breakers = opened(Clock())
    probe = breakers.admit(MODEL, last_resort=True)
    beside = breakers.admit(MODEL, last_resort=True)
    assert refused(breakers) == 10.0
    breakers.failed(MODEL, beside)
    assert not breakers.may_retry(MODEL, probe)
    breakers.answered(MODEL, breakers.admit(MODEL, last_resort=True))
    assert refused(breakers) is None


@pytest.mark.usefixtures("_hurried")
def test_64_threads_get_one_probe() -> None:
    """Of 64 threads released at once, exactly one is admitted, time after time."""
    clock = Clock()
    breakers = opened(clock)
    barrier = threading.Barrier(64)

    def at_once(_: int) -> int | None:
        barrier.wait(30)
        try:
            return breakers.admit(MODEL)
        except ProviderUnavailableError:
            return None

    with ThreadPoolExecutor(64) as pool:
        for _ in range(100):
            clock.now += POLICY.max_cooldown_s
            tickets = [ticket for ticket in pool.map(at_once, range(64)) if ticket is not None]
            assert len(tickets) == 1
            breakers.failed(MODEL, tickets[0])


class _AnyOrder(RuleBasedStateMachine):
    """Calls begin and end in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breakers = Breakers(POLICY, clock=self.clock)
        self.ordinary: list[int] = []
        self.probes: list[int] = []

    @rule()
    def begin(self) -> None:
        """Start a call if it is admitted."""
        try:
            ticket = self.breakers.admit(MODEL)
        except ProviderUnavailableError:
            return
        (self.probes if ticket else self.ordinary).append(ticket)

    @rule()
    def wait(self) -> None:
        """Let the longest cooldown pass."""
        self.clock.now += POLICY.max_cooldown_s

    @rule()
    def fail(self) -> None:
        """End the oldest ordinary call badly."""
        if self.ordinary:
            self.breakers.failed(MODEL, self.ordinary.pop(0))

    @rule()
    def succeed(self) -> None:
        """End the oldest ordinary call well."""
        if self.ordinary:
            self.breakers.answered(MODEL, self.ordinary.pop(0))

    @rule()
    def drop_probe(self) -> None:
        """Cancel the probe."""
        if self.probes:
            self.breakers.dropped(MODEL, self.probes.pop(0))

    @rule()
    def fail_probe(self) -> None:
        """End the probe badly."""
        if self.probes:
            self.breakers.failed(MODEL, self.probes.pop(0))

    @invariant()
    def one_probe(self) -> None:
        """There is never a second probe."""
        assert len(self.probes) <= 1

    @override
    def teardown(self) -> None:
        """Whatever happened, a call is admitted once probe and cooldown are over."""
        for probe in self.probes:
            self.breakers.dropped(MODEL, probe)
        self.clock.now += POLICY.max_cooldown_s
        assert refused(self.breakers) is None


def test_any_order_of_events() -> None:
    """No order of events lets two probes through or shuts a model for good."""
    run_state_machine_as_test(_AnyOrder, settings=_MANY)


@asynccontextmanager
async def calling(
    *steps: Step, retry: RetryPolicy = ONCE
) -> AsyncIterator[tuple[LocalClient, ScriptedServer, Clock]]:
    """A client with breakers on an injected clock, and its server."""
    clock = Clock()
    async with serving(*steps) as server, client_of(server.url, retry=retry) as client:
        client.share_breakers(Breakers(POLICY, clock=clock))
        yield client, server, clock


async def failing(client: LocalClient, calls: int = POLICY.failures) -> None:
    """Make calls that the server fails."""
    for _ in range(calls):
        with pytest.raises(ServerError):
            await client.chat_completion(ask())


@pytest.mark.parametrize("stream", [False, True])
async def test_64_tasks_send_one_probe(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Of 64 calls at once after the cooldown one reaches the server, and its answer lets all in."""
    begun = asyncio.Event()
    go_on = asyncio.Event()
    good = answer(whole())
    if stream:
        good = events(delta("Hi"), delta(finish="stop"), "data: [DONE]\n\n")

    async def slow(wire: Wire) -> object:
        begun.set()
        await go_on.wait()
        return await good(wire)

    async with calling(DOWN, DOWN, slow) as (client, server, clock):

        async def call() -> str:
            if not stream:
                return (await client.chat_completion(ask())).text
            async with aclosing(client.stream(ask())) as items:
                return "".join([getattr(item, "text", "") async for item in items])

        await failing(client)
        clock.now += 10.0
        tasks = [asyncio.create_task(call()) for _ in range(64)]
        await asyncio.wait_for(begun.wait(), 10)
        assert len(server.requests) == 3
        assert sum(task.done() for task in tasks) == 63
        go_on.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [result for result in results if not isinstance(result, Exception)] == ["Hi"]
        assert sum(isinstance(result, ProviderUnavailableError) for result in results) == 63
        assert len(server.requests) == 3
        assert await asyncio.gather(*(call() for _ in range(8))) == ["Hi"] * 8


async def test_an_open_breaker_sends_nothing() -> None:
    """While the breaker is open a call fails at once, says until when, and no packet leaves."""
    async with calling(DOWN) as (client, server, clock):
        await failing(client)
        clock.now += 4.0
        with pytest.raises(ProviderUnavailableError, match=r"6\.0 s more") as caught:
            await client.chat_completion(ask())
        assert (caught.value.retry_after_s, caught.value.model) == (6.0, "qwen")
        assert len(server.requests) == 2


async def test_a_refusal_is_a_sign_of_life() -> None:
    """A provider that says no is there, so that it is never left alone for that."""
    async with calling(DOWN, answer({"error": "no"}, 401)) as (client, server, _):
        await failing(client, 1)
        for _ in range(5):
            with pytest.raises(AuthenticationError):
                await client.chat_completion(ask())
        assert len(server.requests) == 6


async def test_a_probe_is_one_request() -> None:
    """A probe that fails is not retried, whatever the policy allows."""
    retry = RetryPolicy(max_attempts=3, base_s=0.001)
    async with calling(DOWN, retry=retry) as (client, server, clock):
        await failing(client)
        clock.now += 10.0
        await failing(client, 1)
        assert len(server.requests) == 3 * POLICY.failures + 1


async def test_a_cancelled_probe_leaves_its_place() -> None:
    """When the caller of the probe gives up, the next call is the probe."""

    async def silent(wire: Wire) -> None:
        await wire.until_hung_up()

    async with calling(DOWN, DOWN, silent, answer(whole())) as (client, server, clock):
        await failing(client)
        clock.now += 10.0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.chat_completion(ask()), 0.2)
        assert (await client.chat_completion(ask())).text == "Hi"
        assert len(server.requests) == 4


async def test_a_hasty_caller_shuts_out_nobody() -> None:
    """Deadlines too short for any answer do not open the breaker."""

    async def silent(wire: Wire) -> None:
        await wire.until_hung_up()

    async with calling(*[silent] * 3, answer(whole())) as (client, _, _):
        for _ in range(3):
            with pytest.raises(Exception, match="LL-502"):
                await client.chat_completion(ask(timeout_s=0.05))
        assert (await client.chat_completion(ask())).text == "Hi"


async def test_retry_after_holds_for_everyone() -> None:
    """Who calls while another was told to wait waits too, and is refused if that is too long."""
    limited = answer({"error": "slow"}, 429, Retry_After="20")
    async with calling(limited, answer(whole())) as (client, server, clock):
        with pytest.raises(RateLimitError):
            await client.chat_completion(ask())
        with pytest.raises(ProviderUnavailableError) as caught:
            await client.chat_completion(ask(timeout_s=15.0))
        assert caught.value.retry_after_s == 20.0
        assert len(server.requests) == 1
        assert (await client.chat_completion(ask(model=OTHER))).text == "Hi"
        clock.now += 20.0
        assert (await client.chat_completion(ask())).text == "Hi"


async def test_a_short_wait_is_waited() -> None:
    """A call that comes during a short `Retry-After` is sent after it and not refused."""
    limited = answer({"error": "slow"}, 429, Retry_After="0.3")
    async with (
        serving(limited, answer(whole())) as server,
        client_of(server.url, retry=ONCE) as client,
    ):
        loop = asyncio.get_running_loop()
        with pytest.raises(RateLimitError):
            await client.chat_completion(ask())
        told = loop.time()
        assert (await client.chat_completion(ask())).text == "Hi"
        assert loop.time() - told >= 0.25


def test_what_is_left_alone_is_listed_with_its_time() -> None:
    """Open breakers and cool-downs are told apart from healthy models, until they are over."""
    clock = Clock()
    breakers = Breakers(POLICY, clock=clock)
    assert breakers.left_alone_s() == {}
    opened(clock, MODEL, breakers)
    breakers.failed(OTHER, breakers.admit(OTHER))
    assert breakers.left_alone_s() == {MODEL: 10.0}
    breakers.cool_down(OTHER, 4.0)
    breakers.cool_down(MODEL, 25.0)
    assert breakers.left_alone_s() == {MODEL: 25.0, OTHER: 4.0}
    clock.now += 4.0
    assert breakers.left_alone_s() == {MODEL: 21.0}
    clock.now += 21.0
    assert breakers.left_alone_s() == {}


async def test_fallback_passes_over_and_comes_back() -> None:
    """An open breaker costs nothing while another answers; alone, the one due first is asked."""
    models = [MODEL, OTHER]
    async with calling(answer(whole())) as (client, server, clock):
        breakers = opened(clock, MODEL, Breakers(POLICY, clock=clock))
        client.share_breakers(breakers)
        manager = FallbackManager({"local": client})
        assert (await manager.chat_completion(ask(), models)).model == OTHER
        clock.now += 5.0
        opened(clock, OTHER, breakers)
        for order in (models, models[::-1]):
            assert (await manager.chat_completion(ask(), order)).model == MODEL
            clock.now -= 5.0
            opened(clock, MODEL, breakers)
            clock.now += 5.0
        assert [request.json["model"] for request in server.requests] == ["other", "qwen", "qwen"]


async def test_all_open_and_down_keeps_every_cause() -> None:
    """The one asked after all is asked once, and each candidate has one cause."""
    async with calling(DOWN) as (client, server, clock):
        breakers = opened(clock, MODEL, Breakers(POLICY, clock=clock))
        client.share_breakers(opened(clock, OTHER, breakers))
        with pytest.raises(AllProvidersFailedError) as caught:
            await FallbackManager({"local": client}).chat_completion(ask(), [OTHER, MODEL])
        kinds = [type(error) for error in caught.value.exceptions]
        assert kinds == [ServerError, ProviderUnavailableError]
        assert len(server.requests) == 1
