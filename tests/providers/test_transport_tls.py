"""Certificates and proxies, with an authority, TLS servers and a CONNECT proxy of our own."""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trustme

from lattice_lock.exceptions import ProviderConnectionError, ProviderUnavailableError
from lattice_lock.providers.transport import (
    Deadline,
    HttpRequest,
    NoConnectionError,
    Timeouts,
    Transport,
)
from lattice_lock.settings import Secret, Settings
from wire_server import NOWHERE, ScriptedServer, answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from wire_server import Step, Wire

HOST = "models.invalid"  # no such name exists, so only a proxy can lead there
KEY = "sk-only-for-the-host"
_YES = b"HTTP/1.1 200 Connected\r\n\r\n"
REPLY = answer({"ok": 1})


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that only the tests trust."""
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """The file with the authority's certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def context_of(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """What a server with a certificate for `name` speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@asynccontextmanager
async def tls_server(
    authority: trustme.CA, name: str, step: Step = REPLY
) -> AsyncIterator[ScriptedServer]:
    """A server on loopback whose certificate is for `name`."""
    script = ScriptedServer([step])
    tls = context_of(authority, name)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0, ssl=tls)
    script.url = f"https://{name}:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        yield script


@asynccontextmanager
async def connect_proxy(
    port: int,
    asked: list[bytes],
    *,
    reply: Sequence[bytes] = tuple(bytes([byte]) for byte in _YES),
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """A proxy whose every CONNECT leads to `port` here; it notes what it was asked."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    serving_now: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving_now.append(asyncio.create_task(serve_one(reader, writer)))

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        for packet in reply:
            writer.write(packet)
            await asyncio.sleep(0)
        if b"".join(reply) != _YES:
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
            return
        inside, outside = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, outside), pump(inside, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.wait(serving_now, timeout=5) if serving_now else None


def port_of(server: ScriptedServer) -> int:
    """The port that `server` listens at."""
    return int(server.url.rsplit(":", 1)[1].partition("/")[0])


async def fetch(url: str, **environment: str) -> bytes:
    """The body of what answers at `url`, asked with a key."""
    settings = Settings.load(environment=environment, dotenv=NOWHERE)
    secret = {"Authorization": Secret(KEY)}
    request = HttpRequest(
        provider="p", model="m", method="GET", url=url, headers={}, secret_headers=secret
    )
    async with (
        Transport(settings) as transport,
        transport.open(request, deadline=Deadline.after(20.0), timeouts=Timeouts()) as response,
    ):
        return await response.read()


@pytest.mark.parametrize("variable", ["LATTICE_LOCK_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_an_authority_of_ones_own_is_trusted(
    authority: trustme.CA, bundle: str, variable: str
) -> None:
    """A server that the named authority vouches for is spoken to."""
    async with tls_server(authority, "localhost") as server:
        assert await fetch(server.url, **{variable: bundle}) == b'{"ok": 1}'


async def test_the_setting_of_our_own_wins(
    authority: trustme.CA, bundle: str, tmp_path: Path
) -> None:
    """`LATTICE_LOCK_CA_BUNDLE` stands above `SSL_CERT_FILE`."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    async with tls_server(authority, "localhost") as server:
        await fetch(server.url, LATTICE_LOCK_CA_BUNDLE=bundle, SSL_CERT_FILE=str(other))
        with pytest.raises(ProviderConnectionError):
            await fetch(server.url, LATTICE_LOCK_CA_BUNDLE=str(other), SSL_CERT_FILE=bundle)


async def test_a_stranger_gets_no_request(authority: trustme.CA) -> None:
    """Without the authority the certificate is refused before a byte of the request is sent."""
    async with tls_server(authority, "localhost") as server:
        with pytest.raises(ProviderConnectionError, match="is not trusted") as caught:
            await fetch(server.url)
    assert server.requests == []
    assert "LATTICE_LOCK_CA_BUNDLE" in str(caught.value)


async def test_a_certificate_is_for_its_host_only(authority: trustme.CA, bundle: str) -> None:
    """A good certificate of another name is refused."""
    async with tls_server(authority, "other.invalid") as server:
        url = server.url.replace("other.invalid", "localhost")
        with pytest.raises(ProviderConnectionError, match="is not trusted"):
            await fetch(url, LATTICE_LOCK_CA_BUNDLE=bundle)
    assert server.requests == []


@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_a_useless_bundle_names_its_variable(
    authority: trustme.CA, tmp_path: Path, content: str | None
) -> None:
    """A file that is missing or holds no certificate is an error of the setting."""
    path = tmp_path / "bad.pem"
    if content is not None:
        path.write_text(content)
    async with tls_server(authority, "localhost") as server:
        with pytest.raises(ProviderUnavailableError, match="cannot be used") as caught:
            await fetch(server.url, LATTICE_LOCK_CA_BUNDLE=str(path))
    assert "Correct `LATTICE_LOCK_CA_BUNDLE`" in str(caught.value)


async def test_a_proxy_sees_the_host_and_no_key(authority: trustme.CA, bundle: str) -> None:
    """HTTPS goes through the proxy's tunnel, verified end to end, and the key stays inside."""
    asked: list[bytes] = []
    async with (
        tls_server(authority, HOST) as server,
        connect_proxy(port_of(server), asked) as proxy,
    ):
        body = await fetch(server.url, HTTPS_PROXY=proxy, LATTICE_LOCK_CA_BUNDLE=bundle)
    assert body == b'{"ok": 1}'
    assert [head.split()[:2] for head in asked] == [
        [b"CONNECT", f"{HOST}:{port_of(server)}".encode()]
    ]
    assert KEY.encode() not in asked[0]
    assert server.requests[0].headers["authorization"] == KEY


async def test_a_proxy_that_meddles_is_found_out(bundle: str) -> None:
    """A tunnel that leads to somebody else's certificate carries no request."""
    async with (
        tls_server(trustme.CA(), HOST) as server,
        connect_proxy(port_of(server), []) as proxy,
    ):
        with pytest.raises(ProviderConnectionError, match="is not trusted"):
            await fetch(server.url, HTTPS_PROXY=proxy, LATTICE_LOCK_CA_BUNDLE=bundle)
    assert server.requests == []


@pytest.mark.parametrize("listed", [HOST, ".invalid", "*"])
async def test_no_proxy_names_hosts_to_reach_directly(
    authority: trustme.CA, bundle: str, listed: str
) -> None:
    """A host that `NO_PROXY` names is never asked for at the proxy."""
    asked: list[bytes] = []
    async with (
        tls_server(authority, HOST) as server,
        connect_proxy(port_of(server), asked) as proxy,
    ):
        environment = {"HTTPS_PROXY": proxy, "NO_PROXY": listed}
        with pytest.raises(ProviderConnectionError):
            await fetch(server.url, LATTICE_LOCK_CA_BUNDLE=bundle, **environment)
    assert asked == []


async def test_a_proxy_may_speak_tls_itself(authority: trustme.CA, bundle: str) -> None:
    """The tunnel is then TLS in TLS, and each end shows a certificate of its own."""
    asked: list[bytes] = []
    async with (
        tls_server(authority, HOST) as server,
        connect_proxy(port_of(server), asked, tls=context_of(authority, "127.0.0.1")) as proxy,
    ):
        body = await fetch(server.url, HTTPS_PROXY=proxy, LATTICE_LOCK_CA_BUNDLE=bundle)
        assert body == b'{"ok": 1}'
        assert len(asked) == 1
    async with (
        tls_server(authority, HOST) as server,
        connect_proxy(port_of(server), asked, tls=context_of(trustme.CA(), "127.0.0.1")) as proxy,
    ):
        where = proxy.removeprefix("https://")
        with pytest.raises(ProviderConnectionError, match=f"`{where}` is not trusted"):
            await fetch(server.url, HTTPS_PROXY=proxy, LATTICE_LOCK_CA_BUNDLE=bundle)
    assert len(asked) == 1


async def test_a_proxys_password_is_for_the_proxy(authority: trustme.CA, bundle: str) -> None:
    """User name and password open the tunnel, decoded, and the server sees neither."""
    asked: list[bytes] = []
    async with (
        tls_server(authority, HOST) as server,
        connect_proxy(port_of(server), asked) as proxy,
    ):
        with_name = proxy.replace("//", "//me:p%40w%C3%A9@")
        await fetch(server.url, HTTPS_PROXY=with_name, LATTICE_LOCK_CA_BUNDLE=bundle)
    pair = base64.b64encode("me:p@wé".encode())
    assert b"\r\nProxy-Authorization: Basic " + pair + b"\r\n" in asked[0]
    assert "proxy-authorization" not in server.requests[0].headers


async def test_a_plain_request_tells_the_proxy_who_asks() -> None:
    """Without a tunnel the password goes along with the request, which the proxy reads anyway."""
    async with serving(REPLY) as proxy:
        address = proxy.url.removesuffix("/v1").replace("//", "//me:pw@")
        assert await fetch("http://models.invalid/v1?a=b", HTTP_PROXY=address) == b'{"ok": 1}'
    received = proxy.requests[0]
    assert received.path == "http://models.invalid/v1?a=b"
    assert received.headers["host"] == "models.invalid"
    assert received.headers["proxy-authorization"] == "Basic bWU6cHc="


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", "HTTP status 502"),
        (b"HTTP/1.1 99 X\r\n\r\n", "the proxy does not speak HTTP"),
        (b"SSH-2.0-x\r\n\r\n", "the proxy does not speak HTTP"),
        (_YES + b"\x15\x03", "the proxy sent something of its own"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000, "the proxy does not speak HTTP"),
    ],
)
async def test_a_proxy_that_talks_nonsense_opens_nothing(
    authority: trustme.CA, bundle: str, reply: bytes, reason: str
) -> None:
    """What is no answer to CONNECT, or no yes, is a connection that was not made."""
    async with (
        tls_server(authority, HOST) as server,
        connect_proxy(port_of(server), [], reply=[reply]) as proxy,
    ):
        with pytest.raises(ProviderConnectionError, match=reason) as caught:
            await fetch(server.url, HTTPS_PROXY=proxy, LATTICE_LOCK_CA_BUNDLE=bundle)
    assert isinstance(caught.value.__cause__, NoConnectionError)
    assert server.requests == []


async def test_tls_may_end_without_a_farewell(authority: trustme.CA, bundle: str) -> None:
    """A body that ends with the connection is whole, and a shorter one than promised is not."""
    for head, whole in (("X: y", True), ("Content-Length: 9", False)):

        async def step(wire: Wire, head: str = head) -> None:
            await wire.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\ntext")
            wire.writer.transport.abort()

        async with tls_server(authority, "localhost", step) as server:
            if whole:
                assert await fetch(server.url, LATTICE_LOCK_CA_BUNDLE=bundle) == b"text"
            else:
                with pytest.raises(ProviderConnectionError, match="in the middle"):
                    await fetch(server.url, LATTICE_LOCK_CA_BUNDLE=bundle)


async def test_a_tls_connection_is_used_again(authority: trustme.CA, bundle: str) -> None:
    """The second call needs no second handshake, and a long body passes in both directions."""
    long = answer({"long": "a" * (1 << 20)}, keep=True)
    environment = {"LATTICE_LOCK_CA_BUNDLE": bundle}
    settings = Settings.load(environment=environment, dotenv=NOWHERE)
    body = bytes(range(256)) * 16 * 1024
    async with (
        tls_server(authority, "localhost", long) as server,
        Transport(settings) as transport,
    ):
        request = HttpRequest(provider="p", method="POST", url=server.url, headers={}, body=body)
        for _ in range(3):
            async with transport.open(
                request, deadline=Deadline.after(20.0), timeouts=Timeouts()
            ) as response:
                assert len(await response.read()) > 1 << 20
    assert server.connections == 1
    assert [received.body for received in server.requests] == [body] * 3


@pytest.mark.parametrize("through", [False, True], ids=["direct", "tunnel"])
async def test_a_handshake_that_is_given_up_leaves_nothing(bundle: str, *, through: bool) -> None:
    """Who is cancelled while the other side says nothing of TLS has closed the socket."""
    gone = asyncio.Event()
    met = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if through:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await reader.read(1)
        met.set()
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    environment = {"LATTICE_LOCK_CA_BUNDLE": bundle}
    if through:
        environment["HTTPS_PROXY"] = f"http://127.0.0.1:{port}"
    url = f"https://{HOST if through else 'localhost'}:{port}/v1"
    async with server:
        call = asyncio.create_task(fetch(url, **environment))
        await asyncio.wait_for(met.wait(), 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(gone.wait(), 5)
