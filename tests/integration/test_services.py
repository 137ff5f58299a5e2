"""The services that storage tests rely on are the real ones, spoken to in their own protocols."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


def test_redis_answers_a_ping(redis_connection: socket.socket) -> None:
    """Redis answers `PING` in its own protocol."""
    redis_connection.sendall(b"*1\r\n$4\r\nPING\r\n")
    assert redis_connection.recv(64) == b"+PONG\r\n"


def test_postgres_answers_a_startup_message(postgres_connection: socket.socket) -> None:
    """PostgreSQL answers a startup message with a request to authenticate or its own error."""
    body = struct.pack("!I", 3 << 16) + b"user\0postgres\0database\0postgres\0\0"
    postgres_connection.sendall(struct.pack("!I", len(body) + 4) + body)
    assert postgres_connection.recv(1) in {b"R", b"E"}
