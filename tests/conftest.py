"""What every test may ask for."""

from __future__ import annotations

import inspect
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["embedded_model"]

ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT_S = 5.0


@pytest.fixture(autouse=True)
def _nothing_blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail every coroutine test in which our code blocks the event loop."""
    if not inspect.iscoroutinefunction(getattr(request, "function", None)):
        yield
        return
    with blockbuster_ctx("lattice_lock") as guard:
        # What measures coverage locks its own data, whoever is being measured.
        guard.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield


@pytest.fixture(autouse=True, scope="session")
def _own_user_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what commands remember out of the folders of whoever runs the tests."""
    folder = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE", "DATA"):
            patch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository that the tests stand in."""
    return ROOT


def _connect(service: str, variable: str, default_port: int) -> socket.socket:
    """A connection to a service at `host:port`, a skip where there is none, or a failure.

    `LATTICE_REQUIRE_SERVICES=1`, which the gate sets, turns an absent service into a failure.
    """
    host, _, port = os.environ.get(variable, f"127.0.0.1:{default_port}").rpartition(":")
    try:
        return socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)
    except OSError as error:
        reason = f"{service} does not answer at {host}:{port} (`{variable}`): {error}"
        if os.environ.get("LATTICE_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def redis_connection() -> Iterator[socket.socket]:
    """A connection to the Redis of `LATTICE_TEST_REDIS`."""
    with _connect("Redis", "LATTICE_TEST_REDIS", 6379) as connection:
        yield connection


@pytest.fixture
def postgres_connection() -> Iterator[socket.socket]:
    """A connection to the PostgreSQL of `LATTICE_TEST_POSTGRES`."""
    with _connect("PostgreSQL", "LATTICE_TEST_POSTGRES", 5432) as connection:
        yield connection
