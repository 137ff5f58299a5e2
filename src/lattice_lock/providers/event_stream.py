"""AWS event streams: binary frames, each with a checksum of its lengths and one of the whole.

    u32 total length | u32 length of the headers | u32 CRC-32 of these eight bytes
    headers: u8 length, name, u8 type, value; repeated
    payload
    u32 CRC-32 of everything before

Source: https://smithy.io/2.0/aws/amazon-eventstream.html and `botocore/eventstream.py` 1.44.5.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CorruptFrameError", "EventStreamParser", "Frame"]

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_FRAMING = _PRELUDE.size + _CRC.size
_MAX_HEADERS = 128 * 1024
_MAX_PAYLOAD = 24 * 1024 * 1024

_STRING = 7
_BYTES = 6
# Bytes of the values whose type alone says how long they are.
_FIXED: Mapping[int, int] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class CorruptFrameError(ValueError):
    """Bytes that are no frame: a checksum, a length or a header is wrong."""


class Frame(msgspec.Struct, frozen=True):
    """One message; `headers` holds those whose value is a text."""

    headers: dict[str, str]
    payload: bytes


class EventStreamParser:
    """Frames out of the pieces of a body, however they are cut."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that `chunk` completes.

        Raises:
            CorruptFrameError: what came is no event stream; the parser is of no use any more.
        """
        buffer = self._buffer
        buffer += chunk
        frames = []
        start = 0
        while (total := _frame_length(buffer, start)) is not None:
            frames.append(_frame(bytes(buffer[start : start + total])))
            start += total
        del buffer[:start]
        return frames


def _frame_length(buffer: bytearray, start: int) -> int | None:
    """Bytes of the frame at `start`, None while it is not whole."""
    if len(buffer) - start < _PRELUDE.size:
        return None
    total, headers, checksum = _PRELUDE.unpack_from(buffer, start)
    if crc32(buffer[start : start + _PRELUDE.size - _CRC.size]) != checksum:
        raise CorruptFrameError("the checksum of a frame's lengths is wrong")
    payload = total - _FRAMING - headers
    if not 0 <= payload <= _MAX_PAYLOAD or headers > _MAX_HEADERS:
        raise CorruptFrameError(f"a frame of {total} bytes with {headers} of headers")
    return total if len(buffer) - start >= total else None


def _frame(data: bytes) -> Frame:
    end = len(data) - _CRC.size
    (checksum,) = _CRC.unpack_from(data, end)
    if crc32(data[:end]) != checksum:
        raise CorruptFrameError("the checksum of a frame is wrong")
    payload_at = _PRELUDE.size + _PRELUDE.unpack_from(data)[1]
    try:
        headers = _headers(data[_PRELUDE.size : payload_at])
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise CorruptFrameError(f"the headers of a frame cannot be read: {error}") from error
    return Frame(headers, data[payload_at:end])


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name, kind = data[at + 1 : name_end].decode(), data[name_end]
        at = name_end + 1
        if kind in _FIXED:
            end = at + _FIXED[kind]
        elif kind in {_BYTES, _STRING}:
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            end = at + length
        else:
            raise CorruptFrameError(f"the header `{name}` has the unknown type {kind}")
        if end > len(data):
            raise CorruptFrameError(f"the header `{name}` is longer than all headers")
        if kind == _STRING:
            found[name] = data[at:end].decode()
        at = end
    return found
