"""The promises that all providers share."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from every_provider import CASES, KEY, TEXT, Case, client_of
from lattice_lock.exceptions import AuthenticationError
from lattice_lock.messages import StreamEnd, TextDelta
from lattice_lock.providers.discovery import provider_names
from wire_server import serving

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def test_every_provider_is_in_the_table() -> None:
    """A provider that nobody put into `every_provider.py` would escape all that follows."""
    assert {case.provider for case in CASES.values()} | {"embedded"} == set(provider_names())


@every_case
async def test_the_answer_is_the_same_whole_and_streamed(case: Case) -> None:
    """Both ways give the text, and the key is sent each time."""
    async with (
        serving(case.whole, case.streamed) as server,
        client_of(case, server.url) as client,
    ):
        response = await client.chat_completion(case.ask())
        async with aclosing(client.stream(case.ask())) as stream:
            *deltas, end = [event async for event in stream]
    assert isinstance(end, StreamEnd)
    assert response.text == end.response.text == TEXT
    assert "".join(event.text for event in deltas if isinstance(event, TextDelta)) == TEXT
    assert len(deltas) > 1
    if case.name != "bedrock-signed":
        assert all(any(KEY in v for v in r.headers.values()) for r in server.requests)


@every_case
async def test_a_refused_key_says_where_it_came_from(case: Case) -> None:
    """The hint names the variable that holds the key in use, so that nobody has to look for it."""
    environment = case.environment("http://127.0.0.1:1", KEY)
    async with serving(case.problem(401)) as server, client_of(case, server.url) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.chat_completion(case.ask())
    hint = caught.value.hint or ""
    if case.name == "bedrock-signed":
        assert "AWS credentials" in hint
    else:
        (variable,) = (name for name, value in environment.items() if value == KEY)
        assert hint == f"Check `{variable}`."
