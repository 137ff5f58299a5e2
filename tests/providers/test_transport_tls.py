"""Certificates and proxies, with an authority, TLS servers and a CONNECT proxy of our own."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trustme

from lattice_lock.exceptions import ProviderConnectionError, ProviderUnavailableError
from lattice_lock.providers.transport import Deadline, HttpRequest, Timeouts, Transport
from lattice_lock.settings import Secret, Settings
from wire_server import NOWHERE, ScriptedServer, answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOST = "models.invalid"  # no such name exists, so only a proxy can lead there
KEY = "sk-only-for-the-host"
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


@asynccontextmanager
async def tls_server(authority: trustme.CA, name: str) -> AsyncIterator[ScriptedServer]:
    """A server on loopback whose certificate is for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    script = ScriptedServer([REPLY])
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0, ssl=context)
    script.url = f"https://{name}:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        yield script


@asynccontextmanager
async def connect_proxy(port: int, asked: list[bytes]) -> AsyncIterator[str]:
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

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        inside, outside = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(pump(reader, outside), pump(inside, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


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
