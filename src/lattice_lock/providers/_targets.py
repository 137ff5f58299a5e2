"""Addresses, from what a provider writes to what stands in a request and where it goes."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

__all__ = ["Address", "parse_address", "parse_proxy"]

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
# What stands for itself in a path and in a query; a `%` is taken for the beginning of an escape.
_PATH = "/!$&'()*+,;=:@%~"
_QUERY = f"{_PATH}?"
# Letters that the two versions of IDNA write differently: whose host is it, then?
_AMBIGUOUS = frozenset("ßς\u200c\u200d")


class Address(NamedTuple):
    """An http(s) address, taken apart and encoded.

    Attributes:
        host: in lower case and ASCII, an IPv6 address without its brackets.
        port: the scheme's own where none is written.
        authority: host and, where it is not the scheme's own, port.
        path: with the query, at least `/`.
    """

    scheme: str
    host: str
    port: int
    authority: str
    path: str


def parse_address(url: str) -> Address:
    """The parts of `url`.

    Raises:
        ValueError: it is no http(s) address, or it carries a user name or a password.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a user name has no place in an address")
    return _address(url)


def parse_proxy(url: str) -> tuple[Address, str | None, str | None]:
    """The parts of the address of a proxy, and user name and password, decoded.

    Raises:
        ValueError: it is no http(s) address.
    """
    parts = urlsplit(url)
    user, password = parts.username, parts.password
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return (
        _address(bare.geturl()),
        None if user is None else unquote(user),
        None if password is None else unquote(password),
    )


def _address(url: str) -> Address:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.port == 0:
        raise ValueError("this is no http(s) address")
    host = _host(parts.hostname)
    port = parts.port or _PORTS[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    path = quote(parts.path or "/", safe=_PATH)
    if parts.query:
        path = f"{path}?{quote(parts.query, safe=_QUERY)}"
    return Address(
        scheme=parts.scheme,
        host=host,
        port=port,
        authority=shown if port == _PORTS[parts.scheme] else f"{shown}:{port}",
        path=path,
    )


def _host(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not name.isascii():
        if not _AMBIGUOUS.isdisjoint(name):
            raise ValueError("write this host in its ASCII form, which begins with `xn--`")
        name = name.encode("idna").decode("ascii").lower()  # a `UnicodeError` is a `ValueError`
    if not _HOST.fullmatch(name):
        raise ValueError("this is no host")
    return name
