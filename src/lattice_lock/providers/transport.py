"""The one pooled HTTP transport that every provider talks through.

What it promises: redirects are answers like others and never followed, so that a key goes to the
configured host only; no cookie is kept; `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are
honoured, and this machine itself is never reached through a proxy; certificates are verified, by
the bundle that `LATTICE_LOCK_CA_BUNDLE` or else `SSL_CERT_FILE` names in place of the system's
authorities, if any; a body is read up to a limit; leaving the `async with` of a response in any way
closes its connection at once, unless the whole answer has come, in which case the connection is
used again. An answer that is compressed although it was asked not to be is read all the same, and
the limit holds for what comes out of it.

`_targets` takes addresses apart, `_connections` makes and keeps connections, `_http1` speaks HTTP.

Everything that can go wrong comes out as an `APIClientError`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import secrets
import urllib.request
import zlib
from typing import TYPE_CHECKING, Self

import msgspec

from lattice_lock import __version__
from lattice_lock.exceptions import (
    APIClientError,
    InvalidRequestError,
    InvalidResponseError,
    ProviderConnectionError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from lattice_lock.providers._connections import (
    Authorities,
    NoConnectionError,
    Origin,
    Pool,
    Proxy,
    ProxyRefusedError,
    TooSlowError,
    UntrustedError,
    UnusableAuthoritiesError,
    authority,
)
from lattice_lock.providers._content_coding import CODINGS, Inflater
from lattice_lock.providers._http1 import (
    ExchangeError,
    Headers,
    LateError,
    NotHttpError,
    request_head,
)
from lattice_lock.providers._targets import parse_address, parse_proxy
from lattice_lock.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from lattice_lock.providers._connections import PooledConnection
    from lattice_lock.providers._targets import Address
    from lattice_lock.settings import Settings

__all__ = [
    "Deadline",
    "HttpRequest",
    "HttpResponse",
    "NoConnectionError",
    "Timeouts",
    "Transport",
]

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_MAX_TARGETS = 1024
_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})


class Deadline:
    """When one call has to be over, on the event loop's clock, which no wall clock moves."""

    __slots__ = ("_call_id", "at", "total_s")

    def __init__(self, *, at: float, total_s: float) -> None:
        self.at = at
        self.total_s = total_s
        self._call_id: str | None = None

    @property
    def call_id(self) -> str:
        """A name that only this call has; every attempt of it has the same."""
        if self._call_id is None:
            self._call_id = secrets.token_hex(16)
        return self._call_id

    @classmethod
    def after(cls, seconds: float) -> Self:
        """The moment `seconds` from now."""
        return cls(at=asyncio.get_running_loop().time() + seconds, total_s=seconds)

    def remaining_s(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at - asyncio.get_running_loop().time())


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that one request may wait; the deadline of the call holds besides.

    Attributes:
        connect_s: for a connection, TLS included.
        first_byte_s: from sending the request to the first byte of the body.
        idle_s: between two bytes of the body.
    """

    connect_s: float = 10.0
    first_byte_s: float = 300.0
    idle_s: float = 120.0


WHOLE_ANSWER = Timeouts(first_byte_s=math.inf)
"""For calls that answer in one piece: the body begins only when the model has finished."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and for whom: provider and model are what an error will name.

    `secret_headers` are headers too; they are revealed only on the way out. What follows from the
    address and the body, such as `Host` and `Content-Length`, is no header to set.
    """

    provider: str
    model: str | None = None
    method: str
    url: str
    headers: dict[str, str]
    secret_headers: dict[str, Secret] = {}
    body: bytes | None = None


class HttpResponse:
    """An answer whose body is still coming.

    Attributes:
        status: HTTP status.
        headers: names in any case.
    """

    __slots__ = ("_connection", "_exchange", "_inflater", "_received", "headers", "status")

    def __init__(self, exchange: _Exchange, connection: PooledConnection) -> None:
        self._exchange = exchange
        self._connection: PooledConnection | None = connection
        self._received = 0
        self._inflater: Inflater | None = None
        self.status = connection.status
        self.headers: Mapping[str, str] = Headers(connection.fields)
        if b"content-encoding" in connection.fields:
            coding = self.headers["content-encoding"].lower()
            if coding != "identity":
                self._inflater = Inflater(coding)

    async def read_chunk(self) -> bytes:
        """The next bytes of the body, as they come; empty at its end.

        Raises:
            ProviderTimeoutError: a byte or the whole answer is late.
            ProviderConnectionError: the connection broke before the end.
            InvalidResponseError: the body is longer than any answer may be, or it is compressed,
                which nobody has asked for, in an unknown way or not as it says.
        """
        connection = self._connection
        if connection is None:
            raise RuntimeError("The answer was closed.")
        try:
            if self._inflater is None:
                chunk = await connection.chunk()
            else:
                chunk = await self._inflated(connection, self._inflater)
        except ExchangeError as error:
            raise self._exchange.broken_body(error, self.status) from None
        self._received += len(chunk)
        if self._received > MAX_RESPONSE_BYTES:
            raise self._too_long()
        return chunk

    async def read(self) -> bytes:
        """The whole body; raises as `read_chunk` does."""
        first = await self.read_chunk()
        if not first:
            return first
        chunks = [first]
        while chunk := await self.read_chunk():
            chunks.append(chunk)
        return first if len(chunks) == 1 else b"".join(chunks)

    async def drain(self, seconds: float) -> None:
        """Read what follows a message's own end mark, so that the connection can be used again.

        A server that keeps the body open longer than `seconds` loses the connection instead.
        """
        connection = self._connection
        if connection is not None and not connection.complete:
            connection.end_by(asyncio.get_running_loop().time() + seconds)
        try:
            while await self.read_chunk():
                pass
        except (ProviderConnectionError, InvalidResponseError):
            return  # the message was complete; what spoils its tail costs the connection only

    def close(self) -> None:
        """Keep the connection where the whole answer has come, else close it at once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._exchange.pool.give_back(connection)

    async def _inflated(self, connection: PooledConnection, inflater: Inflater) -> bytes:
        if inflater.coding not in CODINGS:
            raise self._unreadable(f"The answer is in the coding `{inflater.coding}`.")
        try:
            while not (piece := inflater.step()):
                chunk = await connection.chunk()
                if not chunk:
                    inflater.finish()
                    return b""
                inflater.feed(chunk)
                if inflater.fed > MAX_RESPONSE_BYTES:
                    raise self._too_long()
        except zlib.error as error:
            raise self._unreadable(f"The answer is not compressed as it says: {error}.") from None
        if inflater.has_more:
            await asyncio.sleep(0)  # it may go on for thousands of steps without waiting
        return piece

    def _too_long(self) -> APIClientError:
        return self._unreadable(f"The answer is longer than {MAX_RESPONSE_BYTES} bytes.")

    def _unreadable(self, what: str) -> APIClientError:
        return _failure(InvalidResponseError, self._exchange.request, what, status=self.status)


class _Exchange:
    """One request and its answer; as a context it gives the answer when its head is there."""

    __slots__ = ("_deadline", "_response", "_target", "_timeouts", "pool", "request")

    def __init__(
        self,
        pool: Pool,
        target: _Target,
        request: HttpRequest,
        deadline: Deadline,
        timeouts: Timeouts,
    ) -> None:
        self.pool = pool
        self.request = request
        self._target = target
        self._deadline = deadline
        self._timeouts = timeouts

    async def __aenter__(self) -> HttpResponse:
        request, timeouts = self.request, self._timeouts
        first_byte_at = asyncio.get_running_loop().time() + timeouts.first_byte_s
        connection = self.pool.resting(self._target.origin)
        if connection is None:
            connection = await self._connected(first_byte_at)
        connection.begin(
            deadline_at=self._deadline.at,
            first_byte_at=first_byte_at,
            max_pause_s=timeouts.idle_s,
            bodiless=request.method == "HEAD",
        )
        try:
            sent = _send(request, self._target, connection)
            if sent:
                await connection.head()
        except ExchangeError as error:
            raise self._without_head(error) from None
        except BaseException:
            connection.close()
            raise
        if not sent:
            connection.close()
            raise self._failure(
                InvalidRequestError,
                "A header of the request cannot be sent.",
                hint="Use names that are tokens and that the transport does not set itself, and "
                "values in Latin-1 without line ends.",
            )
        self._response = HttpResponse(self, connection)
        return self._response

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._response.close()

    def broken_body(self, error: ExchangeError, status: int) -> APIClientError:
        """What it means that a body ended with `error`."""
        if isinstance(error, LateError):
            what = f"The answer is late: {self._lateness(error, head=True)}."
            return self._failure(ProviderTimeoutError, what, status=status)
        what = f"The connection broke in the middle of the answer: {error}."
        return self._failure(ProviderConnectionError, what, status=status)

    async def _connected(self, first_byte_at: float) -> PooledConnection:
        """A new connection, or that of another call.

        Raises:
            APIClientError: there is none.
        """
        where = f"`{self._target.where}`"
        connect_s = self._timeouts.connect_s
        until = min(self._deadline.at, first_byte_at)
        cause: NoConnectionError | None = None
        try:
            async with asyncio.timeout_at(until):
                return await self.pool.connect(self._target.origin, within_s=connect_s)
        except TimeoutError:
            cause = NoConnectionError("time was up before there was one")
            which = LateError("total" if until == self._deadline.at else "first byte")
            failure = self._without_head(which)
        except UnusableAuthoritiesError as error:
            failure = self._failure(
                ProviderUnavailableError,
                f"The certificates in `{error.path}` cannot be used: {error}.",
                hint=f"Correct `{error.variable}`: it names a file of certificates in PEM form.",
            )
        except TooSlowError as error:
            cause = error
            what = f"No connection to {where} within {connect_s:g} s."
            failure = self._failure(ProviderTimeoutError, what)
        except UntrustedError as error:
            cause = error
            failure = self._failure(
                ProviderConnectionError,
                f"The certificate of `{error.where}` is not trusted: {error}.",
                hint="If its authority is your own, name its file in `LATTICE_LOCK_CA_BUNDLE`.",
            )
        except ProxyRefusedError as error:
            cause = error
            what = f"The proxy refused to connect to {where}: HTTP status {error.status}."
            failure = self._failure(ProviderConnectionError, what)
        except NoConnectionError as error:
            cause = error
            proxy = self._target.origin.proxy
            via = f" by way of the proxy `{proxy.host}`" if proxy is not None else ""
            what = f"No answer from {where}{via}: {error}."
            failure = self._failure(ProviderConnectionError, what)
        raise failure from cause

    def _without_head(self, error: ExchangeError) -> APIClientError:
        where = f"`{self._target.where}`"
        if isinstance(error, LateError):
            what = f"No answer from {where}: {self._lateness(error, head=False)}."
            return self._failure(ProviderTimeoutError, what)
        if isinstance(error, NotHttpError):
            what = f"What answers at {where} does not speak HTTP: {error}."
            return self._failure(InvalidResponseError, what)
        return self._failure(ProviderConnectionError, f"No answer from {where}: {error}.")

    def _lateness(self, error: LateError, *, head: bool) -> str:
        if error.which == "total":
            return f"the call had {self._deadline.total_s:g} s in all"
        if error.which == "pause":
            return f"nothing came for {self._timeouts.idle_s:g} s"
        if head:
            return "no byte of the answer came in time"
        return f"nothing came for {self._timeouts.first_byte_s:g} s"

    def _failure(
        self,
        kind: type[APIClientError],
        message: str,
        *,
        hint: str | None = None,
        status: int | None = None,
    ) -> APIClientError:
        return _failure(kind, self.request, message, hint=hint, status=status)


class _Target:
    """What requests to one address have in common."""

    __slots__ = ("_fields", "origin", "where")

    def __init__(self, address: Address, origin: Origin) -> None:
        self.origin = origin
        self.where = address.authority
        through = origin.proxy is not None and not origin.tls
        path = f"http://{address.authority}{address.path}" if through else address.path
        self._fields = (
            f"{path} HTTP/1.1\r\n"
            f"Host: {address.authority}\r\n"
            f"User-Agent: lattice-lock/{__version__}\r\n"
            # A compressed stream is buffered on its way, and a bomb needs compression.
            "Accept-Encoding: identity"
        )

    def start(self, method: str) -> str:
        """The request line and the fields that do not change, without the last line end."""
        proxy = self.origin.proxy
        if proxy is not None and proxy.authorization is not None and not self.origin.tls:
            secret = proxy.authorization.reveal()
            return f"{method} {self._fields}\r\nProxy-Authorization: {secret}"
        return f"{method} {self._fields}"


class Transport:
    """Pooled connections of one event loop. Use it as `async with`, or call `aclose`."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = {scheme: _proxy_of(scheme, settings) for scheme in ("http", "https")}
        self._no_proxy = settings.text("no_proxy") or settings.text("NO_PROXY") or ""
        self._pool = Pool(Authorities(settings))
        self._targets: dict[str, _Target] = {}
        self._origins: dict[tuple[str, str, int], Origin] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        self._pool.close()
        await asyncio.sleep(0)  # a socket is closed in the next turn of the loop

    def open(self, request: HttpRequest, *, deadline: Deadline, timeouts: Timeouts) -> _Exchange:
        """Send `request` and give the answer as soon as its head is there, whatever its status.

        Use what this returns as `async with transport.open(...) as response`.

        Raises:
            ProviderTimeoutError: no connection or no answer in time.
            ProviderConnectionError: no connection, or it broke; where nothing was sent, the cause
                is a `NoConnectionError`.
            ProviderUnavailableError: the proxy or the certificates in the environment cannot be
                used.
            InvalidRequestError: address or headers cannot be sent.
            InvalidResponseError: what answered does not speak HTTP.
        """
        target = self._targets.get(request.url)
        if target is None:
            target = self._new_target(request)
        return _Exchange(self._pool, target, request, deadline, timeouts)

    def _new_target(self, request: HttpRequest) -> _Target:
        try:
            address = parse_address(request.url)
        except ValueError as error:
            what = f"The address `{request.url}` cannot be used: {error}."
            raise _failure(InvalidRequestError, request, what) from None
        key = (address.scheme, address.host, address.port)
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = Origin(
                host=address.host,
                port=address.port,
                tls=address.scheme == "https",
                proxy=self._proxy_for(address, request),
            )
        if len(self._targets) >= _MAX_TARGETS:
            self._targets.clear()
        target = self._targets[request.url] = _Target(address, origin)
        return target

    def _proxy_for(self, address: Address, request: HttpRequest) -> Proxy | None:
        url = self._proxies[address.scheme]
        if url is None or _is_this_machine(address.host):
            return None
        bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed
        if bypass(authority(address.host, address.port), {"no": self._no_proxy}):
            return None
        try:
            proxy, user, password = parse_proxy(url)
        except ValueError:  # whose text may hold the password
            proxy = None
        if proxy is None:
            raise _failure(
                ProviderUnavailableError,
                request,
                f"The proxy for {address.scheme} addresses is no http or https proxy.",
                hint=f"Correct `{address.scheme.upper()}_PROXY`, or name `{address.host}` in "
                "`NO_PROXY`.",
            )
        tls = proxy.scheme == "https"
        return Proxy(host=proxy.host, port=proxy.port, tls=tls, user=user, password=password)


def _send(request: HttpRequest, target: _Target, connection: PooledConnection) -> bool:
    """Write `request`; whether its headers can be written.

    Only here and below, where nothing waits, do variables hold what is secret.
    """
    body = request.body
    if body is None and request.method in _WITH_BODY:
        body = b""
    start = target.start(request.method)
    head = request_head(start, request.headers, request.secret_headers, body)
    if head is not None:
        connection.send(head, body)
    return head is not None


def _proxy_of(scheme: str, settings: Settings) -> str | None:
    # Lower case first, as curl does; a value without a scheme is an http proxy.
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    proxy = next(filter(None, map(settings.text, names)), None)
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _failure(
    kind: type[APIClientError],
    request: HttpRequest,
    message: str,
    *,
    hint: str | None = None,
    status: int | None = None,
) -> APIClientError:
    return kind(message, provider=request.provider, model=request.model, hint=hint, status=status)
