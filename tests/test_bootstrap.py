"""Connecting the parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from lattice_lock.bootstrap import open_clients
from lattice_lock.exceptions import IncompleteStreamError, ProviderUnavailableError
from lattice_lock.providers.middleware import Middleware
from lattice_lock.settings import Settings
from wire_server import NOWHERE, answer, ask, delta, events, serving, whole

if TYPE_CHECKING:
    from pathlib import Path

    from lattice_lock.messages import ChatRequest, ChatResponse
    from lattice_lock.providers.middleware import CallNext


def _settings(folder: Path, url: str = "http://127.0.0.1:9/v1") -> Settings:
    environment = {"LATTICE_LOCK_DATA_DIR": str(folder), "LATTICE_LOCK_LOCAL_URL": url}
    return Settings.load(environment=environment, dotenv=NOWHERE)


async def test_clients_are_those_asked_for(tmp_path: Path) -> None:
    """Each provider named has one client under its id, and a real call goes through it."""
    async with (
        serving(answer(whole())) as server,
        open_clients(_settings(tmp_path, server.url), ["local", "embedded", "local"]) as clients,
    ):
        assert {name: client.provider for name, client in clients.items()} == {
            "local": "local",
            "embedded": "embedded",
        }
        assert (await clients["local"].chat_completion(ask())).text == "Hi"


async def test_what_is_down_is_left_alone(tmp_path: Path) -> None:
    """After five calls that fail in a row the clients opened here send no further request."""
    async with (
        serving(events(delta("cut"))) as server,
        open_clients(_settings(tmp_path, server.url), ["local"]) as clients,
    ):
        for _ in range(5):
            with pytest.raises(IncompleteStreamError):
                [_ async for _ in clients["local"].stream(ask())]
        with pytest.raises(ProviderUnavailableError, match="left alone"):
            await clients["local"].chat_completion(ask())
        assert len(server.requests) == 5


async def test_unknown_provider_is_refused(tmp_path: Path) -> None:
    """A provider that does not exist is an error, and what was opened before it is closed."""
    with pytest.raises(ProviderUnavailableError, match="There is no provider `nope`"):
        async with open_clients(_settings(tmp_path), ["local", "nope"]):
            pass


async def test_middleware_stands_around_every_client(tmp_path: Path) -> None:
    """Layers given here see each call of each client, the first outermost."""
    seen: list[str] = []

    class Layer(Middleware):
        def __init__(self, name: str) -> None:
            self.name = name

        @override
        async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
            seen.append(self.name)
            return await call_next(request)

    async with (
        serving(answer(whole())) as server,
        open_clients(
            _settings(tmp_path, server.url), ["local"], middleware=(Layer("outer"), Layer("inner"))
        ) as clients,
    ):
        await clients["local"].chat_completion(ask())
    assert seen == ["outer", "inner"]
