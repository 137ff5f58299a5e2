"""The pool over real sockets: who gets which connection, how it is made, and when it ends."""

from __future__ import annotations

import asyncio
import gzip
import math
import socket
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.exceptions import (
    APIClientError,
    InvalidRequestError,
    InvalidResponseError,
    ProviderConnectionError,
    ProviderTimeoutError,
)
from lattice_lock.providers import _connections
from lattice_lock.providers import transport as transport_module
from lattice_lock.providers._connections import Authorities, Origin, Pool
from lattice_lock.providers.transport import (
    Deadline,
    HttpRequest,
    NoConnectionError,
    Timeouts,
    Transport,
)
from lattice_lock.settings import Secret, Settings
from wire_server import NOWHERE, ScriptedServer, Wire, answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lattice_lock.providers._connections import PooledConnection

KEPT = answer({"ok": 1}, keep=True)
TIMEOUTS = Timeouts(connect_s=5.0)


def asking(url: str, **fields: Any) -> HttpRequest:
    """A request for `url`."""
    given: dict[str, Any] = {"provider": "p", "method": "GET", "url": url, "headers": {}}
    return HttpRequest(**(given | fields))


@asynccontextmanager
async def opened() -> AsyncIterator[Transport]:
    """A transport without any settings."""
    async with Transport(Settings.load(environment={}, dotenv=NOWHERE)) as transport:
        yield transport


async def fetch(transport: Transport, url: str, *, total_s: float = 20.0, **fields: Any) -> bytes:
    """The body of what answers at `url`."""
    deadline = Deadline.after(total_s)
    async with transport.open(
        asking(url, **fields), deadline=deadline, timeouts=TIMEOUTS
    ) as response:
        return await response.read()


async def turns(count: int = 5) -> None:
    """Let the loop take note of what has come."""
    for _ in range(count):
        await asyncio.sleep(0.002)


async def test_a_connection_is_used_again_and_again() -> None:
    """Calls one after the other need one connection, calls at a time one each."""
    async with serving(KEPT) as server, opened() as transport:
        for _ in range(5):
            await fetch(transport, server.url)
        assert server.connections == 1
        await asyncio.gather(*(fetch(transport, f"{server.url}/{n}") for n in range(5)))
        assert server.connections <= 5
        made = server.connections
        await asyncio.gather(*(fetch(transport, server.url) for _ in range(made)))
        assert server.connections == made


async def _farewell(wire: Wire) -> str:
    """Answer, and hang up although the answer says nothing of it."""
    await wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    wire.writer.write_eof()
    return "keep"


async def _unasked(wire: Wire) -> str:
    """Answer, and answer once more a moment later."""
    await wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await asyncio.sleep(0.001)
    await wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    return "keep"


@pytest.mark.parametrize("step", [_farewell, _unasked])
async def test_a_connection_that_is_no_more_is_noticed(step: Any) -> None:
    """One that the server has closed, or on which it speaks unasked, is not used again."""
    async with serving(step) as server, opened() as transport:
        for number in range(1, 4):
            assert await fetch(transport, server.url) == b"ok"
            await turns()
            assert server.connections == number


async def test_a_connection_at_rest_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody holds a connection for longer than it may rest."""
    monkeypatch.setattr(_connections, "_REST_S", 0.02)
    closed = asyncio.Event()

    async def last(wire: Wire) -> None:
        await KEPT(wire)
        await wire.reader.read()
        closed.set()

    async with serving(last) as server, opened() as transport:
        await fetch(transport, server.url)
        await asyncio.wait_for(closed.wait(), 5)
        await fetch(transport, server.url)
        assert server.connections == 2


async def test_an_answer_that_was_left_costs_the_connection() -> None:
    """Leaving a body in its middle closes the socket at once; a whole one that nobody read not."""

    async def half(wire: Wire) -> None:
        await wire.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await wire.until_hung_up()

    async with serving(half) as server, opened() as transport:
        async with transport.open(
            asking(server.url), deadline=Deadline.after(9), timeouts=TIMEOUTS
        ) as response:
            assert await response.read_chunk() == b"half"
        await asyncio.wait_for(server.hung_up.wait(), 5)
        with pytest.raises(RuntimeError, match="closed"):
            await response.read_chunk()


async def test_a_tail_is_not_waited_for_longer_than_said() -> None:
    """A body that goes on after the end of its message costs the connection and no time."""

    async def open_end(wire: Wire) -> None:
        await wire.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await wire.until_hung_up()

    async with serving(open_end) as server, opened() as transport:
        async with transport.open(
            asking(server.url), deadline=Deadline.after(60), timeouts=TIMEOUTS
        ) as response:
            assert await response.read_chunk() == b"half"
            await asyncio.wait_for(response.drain(0.01), 5)
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_who_is_cancelled_hangs_up() -> None:
    """A call that is cancelled while it waits for the answer closes its socket at once."""

    async def silent(wire: Wire) -> None:
        await wire.until_hung_up()

    async with serving(silent) as server, opened() as transport:
        call = asyncio.create_task(fetch(transport, server.url))
        while not server.requests:  # noqa: ASYNC110  # a server has no event for it
            await asyncio.sleep(0.001)
        call.cancel()
        await asyncio.wait_for(server.hung_up.wait(), 5)
        assert not transport._pool._connections
        with pytest.raises(asyncio.CancelledError):
            await call


@pytest.fixture
def two_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of two connections."""
    monkeypatch.setattr(_connections, "_MAX_CONNECTIONS", 2)


class Gate(ScriptedServer):
    """A server that answers each request when it is told to."""

    def __init__(self) -> None:
        super().__init__([self._step])
        self.waiting: list[tuple[str, asyncio.Event]] = []

    async def _step(self, wire: Wire) -> object:
        let_go = asyncio.Event()
        self.waiting.append((self.requests[-1].path, let_go))
        await let_go.wait()
        return await KEPT(wire)

    async def until(self, count: int) -> None:
        """Wait until `count` requests have come."""
        async with asyncio.timeout(5):
            while len(self.waiting) < count:  # noqa: ASYNC110  # a server has no event for it
                await asyncio.sleep(0.001)

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [path for path, _ in self.waiting]


@asynccontextmanager
async def gates(count: int) -> AsyncIterator[list[Gate]]:
    """Servers that answer when they are told to."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            gate = Gate()
            server = await asyncio.start_server(gate.serve, "127.0.0.1", 0)
            gate.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await stack.enter_async_context(server)
            found.append(gate)
        yield found


@pytest.mark.usefixtures("two_at_most")
async def test_who_finds_none_free_waits_his_turn() -> None:
    """No more connections than allowed, and those who wait get theirs in the order they came."""
    async with gates(1) as (gate,), opened() as transport:
        calls = [asyncio.create_task(fetch(transport, f"{gate.url}/{n}")) for n in range(8)]
        await turns()
        for done in range(8):
            await gate.until(done + 1)
            gate.waiting[done][1].set()
        assert await asyncio.gather(*calls) == [b'{"ok": 1}'] * 8
        assert sorted(gate.paths[:2]) == ["/0", "/1"]
        assert gate.paths[2:] == [f"/{n}" for n in range(2, 8)]
        assert gate.connections == 2


@pytest.mark.usefixtures("two_at_most")
async def test_who_goes_away_leaves_his_turn_to_the_next() -> None:
    """Waiting calls that are cancelled, even as their turn comes, take no connection along."""
    async with gates(1) as (gate,), opened() as transport:
        calls = [asyncio.create_task(fetch(transport, f"{gate.url}/{n}")) for n in range(6)]
        await gate.until(2)
        calls[2].cancel()
        for _, let_go in gate.waiting[:2]:
            let_go.set()
        while not any(call.done() for call in calls[:2]):  # noqa: ASYNC110  # to the very turn
            await asyncio.sleep(0)
        calls[3].cancel()  # its turn has come, and it does not know yet
        results = asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(5):
            while not results.done():
                for _, let_go in gate.waiting:
                    let_go.set()
                await asyncio.sleep(0.001)
        cancelled = [isinstance(one, asyncio.CancelledError) for one in results.result()]
        assert cancelled[2]
        assert not any(cancelled[:2] + cancelled[4:])
        for _ in range(4):
            call = asyncio.create_task(fetch(transport, f"{gate.url}/after"))
            seen = len(gate.waiting)
            await gate.until(seen + 1)
            gate.waiting[seen][1].set()
            await call
        assert transport._pool._taken <= 2


@pytest.mark.usefixtures("two_at_most")
async def test_connections_elsewhere_make_room() -> None:
    """A full pool gives up what rests, and what becomes free, for another server."""
    async with gates(3) as (first, second, third), opened() as transport:
        for gate in (first, second, third):
            call = asyncio.create_task(fetch(transport, gate.url))
            await gate.until(1)
            gate.waiting[0][1].set()
            await asyncio.wait_for(call, 5)
        busy = [asyncio.create_task(fetch(transport, gate.url)) for gate in (first, second)]
        await first.until(2)
        await second.until(2)
        waiting = asyncio.create_task(fetch(transport, third.url))
        await turns()
        first.waiting[1][1].set()
        await third.until(2)
        third.waiting[1][1].set()
        second.waiting[1][1].set()
        async with asyncio.timeout(5):
            await asyncio.gather(waiting, *busy)


@pytest.mark.usefixtures("two_at_most")
async def test_waiting_ends_at_the_deadline() -> None:
    """A call that gets no connection in time was never sent."""
    async with gates(1) as (gate,), opened() as transport:
        busy = [asyncio.create_task(fetch(transport, gate.url)) for _ in range(2)]
        await gate.until(2)
        with pytest.raises(ProviderTimeoutError, match=r"the call had 0.05 s") as caught:
            await fetch(transport, gate.url, total_s=0.05)
        assert isinstance(caught.value.__cause__, NoConnectionError)
        for _, let_go in gate.waiting:
            let_go.set()
        await asyncio.gather(*busy)
        assert gate.paths == ["/", "/"]


@pytest.mark.usefixtures("two_at_most")
async def test_closing_ends_what_is_under_way() -> None:
    """Calls that wait for an answer or for a connection end when the transport is closed."""
    async with gates(1) as (gate,), opened() as transport:
        calls = [asyncio.create_task(fetch(transport, gate.url)) for _ in range(4)]
        await gate.until(2)
        await transport.aclose()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, ProviderConnectionError) for result in results)
        call = asyncio.create_task(fetch(transport, gate.url))
        await gate.until(3)
        gate.waiting[2][1].set()
        assert await call == b'{"ok": 1}'


@pytest.mark.usefixtures("two_at_most")
async def test_failures_give_their_place_back() -> None:
    """However many connections fail, break and are cancelled, two calls at a time remain."""
    steps = [answer({}), KEPT, lambda wire: wire.reset() or asyncio.sleep(0)]
    async with serving(*steps * 10) as server, opened() as transport:

        async def one(number: int) -> None:
            url = "http://127.0.0.1:1" if number % 4 == 0 else server.url
            try:
                async with asyncio.timeout(0.001 if number % 5 == 0 else 5):
                    await fetch(transport, url)
            except (APIClientError, TimeoutError):
                pass

        await asyncio.gather(*(one(number) for number in range(60)))
        pool = transport._pool
        await turns()
        assert pool._taken == len(pool._connections) <= 2
        assert not pool._waiting


@asynccontextmanager
async def pool_of_one(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Pool, Origin]]:
    """A pool of one connection, and where it leads."""
    monkeypatch.setattr(_connections, "_MAX_CONNECTIONS", 1)
    async with serving(KEPT) as server:
        port = int(server.url.rsplit(":", 1)[1].partition("/")[0])
        pool = Pool(Authorities(Settings.load(environment={}, dotenv=NOWHERE)))
        yield pool, Origin(host="127.0.0.1", port=port, tls=False, proxy=None)
        pool.close()
        await turns()


async def exchange(connection: PooledConnection) -> None:
    """Ask and be answered."""
    connection.begin(
        deadline_at=math.inf, first_byte_at=math.inf, max_pause_s=math.inf, bodiless=False
    )
    connection.send(b"GET / HTTP/1.1\r\n\r\n", None)
    await connection.head()
    while await connection.chunk():
        pass


async def queue_up(pool: Pool, origin: Origin) -> asyncio.Task[PooledConnection]:
    """A call that waits for its turn."""
    waiting = asyncio.create_task(pool.connect(origin, within_s=5))
    await asyncio.sleep(0)
    return waiting


async def test_a_place_that_nobody_takes_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is cancelled in the moment in which he may connect lets the next one connect."""
    async with pool_of_one(monkeypatch) as (pool, origin):
        first = await pool.connect(origin, within_s=5)
        gone, last = await queue_up(pool, origin), await queue_up(pool, origin)
        first.close()
        gone.cancel()
        assert not (await asyncio.wait_for(last, 5)).closed
        assert gone.cancelled()
        assert (pool._taken, len(pool._waiting)) == (1, 0)


async def test_a_connection_that_nobody_takes_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is cancelled in the moment in which he gets a connection leaves it to the next one."""
    async with pool_of_one(monkeypatch) as (pool, origin):
        first = await pool.connect(origin, within_s=5)
        await exchange(first)
        gone, last = await queue_up(pool, origin), await queue_up(pool, origin)
        pool.give_back(first)
        gone.cancel()
        assert await asyncio.wait_for(last, 5) is first
        await exchange(first)
        gone = await queue_up(pool, origin)
        pool.give_back(first)
        gone.cancel()
        await turns()
        assert pool.resting(origin) is first


async def test_a_connection_that_ends_on_its_way_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is closed between two calls is not what the second one gets."""
    async with pool_of_one(monkeypatch) as (pool, origin):
        first = await pool.connect(origin, within_s=5)
        await exchange(first)
        second = await queue_up(pool, origin)
        pool.give_back(first)
        first.close()
        connection = await asyncio.wait_for(second, 5)
        assert connection is not first
        await exchange(connection)


class Names:
    """A name server: what it was asked, and what it knows."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    def __call__(self, host: bytes, port: int, **_: object) -> list[tuple[Any, ...]]:
        """Answer as `socket.getaddrinfo` does."""
        self.asked.append(host.decode())
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self.addresses
        ]


async def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections are made within a minute, and at a time."""
    names = Names("127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    async with serving(answer({})) as server, opened() as transport:
        url = server.url.replace("127.0.0.1", "Models.example")
        await asyncio.gather(*(fetch(transport, url) for _ in range(5)))
        await fetch(transport, url)
        assert names.asked == ["models.example"]
        monkeypatch.setattr(_connections, "_NAME_S", 0.0)
        transport._pool._names.clear()
        await fetch(transport, url)
        await fetch(transport, url)
        assert len(names.asked) == 3
    assert server.requests[0].headers["host"].startswith("models.example:")


async def test_who_is_cancelled_leaves_the_question_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look-up that several wait for goes on although the one who began it has gone."""
    names, may_answer = Names("127.0.0.1"), threading.Event()

    def slowly(host: bytes, port: int, **more: object) -> list[tuple[Any, ...]]:
        may_answer.wait(5)
        return names(host, port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    async with serving(answer({})) as server, opened() as transport:
        url = server.url.replace("127.0.0.1", "models.example")
        first = asyncio.create_task(fetch(transport, url))
        second = asyncio.create_task(fetch(transport, url))
        await turns()
        first.cancel()
        await turns()
        may_answer.set()
        assert await second == b"{}"
        assert names.asked == ["models.example"]


async def test_an_unknown_name_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a name was not found is not remembered, and is an error that nothing was sent with."""
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    async with opened() as transport:
        for count in (1, 2):
            with pytest.raises(ProviderConnectionError, match="not known") as caught:
                await fetch(transport, "http://models.example/")
            assert isinstance(caught.value.__cause__, NoConnectionError)
            assert len(names.asked) == count


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that refuses, or that does not answer, hands over to the next one."""
    names = Names("127.0.0.2", "192.0.2.1", "127.0.0.1", "::1")
    tried: list[str] = []
    real = _connections._socket

    async def connecting(address: Any) -> socket.socket:
        tried.append(address[1][0])
        if address[1][0] == "192.0.2.1":
            await asyncio.Event().wait()
        return await real(address)

    monkeypatch.setattr(socket, "getaddrinfo", names)
    monkeypatch.setattr(_connections, "_socket", connecting)
    monkeypatch.setattr(_connections, "_NEXT_ADDRESS_S", 0.01)
    async with serving(answer({})) as server, opened() as transport:
        url = server.url.replace("127.0.0.1", "models.example")
        assert await fetch(transport, url) == b"{}"
        assert tried[:2] == ["127.0.0.2", "::1"], "the families take turns"
        assert tried[-1] == "127.0.0.1"
        names.addresses = ("127.0.0.2", "127.0.0.3")
        transport._pool._names.clear()
        with pytest.raises(ProviderConnectionError, match="Connect"):
            await fetch(transport, url)
        names.addresses = ("192.0.2.1", "192.0.2.1")
        transport._pool._names.clear()
        with pytest.raises(ProviderTimeoutError):
            await fetch(transport, url, total_s=0.1)
        assert not [task for task in asyncio.all_tasks() if "connecting" in repr(task)]


async def test_connecting_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent where a connection takes longer than it may."""

    async def never(_address: object) -> socket.socket:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(_connections, "_socket", never)
    async with opened() as transport:
        slow = transport.open(
            asking("http://127.0.0.1:1"),
            deadline=Deadline.after(30),
            timeouts=Timeouts(connect_s=0.02),
        )
        with pytest.raises(ProviderTimeoutError, match=r"No connection to .* within 0.02 s") as e:
            await slow.__aenter__()
    assert isinstance(e.value.__cause__, NoConnectionError)


async def test_an_ipv6_address_is_reached() -> None:
    """An address in brackets is one, and stands so in `Host`."""
    script = ScriptedServer([answer({})])
    try:
        server = await asyncio.start_server(script.serve, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    port = server.sockets[0].getsockname()[1]
    async with server, opened() as transport:
        assert await fetch(transport, f"http://[::1]:{port}/v1") == b"{}"
    assert script.requests[0].headers["host"] == f"[::1]:{port}"


async def test_a_long_body_arrives_whole() -> None:
    """Sixteen MiB are written no faster than they are read, and none of it is lost."""
    body = bytes(range(256)) * 64 * 1024
    async with serving(KEPT) as server, opened() as transport:
        await fetch(transport, server.url, method="POST", body=body)
        await fetch(transport, server.url, method="POST", body=b"short")
        await fetch(transport, server.url, method="POST")
    assert [request.body for request in server.requests] == [body, b"short", b""]
    assert server.requests[2].headers["content-length"] == "0"
    assert server.connections == 1


async def test_a_refusal_before_the_body_is_read_is_heard() -> None:
    """A server that answers in the middle of a long request is listened to at once."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await done.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, opened() as transport:
        request = asking(f"http://127.0.0.1:{port}/", method="POST", body=bytes(32 << 20))
        async with transport.open(
            request, deadline=Deadline.after(20), timeouts=TIMEOUTS
        ) as response:
            assert (response.status, await response.read()) == (413, b"no")
        assert not transport._pool._connections
        done.set()


async def test_a_fast_server_fills_no_memory() -> None:
    """While nobody reads, no more than half a MiB of the answer is held."""
    sent = 0

    async def flood(wire: Wire) -> None:
        nonlocal sent
        await wire.head()
        while True:
            await wire.send(bytes(64 << 10))
            sent += 64 << 10

    async with serving(flood) as server, opened() as transport:
        async with transport.open(
            asking(server.url), deadline=Deadline.after(20), timeouts=TIMEOUTS
        ) as response:
            assert await response.read_chunk()
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.05)
            assert len(await response.read_chunk()) <= 512 << 10
            assert len(await response.read_chunk()) <= 512 << 10
        await asyncio.wait_for(server.hung_up.wait(), 5)


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X": "日"}},
        {"headers": {"Host": "elsewhere"}},
        {"secret_headers": {"Key": Secret("canary\n")}},
        {"url": "http://me:canary@127.0.0.1/"},
        {"url": "nowhere"},
    ],
)
async def test_what_cannot_be_sent_is_not_sent(fields: dict[str, Any]) -> None:
    """A header or an address that says more than it may is the caller's error."""
    async with serving(KEPT) as server, opened() as transport:
        await fetch(transport, server.url)
        with pytest.raises(InvalidRequestError) as caught:
            await fetch(transport, **({"url": server.url} | fields))
        if "secret_headers" in fields:
            assert "canary" not in f"{caught.value!r} {caught.value.__context__!r}"
        assert len(server.requests) == 1
        assert await fetch(transport, server.url) == b'{"ok": 1}'


async def _coded(coding: str, body: bytes) -> bytes:
    async def step(wire: Wire) -> None:
        await wire.send(f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n", body)

    async with serving(step) as server, opened() as transport:
        read = await fetch(transport, server.url)
        assert server.requests[0].headers["accept-encoding"] == "identity"
        return read


@pytest.mark.parametrize(("coding", "readable"), [("GZIP", True), ("identity", False)])
async def test_codings_are_known_by_name(coding: str, *, readable: bool) -> None:
    """A name in any case is known, and no coding is none."""
    packed = gzip.compress(b"text")
    assert await _coded(coding, packed) == (b"text" if readable else packed)


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        ("br", b"text", "in the coding `br`"),
        ("gzip, br", b"text", "in the coding"),
        ("gzip", b"text", "not compressed as it says"),
        ("gzip", b"\x1f\x8b\x08", "not compressed as it says"),
    ],
)
async def test_other_codings_are_unreadable(coding: str, body: bytes, reason: str) -> None:
    """What nobody has asked for and cannot be undone is no answer."""
    with pytest.raises(InvalidResponseError, match=reason) as caught:
        await _coded(coding, body)
    assert caught.value.status == 200


async def test_a_bomb_holds_nobody_up() -> None:
    """While an answer grows a thousandfold, the loop turns between its steps."""
    turned = 0

    async def tick() -> None:
        nonlocal turned
        while True:
            await asyncio.sleep(0)
            turned += 1

    ticking = asyncio.create_task(tick())
    packed = gzip.compress(bytes(32 << 20))

    async def step(wire: Wire) -> None:
        await wire.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", packed)

    async with (
        serving(step) as server,
        opened() as transport,
        transport.open(
            asking(server.url), deadline=Deadline.after(20), timeouts=TIMEOUTS
        ) as response,
    ):
        assert await response.read_chunk()
        before = turned
        await response.read()
        assert turned - before >= (32 << 20) // (256 << 10) // 2
    ticking.cancel()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("identity", bytes(10_001)),
        ("gzip", gzip.compress(bytes(10_001))),
        ("gzip", gzip.compress(b"") * 1000),
    ],
    ids=["plain", "undone", "before it is undone"],
)
async def test_a_body_is_bounded(monkeypatch: pytest.MonkeyPatch, coding: str, body: bytes) -> None:
    """What is too long is so in either of its forms."""
    monkeypatch.setattr(transport_module, "MAX_RESPONSE_BYTES", 10_000)
    with pytest.raises(InvalidResponseError, match="longer than 10000"):
        await _coded(coding, body)
