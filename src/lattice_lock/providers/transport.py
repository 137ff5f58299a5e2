"""The one pooled HTTP transport that every provider talks through.

What it promises: redirects are answers like others and never followed, so that a key goes to the
configured host only; no cookie is kept; `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are
honoured, and this machine itself is never reached through a proxy; certificates are verified, by
the bundle that `LATTICE_LOCK_CA_BUNDLE` or else `SSL_CERT_FILE` names in place of the system's
authorities, if any; a body is read up to a limit;
leaving the `async with` of a response in any way closes its connection at once, unless the whole
answer was read, in which case the connection is used again.

Everything that can go wrong comes out as an `APIClientError`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import secrets
import ssl
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NoReturn, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from lattice_lock import __version__
from lattice_lock.exceptions import (
    APIClientError,
    InvalidResponseError,
    ProviderConnectionError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from lattice_lock.settings import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from lattice_lock.settings import Settings

__all__ = ["Deadline", "HttpRequest", "HttpResponse", "Timeouts", "Transport"]

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_POOL_SIZE = 512
_KEEPALIVE_S = 30.0
_BUNDLES = ("LATTICE_LOCK_CA_BUNDLE", "SSL_CERT_FILE")


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

    `secret_headers` are headers too; they are revealed only on the way out.
    """

    provider: str
    model: str | None = None
    method: str
    url: str
    headers: dict[str, str]
    secret_headers: dict[str, Secret] = {}
    body: bytes | None = None


class _Watchdog:
    """Closes a response that is late. One timer for each response, not for each chunk."""

    __slots__ = ("_deadline", "_handle", "_idle_s", "_loop", "_response", "late", "waiting_since")

    def __init__(
        self, response: aiohttp.ClientResponse, *, first_byte_at: float, idle_s: float, at: Deadline
    ) -> None:
        self._response = response
        self._idle_s = idle_s
        self._deadline = at
        self._loop = asyncio.get_running_loop()
        self.late: str | None = None
        self.waiting_since: float | None = None
        self._handle = self._loop.call_at(min(first_byte_at, at.at), self._first_byte_late)

    def first_byte(self) -> None:
        """The body has begun: from now on only pauses and the deadline count."""
        self._handle.cancel()
        self._arm(self._loop.time() + self._idle_s)

    def stop(self) -> None:
        """Watch no longer."""
        self._handle.cancel()

    def _arm(self, at: float) -> None:
        self._handle = self._loop.call_at(min(at, self._deadline.at), self._check)

    def _first_byte_late(self) -> None:
        if self._loop.time() >= self._deadline.at:
            self._expire(_total(self._deadline))
        else:
            self._expire("no byte of the answer came in time")

    def _check(self) -> None:
        now = self._loop.time()
        if now >= self._deadline.at:
            self._expire(_total(self._deadline))
        elif self.waiting_since is None:
            self._arm(now + self._idle_s)
        elif now >= self.waiting_since + self._idle_s:
            self._expire(f"nothing came for {self._idle_s:g} s")
        else:
            self._arm(self.waiting_since + self._idle_s)

    def _expire(self, reason: str) -> None:
        self.late = reason
        self._response.close()


class HttpResponse:
    """An answer whose body is still coming.

    Attributes:
        status: HTTP status.
        headers: names in any case.
    """

    __slots__ = ("_began", "_raw", "_received", "_request", "_watchdog", "headers", "status")

    def __init__(
        self, raw: aiohttp.ClientResponse, request: HttpRequest, watchdog: _Watchdog
    ) -> None:
        self._raw = raw
        self._request = request
        self._watchdog = watchdog
        self._received = 0
        self._began = False
        self.status = raw.status
        self.headers: Mapping[str, str] = raw.headers

    async def read_chunk(self) -> bytes:
        """The next bytes of the body, as they come; empty at its end.

        Raises:
            ProviderTimeoutError: a byte or the whole answer is late.
            ProviderConnectionError: the connection broke before the end.
            InvalidResponseError: the body is longer than any answer may be.
        """
        watchdog = self._watchdog
        watchdog.waiting_since = asyncio.get_running_loop().time()
        try:
            chunk = await self._raw.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            self._broke(error)
        finally:
            watchdog.waiting_since = None
        if not self._began:
            self._began = True
            watchdog.first_byte()
        self._received += len(chunk)
        if self._received > MAX_RESPONSE_BYTES:
            raise InvalidResponseError(
                f"The answer is longer than {MAX_RESPONSE_BYTES} bytes.",
                provider=self._request.provider,
                model=self._request.model,
                status=self.status,
            )
        return chunk

    async def read(self) -> bytes:
        """The whole body; raises as `read_chunk` does."""
        chunks: list[bytes] = []
        while chunk := await self.read_chunk():
            chunks.append(chunk)
        return b"".join(chunks)

    async def drain(self, seconds: float) -> None:
        """Read what follows a message's own end mark, so that the connection can be used again.

        A server that keeps the body open longer than `seconds` loses the connection instead.
        """
        try:
            async with asyncio.timeout(seconds):
                while await self.read_chunk():
                    pass
        except (TimeoutError, ProviderConnectionError, InvalidResponseError):
            return  # the message was complete; what spoils its tail costs the connection only

    def close(self) -> None:
        """Keep the connection where the body was read to its end, else close it at once."""
        self._watchdog.stop()
        if self._raw.content.at_eof():
            self._raw.release()
        else:
            self._raw.close()

    def _broke(self, error: Exception) -> NoReturn:
        if self._watchdog.late:
            raise ProviderTimeoutError(
                f"The answer is late: {self._watchdog.late}.",
                provider=self._request.provider,
                model=self._request.model,
                status=self.status,
            ) from None
        raise ProviderConnectionError(
            f"The connection broke in the middle of the answer: {_reason(error)}.",
            provider=self._request.provider,
            model=self._request.model,
            status=self.status,
        ) from error


class Transport:
    """Pooled connections of one event loop. Use it as `async with`, or call `aclose`."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = {scheme: _proxy_of(scheme, settings) for scheme in ("http", "https")}
        self._no_proxy = settings.text("no_proxy") or settings.text("NO_PROXY") or ""
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def open(
        self, request: HttpRequest, *, deadline: Deadline, timeouts: Timeouts
    ) -> AsyncIterator[HttpResponse]:
        """Send `request` and give the answer as soon as its head is there, whatever its status.

        Raises:
            ProviderTimeoutError: no connection or no answer in time.
            ProviderConnectionError: no connection, or it broke.
            ProviderUnavailableError: the proxy or the certificates in the environment cannot be
                used.
            InvalidResponseError: what answered does not speak HTTP.
        """
        first_byte_at = asyncio.get_running_loop().time() + timeouts.first_byte_s
        raw = await self._send(request, deadline, timeouts, first_byte_at)
        watchdog = _Watchdog(raw, first_byte_at=first_byte_at, idle_s=timeouts.idle_s, at=deadline)
        response = HttpResponse(raw, request, watchdog)
        try:
            yield response
        finally:
            response.close()

    async def _send(
        self, request: HttpRequest, deadline: Deadline, timeouts: Timeouts, first_byte_at: float
    ) -> aiohttp.ClientResponse:
        proxy = self._proxy_for(request)
        session = self._session or await self._pool(request)
        cause: Exception | None
        try:
            async with asyncio.timeout_at(min(deadline.at, first_byte_at)):
                return await session.request(
                    request.method,
                    request.url,
                    headers=request.headers
                    | {name: value.reveal() for name, value in request.secret_headers.items()},
                    data=request.body,
                    allow_redirects=False,
                    proxy=proxy,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect_s),
                )
        except (aiohttp.ClientError, OSError) as error:
            failure = _translate(error, request, deadline, timeouts)
            # These hold the request's headers, and so the key, or what a server echoed of it.
            cause = None if isinstance(error, aiohttp.ClientResponseError) else error
            _drop_frames(error)
        raise failure from cause

    async def _pool(self, request: HttpRequest) -> aiohttp.ClientSession:
        authorities = await self._authorities(request)
        if self._session is None:  # another call may have been faster
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_POOL_SIZE,
                    keepalive_timeout=_KEEPALIVE_S,
                    ttl_dns_cache=60,
                    ssl=authorities or True,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "User-Agent": f"lattice-lock/{__version__}",
                    # A compressed stream is buffered on its way, and a bomb needs compression.
                    "Accept-Encoding": "identity",
                },
            )
        return self._session

    async def _authorities(self, request: HttpRequest) -> ssl.SSLContext | None:
        """What certificates are verified by, None for the authorities of the system."""
        for variable in _BUNDLES:
            if path := self._settings.text(variable):
                try:
                    return await asyncio.to_thread(ssl.create_default_context, cafile=path)
                except OSError as error:  # `ssl.SSLError` is one
                    raise _failure(
                        ProviderUnavailableError,
                        request,
                        f"The certificates in `{path}` cannot be used: {error.strerror}.",
                        hint=f"Correct `{variable}`: it names a file of certificates in PEM form.",
                    ) from None
        return None

    def _proxy_for(self, request: HttpRequest) -> str | None:
        proxy = self._proxies.get(request.url.partition(":")[0])
        if proxy is None:
            return None
        parts = urlsplit(request.url)
        host = parts.hostname or ""
        if _is_this_machine(host):
            return None
        bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed
        if bypass(parts.netloc, {"no": self._no_proxy}):
            return None
        if urlsplit(proxy).scheme not in {"http", "https"}:
            raise _failure(
                ProviderUnavailableError,
                request,
                f"The proxy for {parts.scheme} addresses is no http or https proxy.",
                hint=f"Correct `{parts.scheme.upper()}_PROXY`, or name `{host}` in `NO_PROXY`.",
            )
        return proxy


def _drop_frames(error: BaseException | None) -> None:
    """Forget where `error` and its causes came from: those frames hold the request's headers.

    Reporters that print the variables of each frame would print the key.
    """
    while error is not None:
        error.__traceback__ = None
        _drop_frames(error.__cause__)
        error = error.__context__


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


def _total(deadline: Deadline) -> str:
    return f"the call had {deadline.total_s:g} s in all"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _translate(
    error: Exception, request: HttpRequest, deadline: Deadline, timeouts: Timeouts
) -> APIClientError:
    where = f"`{urlsplit(request.url).netloc}`"
    match error:
        case aiohttp.ServerTimeoutError():
            what = f"No connection to {where} within {timeouts.connect_s:g} s."
            return _failure(ProviderTimeoutError, request, what)
        case TimeoutError():
            late = deadline.remaining_s() <= 0
            why = _total(deadline) if late else f"nothing came for {timeouts.first_byte_s:g} s"
            return _failure(ProviderTimeoutError, request, f"No answer from {where}: {why}.")
        case aiohttp.ClientConnectorCertificateError():
            what = f"The certificate of {where} is not trusted: {error.certificate_error}."
            hint = "If its authority is your own, name its file in `LATTICE_LOCK_CA_BUNDLE`."
            return _failure(ProviderConnectionError, request, what, hint=hint)
        case aiohttp.ClientHttpProxyError():
            what = f"The proxy refused to connect to {where}: HTTP status {error.status}."
            return _failure(ProviderConnectionError, request, what)
        case aiohttp.ClientResponseError():
            what = f"What answers at {where} does not speak HTTP."
            return _failure(InvalidResponseError, request, what)
        case _:
            what = f"No answer from {where}: {_reason(error)}."
            return _failure(ProviderConnectionError, request, what)


def _failure(
    kind: type[APIClientError], request: HttpRequest, message: str, *, hint: str | None = None
) -> APIClientError:
    return kind(message, provider=request.provider, model=request.model, hint=hint)
