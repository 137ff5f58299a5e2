"""Frames of JSON over a pipe: four bytes of length, then that many bytes."""

from __future__ import annotations

import json
import os
import select
import struct
import time
from typing import Any, Final, TypeAlias

__all__ = ["Channel", "ChannelBrokenError", "ChannelTimeoutError", "Json"]

Json: TypeAlias = Any
"""JSON data, as `json` reads and writes it."""

_HEADER: Final = struct.Struct(">I")
_CHUNK: Final = 65536


class ChannelBrokenError(Exception):
    """The other side closed its end, or sent something that is not a frame."""


class ChannelTimeoutError(Exception):
    """The other side did not read or answer in time."""


class Channel:
    """Sends and receives JSON objects over two file descriptors, which it owns.

    Args:
        reader: descriptor to read from.
        writer: descriptor to write to.
        max_bytes: largest frame that is received.
    """

    def __init__(self, reader: int, writer: int, *, max_bytes: int) -> None:
        self._reader = reader
        self._writer = writer
        self._max_bytes = max_bytes
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)

    def close(self) -> None:
        """Close both descriptors."""
        os.close(self._reader)
        os.close(self._writer)

    def send(self, message: dict[str, Json], *, deadline: float | None = None) -> None:
        """Send one object.

        Args:
            message: plain JSON data.
            deadline: `time.monotonic` at which to give up, None to wait for ever.

        Raises:
            ChannelBrokenError: nobody reads any more.
            ChannelTimeoutError: the deadline passed.
        """
        body = json.dumps(message).encode()
        data = memoryview(_HEADER.pack(len(body)) + body)
        while data:
            _wait(self._writer, select.POLLOUT, deadline)
            try:
                data = data[os.write(self._writer, data[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ChannelBrokenError("the channel was closed") from error

    def receive(self, *, deadline: float | None = None) -> dict[str, Json]:
        """Receive one object.

        Raises:
            ChannelBrokenError: the channel was closed, or the bytes are not a JSON object.
            ChannelTimeoutError: the deadline passed.
        """
        (size,) = _HEADER.unpack(self._read(_HEADER.size, deadline))
        if size > self._max_bytes:
            raise ChannelBrokenError(f"a frame of {size} bytes, more than {self._max_bytes}")
        try:
            message = json.loads(self._read(size, deadline))
        except (ValueError, RecursionError) as error:
            raise ChannelBrokenError("a frame that is not JSON") from error
        if not isinstance(message, dict):
            raise ChannelBrokenError("a frame that is not a JSON object")
        return message

    def _read(self, size: int, deadline: float | None) -> bytes:
        data = bytearray()
        while len(data) < size:
            _wait(self._reader, select.POLLIN, deadline)
            try:
                chunk = os.read(self._reader, min(size - len(data), _CHUNK))
            except BlockingIOError:
                continue
            if not chunk:
                raise ChannelBrokenError("the channel was closed")
            data += chunk
        return bytes(data)


def _wait(descriptor: int, events: int, deadline: float | None) -> None:
    poll = select.poll()
    poll.register(descriptor, events)
    if deadline is None:
        poll.poll()
        return
    left_s = deadline - time.monotonic()
    if left_s <= 0 or not poll.poll(left_s * 1000):
        raise ChannelTimeoutError
