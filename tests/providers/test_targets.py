"""Addresses as they are written by providers, and as they stand in a request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.providers._targets import parse_address, parse_proxy


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "path"),
    [
        ("http://a", "a", 80, "a", "/"),
        ("http://a?b=c", "a", 80, "a", "/?b=c"),
        ("https://A.Example:443/v1", "a.example", 443, "a.example", "/v1"),
        ("http://a:443/", "a", 443, "a:443", "/"),
        ("https://a:80/", "a", 80, "a:80", "/"),
        ("http://[::1]:8000/v1", "::1", 8000, "[::1]:8000", "/v1"),
        ("https://[2001:DB8::0:1]/", "2001:db8::1", 443, "[2001:db8::1]", "/"),
        ("http://127.0.0.1:11434/v1", "127.0.0.1", 11434, "127.0.0.1:11434", "/v1"),
        ("http://my_host.:1/", "my_host.", 1, "my_host.:1", "/"),
        ("https://bücher.example/", "xn--bcher-kva.example", 443, "xn--bcher-kva.example", "/"),
        ("http://a/x y/é?q=a b&é", "a", 80, "a", "/x%20y/%C3%A9?q=a%20b&%C3%A9"),
        ("http://a/m/v1:g?alt=sse#f", "a", 80, "a", "/m/v1:g?alt=sse"),
        ("http://a/x%2Fy%3A%zz/..", "a", 80, "a", "/x%2Fy%3A%zz/.."),
        ('http://a/"<>\\^`{|}', "a", 80, "a", "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("http://a/b\r\nc\td", "a", 80, "a", "/bcd"),
        ("http://a/b\x00\x7f", "a", 80, "a", "/b%00%7F"),
    ],
)
def test_an_address_is_taken_apart(
    url: str, host: str, port: int, authority: str, path: str
) -> None:
    """Host and port lead there; authority and path stand in the request, both in ASCII."""
    address = parse_address(url)
    assert address == (url.partition(":")[0], host, port, authority, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a/b",
        "ftp://a",
        "http://",
        "http://:80/",
        "http://a:0/",
        "http://a:99999/",
        "http://a:x/",
        "http://me@a/",
        "http://me:pw@a/",
        "http://a b/",
        "http://[::1/",
        "http://straße.example/",
        "http://a..b/",
        f"http://{'a' * 64}.b/",
        f"http://{'a.' * 127}b/",
        f"http://{'ä' * 70}.b/",
        "http://a\x00b/",
        "http://a%41/",
        "http://\ud800/",
    ],
)
def test_what_leads_nowhere_is_refused(url: str) -> None:
    """No host, a wrong port, a name in it, or a host that could be another: nothing is sent."""
    with pytest.raises(ValueError, match=r"."):
        parse_address(url)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Whatever stands after the scheme, nothing but visible ASCII gets into a request."""
    try:
        address = parse_address(f"http://{text}")
    except ValueError:
        return
    written = address.authority + address.path
    assert written.isascii()
    assert written.isprintable()
    assert " " not in written


def test_a_proxy_may_have_a_name_and_a_password() -> None:
    """They are decoded, and are no part of the address."""
    address, user, password = parse_proxy("https://me%40home:p%3Aw@proxy.example:3128")
    assert (address.scheme, address.host, address.port) == ("https", "proxy.example", 3128)
    assert (user, password) == ("me@home", "p:w")
    assert parse_proxy("http://proxy")[1:] == (None, None)
    assert parse_proxy("http://me@proxy")[1:] == ("me", None)
