"""Bodies that were compressed although nobody asked: every coding, every cut, no bomb."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.providers._content_coding import Inflater

TEXT = "Grüße, 漢字 and 😀. ".encode() * 200
_STEP_BYTES = 256 * 1024


def raw(data: bytes) -> bytes:
    """`data` as deflate without any wrapping."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT)),
    "members": ("gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
    "deflate": ("deflate", zlib.compress(TEXT)),
    "raw deflate": ("deflate", raw(TEXT)),
}


def inflated(coding: str, *packets: bytes) -> bytes:
    """What comes out of `packets`."""
    inflater = Inflater(coding)
    whole = bytearray()
    for packet in packets:
        inflater.feed(packet)
        while piece := inflater.step():
            assert len(piece) <= _STEP_BYTES
            whole += piece
    inflater.finish()
    return bytes(whole)


@pytest.mark.parametrize("name", PACKED)
def test_what_went_in_comes_out(name: str) -> None:
    """Every coding is undone, whole, byte by byte and cut in two anywhere."""
    coding, packed = PACKED[name]
    assert inflated(coding, packed) == TEXT
    assert inflated(coding, *(bytes([byte]) for byte in packed)) == TEXT
    for at in range(1, len(packed)):
        assert inflated(coding, packed[:at], packed[at:]) == TEXT


@pytest.mark.parametrize("size", [0, 1, _STEP_BYTES - 1, _STEP_BYTES, _STEP_BYTES + 1, 3_000_000])
def test_no_step_is_larger_than_the_next(size: int) -> None:
    """What grows a thousandfold comes out in steps, none of it lost at their edges."""
    for coding, packed in (("gzip", gzip.compress(bytes(size))), ("deflate", raw(bytes(size)))):
        assert inflated(coding, packed) == bytes(size)


def test_what_stays_inside_comes_out_too() -> None:
    """All bytes may be taken before all is given, which only the next step shows."""
    for more in range(1, 100):
        size = _STEP_BYTES + more
        assert inflated("deflate", raw(bytes(size))) == bytes(size), more


@pytest.mark.parametrize("name", PACKED)
def test_half_of_it_is_an_error(name: str) -> None:
    """A body that ends before its coding does is not taken for the whole."""
    coding, packed = PACKED[name]
    for at in range(1, len(packed)):
        if name == "members" and at == len(gzip.compress(TEXT[:100])):
            continue  # nothing says that another member was to come
        with pytest.raises(zlib.error):
            inflated(coding, packed[:at])


def test_no_body_is_no_error() -> None:
    """An answer without a body may still name a coding."""
    assert inflated("gzip") == b""


@given(coding=st.sampled_from(["gzip", "deflate"]), data=st.binary(min_size=1, max_size=200))
def test_noise_is_an_error_or_something(coding: str, data: bytes) -> None:
    """Whatever is fed, it ends, and no error but one comes of it."""
    with suppress(zlib.error):
        assert isinstance(inflated(coding, data), bytes)
