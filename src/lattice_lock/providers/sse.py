"""Server-sent events out of bytes that arrive cut anywhere.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SseEvent", "SseParser"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
    """One event. `data` stays bytes: whoever decodes it sees whole characters."""

    event: str
    data: bytes


class SseParser:
    """Turns chunks into events.

    Lines end in CR, LF or CRLF, which may be cut in two; comments are dropped; several `data`
    lines join with a line feed. Time is linear in the bytes fed, however small the chunks are.
    """

    __slots__ = ("_after_cr", "_data", "_event", "_partial", "_started")

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._data: list[bytes] = []
        self._event = b""
        self._after_cr = False
        self._started = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that `chunk` completes."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        if b"\n" not in chunk and b"\r" not in chunk:
            if chunk:
                self._partial.append(chunk)
            return []
        self._after_cr = chunk.endswith(b"\r")
        lines = b"".join((*self._partial, chunk)).splitlines()
        self._partial = [] if chunk.endswith((b"\n", b"\r")) else [lines.pop()]
        return self._take(lines)

    def finish(self) -> list[SseEvent]:
        """The event whose closing blank line the end of the stream replaced, if there is one.

        A line that was cut off is not part of it.
        """
        return self._take([b""])

    def _take(self, lines: list[bytes]) -> list[SseEvent]:
        events: list[SseEvent] = []
        if not self._started and lines:
            self._started = True
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        for line in lines:
            if not line:
                if self._data:
                    events.append(self._dispatch())
                self._event = b""
                continue
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
            elif name == b"event":
                self._event = value.removeprefix(b" ")
        return events

    def _dispatch(self) -> SseEvent:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data = []
        return SseEvent(self._event.decode("utf-8", "replace") or "message", data)
