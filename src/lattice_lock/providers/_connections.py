"""Where connections come from: names, proxies, TLS, and the pool that keeps those at rest.

What fails here has sent nothing to the server, and comes out as a `NoConnectionError`.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import socket
import ssl
from collections import deque
from functools import partial
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from typing_extensions import override

from lattice_lock.providers._http1 import Connection, drop_frames
from lattice_lock.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from lattice_lock.settings import Settings

    _Address: TypeAlias = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]

__all__ = [
    "Authorities",
    "NoConnectionError",
    "Origin",
    "Pool",
    "Proxy",
    "ProxyRefusedError",
    "TooSlowError",
    "UntrustedError",
    "UnusableAuthoritiesError",
    "authority",
]

_MAX_CONNECTIONS = 512
_REST_S = 30.0
_NAME_S = 60.0
# Source: RFC 8305, section 5.
_NEXT_ADDRESS_S = 0.25
_MAX_TUNNEL_HEAD = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: |\Z|\r)")
_OK = range(200, 300)
_AT_ONCE = "the connection was closed as soon as it was made"
_BUNDLES = ("LATTICE_LOCK_CA_BUNDLE", "SSL_CERT_FILE")


class NoConnectionError(OSError):
    """There is no connection, so nothing was sent."""


class TooSlowError(NoConnectionError):
    """Connecting took longer than it may."""


class UntrustedError(NoConnectionError):
    """The certificate of the server or proxy at `where` is not to be trusted."""

    def __init__(self, error: ssl.SSLCertVerificationError, where: str) -> None:
        super().__init__(str(error))
        self.where = where


class ProxyRefusedError(NoConnectionError):
    """The proxy does not connect to the server; `status` is what it answered."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


class UnusableAuthoritiesError(Exception):
    """The file that `variable` names has no certificates that can be read."""

    def __init__(self, error: OSError, *, variable: str, path: str) -> None:
        super().__init__(error.strerror)
        self.variable = variable
        self.path = path


class Authorities:
    """What certificates are verified by: a bundle that the settings name, else the system's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loading = asyncio.Lock()
        self._context: ssl.SSLContext | None = None

    async def context(self) -> ssl.SSLContext:
        """The authorities, read once and away from the event loop.

        Raises:
            UnusableAuthoritiesError: the bundle cannot be read.
        """
        async with self._loading:
            if self._context is None:
                self._context = await asyncio.to_thread(self._load)
        return self._context

    def _load(self) -> ssl.SSLContext:
        for variable in _BUNDLES:
            if path := self._settings.text(variable):
                try:
                    context = ssl.create_default_context(cafile=path)
                except OSError as error:  # `ssl.SSLError` is one
                    raise UnusableAuthoritiesError(error, variable=variable, path=path) from None
                break
        else:
            context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context


class Proxy:
    """A proxy, and what opens it."""

    __slots__ = ("authorization", "host", "port", "tls")

    def __init__(
        self, *, host: str, port: int, tls: bool, user: str | None, password: str | None
    ) -> None:
        self.host = host
        self.port = port
        self.tls = tls
        self.authorization: Secret | None = None
        if user is not None or password is not None:
            pair = f"{user or ''}:{password or ''}".encode()
            self.authorization = Secret(f"Basic {base64.b64encode(pair).decode()}")


class Origin:
    """One server as it is reached, and the connections to it that are at rest."""

    __slots__ = ("host", "port", "proxy", "resting", "tls")

    def __init__(self, *, host: str, port: int, tls: bool, proxy: Proxy | None) -> None:
        self.host = host
        self.port = port
        self.tls = tls
        self.proxy = proxy
        self.resting: list[PooledConnection] = []


class PooledConnection(Connection):
    """A connection that knows where it leads, and who keeps it."""

    __slots__ = ("_pool", "origin")

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Pool, origin: Origin) -> None:
        super().__init__(loop)
        self._pool = pool
        self.origin = origin

    @override
    def _on_close(self) -> None:
        self._pool.forget(self)


class Pool:
    """The connections of one event loop, 512 at most; who finds none free waits for his turn."""

    def __init__(self, authorities: Authorities) -> None:
        self._authorities = authorities
        self._connections: set[PooledConnection] = set()
        self._taken = 0  # connections there are, and those that are being made
        self._waiting: deque[tuple[Origin, asyncio.Future[PooledConnection | None]]] = deque()
        self._names: dict[tuple[str, int], tuple[asyncio.Future[list[_Address]], float]] = {}

    def close(self) -> None:
        """Close every connection, whatever it does."""
        waiting, self._waiting = self._waiting, deque()
        for _, turn in waiting:
            if not turn.done():
                turn.set_exception(NoConnectionError("the transport was closed"))
        for connection in tuple(self._connections):
            connection.close()

    def resting(self, origin: Origin) -> PooledConnection | None:
        """A connection to `origin` that can be used now, None where there is none."""
        return origin.resting.pop() if origin.resting else None

    async def connect(self, origin: Origin, *, within_s: float) -> PooledConnection:
        """A connection to `origin` that can be used now.

        Args:
            within_s: seconds that making one may take, once it is its turn.

        Raises:
            NoConnectionError: there is none.
            UnusableAuthoritiesError: nothing could be verified.
        """
        while (connection := await self._turn(origin)) is not None:
            if not connection.closed:
                return connection
        try:
            async with asyncio.timeout(within_s) as scope:
                connection = await self._made(origin)
        except BaseException as error:
            self._pass_on()
            if isinstance(error, TimeoutError) and scope.expired():
                raise TooSlowError from None
            raise
        self._connections.add(connection)
        return connection

    def give_back(self, connection: PooledConnection) -> None:
        """End the exchange on `connection`, and let the next one have it."""
        if connection.rest(asyncio.get_running_loop().time() + _REST_S):
            self._offer(connection)

    def forget(self, connection: PooledConnection) -> None:
        """Let another connection be made in place of one that was closed."""
        if connection in self._connections:
            self._connections.remove(connection)
            if connection in connection.origin.resting:
                connection.origin.resting.remove(connection)
            self._pass_on()

    async def _turn(self, origin: Origin) -> PooledConnection | None:
        """A connection of another call, or None for the permission to make one."""
        if self._taken < _MAX_CONNECTIONS:
            self._taken += 1
            return None
        turn: asyncio.Future[PooledConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((origin, turn))
        if spare := next((c.origin.resting for c in self._connections if c.origin.resting), None):
            spare[0].close()  # whose place goes to whoever waits
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                if (given := turn.result()) is None:
                    self._pass_on()
                elif not given.closed:
                    self._offer(given)
            raise

    def _offer(self, connection: PooledConnection) -> None:
        """Give a connection at rest to whoever has waited longest, else keep it."""
        while self._waiting:
            origin, turn = self._waiting[0]
            if turn.done():
                self._waiting.popleft()
            elif origin is connection.origin:
                self._waiting.popleft()
                turn.set_result(connection)
                return
            else:
                connection.close()  # whose place goes to whoever waits
                return
        connection.origin.resting.append(connection)

    def _pass_on(self) -> None:
        """Give the place of a connection that is no more to whoever has waited longest."""
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1

    async def _made(self, origin: Origin) -> PooledConnection:
        loop = asyncio.get_running_loop()
        connection = PooledConnection(loop, self, origin)
        first = origin.proxy or origin
        try:
            tls = await self._authorities.context() if first.tls or origin.tls else None
            if origin.proxy is not None and origin.tls:
                await self._through_tunnel(origin, origin.proxy, connection, tls)
            else:
                await self._plug(connection, first, tls)
        except NoConnectionError:
            raise
        except OSError as error:
            drop_frames(error)
            raise NoConnectionError(_reason(error)) from error
        if connection.closed:
            raise NoConnectionError(_AT_ONCE)
        return connection

    async def _plug(
        self, protocol: asyncio.Protocol, to: Origin | Proxy, tls: ssl.SSLContext | None
    ) -> asyncio.Transport:
        """Connect `protocol` to `to`."""
        sock = await _first_socket(await self._addresses(to.host, to.port))
        try:
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: protocol,
                sock=sock,
                ssl=tls if to.tls else None,
                server_hostname=to.host.rstrip(".") if to.tls else None,
            )
        except ssl.SSLCertVerificationError as error:
            raise UntrustedError(error, authority(to.host, to.port)) from None
        return transport

    async def _through_tunnel(
        self,
        origin: Origin,
        proxy: Proxy,
        connection: PooledConnection,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Connect `connection` to `origin` by way of `proxy`, which sees nothing of what is said.

        Source: RFC 9110, section 9.3.6.
        """
        loop = asyncio.get_running_loop()
        tunnel = _Tunnel(loop.create_future())
        transport = await self._plug(tunnel, proxy, tls)
        try:
            _ask_for_tunnel(transport, origin, proxy)
            await tunnel.opened
            inner = await loop.start_tls(
                transport,
                connection,
                tls,  # type: ignore[arg-type]  # there is one
                server_hostname=origin.host.rstrip("."),
            )
        except ssl.SSLCertVerificationError as error:
            transport.abort()
            raise UntrustedError(error, authority(origin.host, origin.port)) from None
        except BaseException:
            transport.abort()
            raise
        if inner is None:  # the tunnel has ended
            raise NoConnectionError(_AT_ONCE)
        connection.connection_made(inner)

    async def _addresses(self, host: str, port: int) -> Sequence[_Address]:
        """Where `host` is, found out away from the loop, and remembered for a minute."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            if address.version == 4:  # noqa: PLR2004  # its own name
                return [(socket.AF_INET, (host, port))]
            return [(socket.AF_INET6, (host, port, 0, 0))]
        loop = asyncio.get_running_loop()
        known, until = self._names.get((host, port), (None, 0.0))
        if known is None or loop.time() >= until:
            known = loop.run_in_executor(None, _look_up, host, port)
            self._names[host, port] = known, loop.time() + _NAME_S
            known.add_done_callback(partial(self._looked_up, host, port))
        return await asyncio.shield(known)

    def _looked_up(self, host: str, port: int, found: asyncio.Future[list[_Address]]) -> None:
        """Forget a failure, even where nobody waits for it any more."""
        if found.cancelled() or found.exception() is not None:
            known, _ = self._names.get((host, port), (None, 0.0))
            if known is found:
                del self._names[host, port]


class _Tunnel(asyncio.Protocol):
    """The way to a proxy until it has answered CONNECT."""

    def __init__(self, opened: asyncio.Future[None]) -> None:
        self.opened = opened
        self._head = b""

    @override
    def data_received(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end and len(head) <= _MAX_TUNNEL_HEAD:
            return
        answer = _STATUS.match(head) if end else None
        if answer is None:
            self._fail(NoConnectionError("the proxy does not speak HTTP"))
        elif (status := int(answer[1])) not in _OK:
            self._fail(ProxyRefusedError(status))
        elif rest:
            self._fail(NoConnectionError("the proxy sent something of its own"))
        elif not self.opened.done():
            self.opened.set_result(None)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        drop_frames(exc)
        reason = "the proxy closed the connection" if exc is None else _reason(exc)
        self._fail(NoConnectionError(reason))

    def _fail(self, error: NoConnectionError) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)


def authority(host: str, port: int) -> str:
    """Host and port as one text, as CONNECT and messages write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ask_for_tunnel(transport: asyncio.Transport, origin: Origin, proxy: Proxy) -> None:
    where = authority(origin.host, origin.port)
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization.reveal()}")
    transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))


def _look_up(host: str, port: int) -> list[_Address]:
    # As bytes, which Python leaves as they are: whoever calls has encoded the name.
    found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    families: dict[socket.AddressFamily, list[_Address]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append((family, address))  # type: ignore[arg-type]
    # The families take turns, so that one that leads nowhere costs one attempt.
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in turns if address is not None]


async def _first_socket(addresses: Sequence[_Address]) -> socket.socket:
    """A socket connected to the first of `addresses` that answers.

    The next one is tried when one has failed, or has not answered for a quarter of a second.

    Raises:
        OSError: none answers; the error of the first.
    """
    if len(addresses) == 1:
        return await _socket(addresses[0])
    left = deque(addresses)
    attempts: list[asyncio.Task[socket.socket]] = []
    pending: set[asyncio.Task[socket.socket]] = set()
    winner: asyncio.Task[socket.socket] | None = None
    try:
        while winner is None and (left or pending):
            if left:
                attempts.append(asyncio.create_task(_socket(left.popleft())))
                pending.add(attempts[-1])
            done, pending = await asyncio.wait(
                pending,
                timeout=_NEXT_ADDRESS_S if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            winner = next((task for task in done if task.exception() is None), None)
    finally:
        await _give_up_all([task for task in attempts if task is not winner])
    if winner is None:
        error = attempts[0].exception() if attempts else None
        raise error or OSError("the name has no address")
    return winner.result()


async def _give_up_all(attempts: Sequence[asyncio.Task[socket.socket]]) -> None:
    for task in attempts:
        task.cancel()
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()


async def _socket(address: _Address) -> socket.socket:
    """A socket connected to `address`."""
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003  # its own signature
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
