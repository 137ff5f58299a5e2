"""The pooled transport: deadlines of each kind, proxies, and what it never does."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from lattice_lock.exceptions import (
    ProviderConnectionError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from lattice_lock.providers.transport import (
    MAX_RESPONSE_BYTES,
    Deadline,
    HttpRequest,
    Timeouts,
    Transport,
)
from lattice_lock.settings import Settings
from wire_server import NOWHERE, Wire, answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wire_server import ScriptedServer, Step

PATIENT = Timeouts(connect_s=5.0, first_byte_s=60.0, idle_s=60.0)
ELSEWHERE = "http://models.invalid/v1"


def get(url: str) -> HttpRequest:
    """A request for `url`."""
    return HttpRequest(provider="p", model="m", method="GET", url=url, headers={})


async def fetch(
    url: str, *, timeouts: Timeouts = PATIENT, total_s: float = 30.0, **environment: str
) -> bytes:
    """The body of what answers at `url`."""
    settings = Settings.load(environment=environment, dotenv=NOWHERE)
    async with (
        Transport(settings) as transport,
        transport.open(get(url), deadline=Deadline.after(total_s), timeouts=timeouts) as response,
    ):
        return await response.read()


@asynccontextmanager
async def serving_one(step: Step) -> AsyncIterator[ScriptedServer]:
    """A server with one kind of answer."""
    async with serving(step) as server:
        yield server


async def stuck_before_head(wire: Wire) -> None:
    """Say nothing."""
    await wire.until_hung_up()


async def stuck_before_body(wire: Wire) -> None:
    """Send a head and no body."""
    await wire.head()
    await wire.until_hung_up()


async def stuck_in_body(wire: Wire) -> None:
    """Send half a body."""
    await wire.head()
    await wire.send("half")
    await wire.until_hung_up()


@pytest.mark.parametrize(
    ("step", "timeouts", "total_s", "reason"),
    [
        (stuck_before_head, Timeouts(first_byte_s=0.1), 30.0, "nothing came for 0.1 s"),
        (stuck_before_body, Timeouts(first_byte_s=0.1), 30.0, "no byte of the answer"),
        (stuck_in_body, Timeouts(idle_s=0.1), 30.0, "nothing came for 0.1 s"),
        (stuck_before_head, PATIENT, 0.1, "0.1 s in all"),
        (stuck_before_body, PATIENT, 0.1, "0.1 s in all"),
        (stuck_in_body, PATIENT, 0.1, "0.1 s in all"),
    ],
)
async def test_each_silence_has_its_own_limit(
    step: Step, timeouts: Timeouts, total_s: float, reason: str
) -> None:
    """First byte, pause and total are limited each by itself, and the server is hung up on."""
    async with serving_one(step) as server:
        with pytest.raises(ProviderTimeoutError, match=reason):
            await fetch(server.url, timeouts=timeouts, total_s=total_s)
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_a_slow_drip_is_no_silence() -> None:
    """Bytes that keep coming are waited for beyond the limit of a single pause."""

    async def drip(wire: Wire) -> None:
        await wire.head()
        for _ in range(12):
            await asyncio.sleep(0.05)
            await wire.send("x")

    async with serving_one(drip) as server:
        assert await fetch(server.url, timeouts=Timeouts(idle_s=0.4)) == b"x" * 12


async def test_a_slow_drip_ends_at_the_deadline() -> None:
    """Bytes that never stop coming do not outlast the call."""

    async def drip(wire: Wire) -> None:
        await wire.head()
        while True:
            await asyncio.sleep(0.02)
            await wire.send("x")

    async with serving_one(drip) as server:
        with pytest.raises(ProviderTimeoutError, match="in all"):
            await fetch(server.url, timeouts=Timeouts(idle_s=5.0), total_s=0.3)


async def test_a_slow_consumer_is_no_silent_server() -> None:
    """Time that the caller spends between two reads does not count as the server's pause."""

    async def two(wire: Wire) -> None:
        await wire.head()
        await wire.send("one")
        await wire.until_hung_up()

    settings = Settings.load(environment={}, dotenv=NOWHERE)
    async with serving_one(two) as server, Transport(settings) as transport:
        request, deadline = get(server.url), Deadline.after(30.0)
        timeouts = Timeouts(idle_s=0.1, first_byte_s=math.inf)
        async with transport.open(request, deadline=deadline, timeouts=timeouts) as response:
            assert await response.read_chunk() == b"one"
            await asyncio.sleep(0.3)
            assert not server.hung_up.is_set()
            with pytest.raises(ProviderTimeoutError, match="nothing came"):
                await response.read_chunk()


async def test_nothing_is_accepted_at_connect() -> None:
    """A host that swallows packets is given up on after the connect limit."""
    # 192.0.2.0/24 is reserved for documentation; nothing answers there, or the network refuses.
    with pytest.raises(ProviderConnectionError):
        await fetch("http://192.0.2.1:9/v1", timeouts=Timeouts(connect_s=0.2), total_s=10.0)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
async def test_a_proxy_is_used(variable: str) -> None:
    """A request for another host goes to the proxy, which is told the whole address."""
    async with serving_one(answer({"via": "proxy"})) as proxy:
        address = proxy.url.removesuffix("/v1").removeprefix("http://")
        body = await fetch(ELSEWHERE, **{variable: address})  # type: ignore[arg-type]  # a name
    assert body == b'{"via": "proxy"}'
    assert proxy.requests[0].path == ELSEWHERE


@pytest.mark.parametrize("exempt", ["models.invalid", ".invalid", "*", "a.b, models.invalid"])
async def test_no_proxy_is_honoured(exempt: str) -> None:
    """A host that `NO_PROXY` names is asked directly."""
    async with serving_one(answer({})) as proxy:
        address = proxy.url.removesuffix("/v1")
        with pytest.raises(ProviderConnectionError):
            await fetch(ELSEWHERE, HTTP_PROXY=address, NO_PROXY=exempt)
    assert not proxy.requests


async def test_this_machine_is_never_asked_through_a_proxy() -> None:
    """A local server is reached directly, whatever the environment says."""
    async with serving_one(answer({})) as proxy, serving_one(answer({"direct": True})) as server:
        body = await fetch(server.url, HTTP_PROXY=proxy.url.removesuffix("/v1"))
    assert body == b'{"direct": true}'
    assert not proxy.requests


async def test_a_proxy_of_another_kind_is_an_error() -> None:
    """A SOCKS proxy, which cannot be used, is named and not silently passed by."""
    with pytest.raises(ProviderUnavailableError, match="HTTP_PROXY"):
        await fetch(ELSEWHERE, HTTP_PROXY="socks5://127.0.0.1:1")


async def test_a_proxy_that_refuses_is_a_connection_error() -> None:
    """A tunnel that the proxy denies is reported with its status, and without its password."""
    async with serving_one(answer({}, 407)) as proxy:
        address = proxy.url.removesuffix("/v1").replace("//", "//me:canary-pw@")
        with pytest.raises(ProviderConnectionError, match="407") as caught:
            await fetch("https://models.invalid/v1", HTTPS_PROXY=address)
    assert proxy.requests[0].method == "CONNECT"
    assert "canary-pw" not in repr(caught.value) + str(caught.value)


async def test_no_cookie_is_kept() -> None:
    """A cookie that a server sets does not come back to it."""
    settings = Settings.load(environment={}, dotenv=NOWHERE)
    async with (
        serving_one(answer({}, keep=True, Set_Cookie="a=1; Path=/")) as server,
        Transport(settings) as transport,
    ):
        for _ in range(2):
            request, deadline = get(server.url), Deadline.after(10.0)
            async with transport.open(request, deadline=deadline, timeouts=PATIENT) as response:
                await response.read()
    assert len(server.requests) == 2
    assert "cookie" not in server.requests[1].headers


async def test_what_follows_a_complete_message_cannot_spoil_it() -> None:
    """Draining ends quietly where more comes than any answer may have; the connection is closed."""
    read = asyncio.Event()

    async def junk(wire: Wire) -> None:
        await wire.head()
        await wire.send("message")
        await read.wait()
        await wire.send("junk")
        await wire.until_hung_up()

    settings = Settings.load(environment={}, dotenv=NOWHERE)
    async with serving_one(junk) as server, Transport(settings) as transport:
        deadline = Deadline.after(30.0)
        async with transport.open(get(server.url), deadline=deadline, timeouts=PATIENT) as response:
            assert await response.read_chunk() == b"message"
            read.set()
            response._received = MAX_RESPONSE_BYTES
            await response.drain(30.0)
        await server.hung_up.wait()
