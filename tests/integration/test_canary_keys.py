"""A key of its own for every provider, every way to fail, and a search of everything written.

What a server may do with a key that it was sent: quote it in an error, a header, a reason phrase, a
redirect, in the middle of a stream. None of it may get into an error, a trace, a log line, a
`repr`, a pickle or the output of a command, in any of the forms that a key takes on its way.
"""

from __future__ import annotations

import base64
import logging
import pickle
import re
import traceback
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from command_process import run
from every_provider import CASES, client_of
from lattice_lock.exceptions import APIClientError
from lattice_lock.settings import Settings
from wire_server import NOWHERE, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from every_provider import Case
    from wire_server import Step, Wire

    Mode = Callable[[Case, str], Step]

DEAD = "http://127.0.0.1:1"


def key_of(case: Case) -> str:
    """A key that only this case has, with characters that encodings change."""
    return f"canary/{case.name}+7f3b=="


def forms(key: str) -> Iterator[str]:
    """The key as it may be written: plain, quoted for addresses, as base64 at any offset."""
    yield key
    yield quote(key, safe="")
    for shift in range(3):
        packed = base64.b64encode(b"x" * shift + key.encode()).decode()
        yield packed[4:-4] if shift else packed[:-4]


def secrets_of(case: Case) -> dict[str, str]:
    """What was put into the environment for `case` and must not come out."""
    environment = case.environment(DEAD, key_of(case))
    hidden = re.compile(r"KEY|TOKEN|SECRET")
    return {name: value for name, value in environment.items() if hidden.search(name)}


def ensure_clean(case: Case, written: str, where: str) -> None:
    """No secret of `case` is in `written`, in any form."""
    for name, secret in secrets_of(case).items():
        for form in forms(secret):
            assert form not in written, f"{name} of {case.name} in {where}"


def refuses(status: int) -> Mode:
    """The provider's own error, with the key in its words and in headers."""

    def mode(case: Case, key: str) -> Step:
        return case.problem(status, f"Wrong key {key}, or {quote(key, safe='')}.", X_Echo=key)

    return mode


def in_reason_and_html(_case: Case, key: str) -> Step:
    """A proxy's page with the key in the status line and the body."""

    async def step(wire: Wire) -> None:
        body = f"<html>no {key}</html>"
        await wire.send(
            f"HTTP/1.1 403 no {key}\r\nContent-Type: text/html {key}\r\nX-Request-Id: {key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    return step


def no_http(_case: Case, key: str) -> Step:
    """Something that is no HTTP at all."""

    async def step(wire: Wire) -> None:
        await wire.send(f"{key} {key}\r\n\r\n")

    return step


def nonsense(_case: Case, key: str) -> Step:
    """A success whose body is not in the format."""

    async def step(wire: Wire) -> None:
        await wire.head(kind=f"text/{quote(key, safe='')}")
        await wire.send(f'{{"{key}": "{key}", "choices": "{key}"}}')

    return step


def broken_stream(case: Case, key: str) -> Step:
    """A stream that begins well and then quotes the key."""

    async def step(wire: Wire) -> None:
        await wire.head(kind=case.stream_type)
        await wire.send(*case.pieces[:2], f'data: {{"error": {{"message": "{key}"}}}}\n\n')

    return step


MODES: dict[str, Mode] = {
    "400": refuses(400),
    "401": refuses(401),
    "403": refuses(403),
    "429": refuses(429),
    "500": refuses(500),
    "reason": in_reason_and_html,
    "no-http": no_http,
    "nonsense": nonsense,
    "broken-stream": broken_stream,
}


async def _failure(call: Callable[[], Awaitable[object]]) -> APIClientError | None:
    try:
        await call()
    except APIClientError as error:
        return error
    return None


def _everything(error: BaseException, *, variables: bool = True) -> str:
    """All that can be read out of an error: texts, arguments, fields, traces and its pickle.

    Args:
        variables: also the variables of every frame, as some reporters print them.
    """
    chain: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and one not in chain:
            chain.append(one)
            left += [one.__cause__, one.__context__]
    shown = [f"{one!r} {one} {one.args!r} {vars(one)!r}" for one in chain]
    shown += traceback.TracebackException.from_exception(error, capture_locals=variables).format()
    return "".join(shown) + pickle.dumps(error).decode("latin-1")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
async def test_no_failure_shows_a_key(
    name: str, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Error, chained causes, trace, pickle, logs of every library and reprs are without the key."""
    caplog.set_level(logging.DEBUG)
    case = CASES[name]
    key = key_of(case)
    errors = []
    async with (
        serving(MODES[mode](case, key)) as server,
        client_of(case, server.url, key=key) as client,
    ):

        async def stream() -> None:
            async with aclosing(client.stream(case.ask())) as events:
                async for _ in events:
                    pass

        errors.append(await _failure(lambda: client.chat_completion(case.ask())))
        errors.append(await _failure(stream))
        ensure_clean(case, f"{client!r} {vars(client)!r}", "the client")
        sent = str([request.headers for request in server.requests])
    assert any(errors)
    assert key in sent or "AWS4-HMAC-SHA256" in sent, "the key was never in play"
    for error in filter(None, errors):
        # A body that cannot be read stands in the variables of who reads it, as any answer does.
        variables = mode not in {"nonsense", "broken-stream"}
        ensure_clean(case, _everything(error, variables=variables), f"the error of {mode}")
    ensure_clean(case, caplog.text, "the log")


@pytest.mark.parametrize("name", CASES)
async def test_a_redirect_gets_no_key(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Another host that an answer names is sent nothing, and its address is not believed."""
    caplog.set_level(logging.DEBUG)
    case = CASES[name]
    key = key_of(case)

    async def elsewhere(wire: Wire) -> None:
        await wire.head()

    async with serving(elsewhere) as target:

        async def redirect(wire: Wire) -> None:
            place = f"{target.url}?key={quote(key, safe='')}"
            await wire.send(f"HTTP/1.1 307 X\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")

        async with serving(redirect) as server, client_of(case, server.url, key=key) as client:
            error = await _failure(lambda: client.chat_completion(case.ask()))
        assert error is not None
        assert target.requests == []
        assert target.connections == 0
    ensure_clean(case, _everything(error) + caplog.text, "the error of a redirect")


@pytest.mark.parametrize("name", CASES)
async def test_nothing_that_answers_shows_no_key(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused connection, a deadline, and a key that cannot be sent are errors without it."""
    caplog.set_level(logging.DEBUG)
    case = CASES[name]
    key = key_of(case)

    async def silent(wire: Wire) -> None:
        await wire.until_hung_up()

    async with client_of(case, DEAD, key=key) as client:
        errors = [await _failure(lambda: client.chat_completion(case.ask()))]
    async with serving(silent) as server, client_of(case, server.url, key=key) as late:
        errors.append(await _failure(lambda: late.chat_completion(case.ask(timeout_s=0.05))))
        async with client_of(case, server.url, key=f"{key}\r\nX-Evil: 1") as bad:
            if case.name != "bedrock-signed":  # a signature carries no key
                errors.append(await _failure(lambda: bad.chat_completion(case.ask())))
                assert len(server.requests) == 1
    assert all(errors)
    for error in filter(None, errors):
        ensure_clean(case, _everything(error), "an error")
    ensure_clean(case, caplog.text, "the log")


@pytest.mark.parametrize("name", CASES)
def test_settings_show_no_key(name: str) -> None:
    """Settings with every key of a provider print none of them."""
    case = CASES[name]
    environment = case.environment(DEAD, key_of(case))
    settings = Settings.load(environment=environment, dotenv=NOWHERE)
    ensure_clean(case, f"{settings} {settings!r}", "the settings")


@pytest.mark.parametrize("name", ["openai", "anthropic", "google", "azure", "bedrock-signed"])
async def test_commands_show_no_key(name: str, tmp_path: Path) -> None:
    """`ask` with every detail on, and `doctor`, print no key where the server quotes it."""
    case = CASES[name]
    key = key_of(case)
    model = f"{case.provider}/{case.model}"
    async with serving(case.problem(401, f"Wrong key {key}.")) as server:
        origin = re.sub(r"(://[^/]+).*", r"\1", server.url)
        environment = case.environment(origin, key) | {"LATTICE_LOCK_DEBUG": "1"}
        asked = await run(tmp_path, "ask", "?", "--model", model, **environment)
        told = await run(tmp_path, "ask", "?", "--model", model, "--format", "json", **environment)
        doctor = await run(tmp_path, "doctor", **environment)
    assert asked.code != 0
    assert "Traceback" in asked.err
    for outcome in (asked, told, doctor):
        ensure_clean(case, outcome.out + outcome.err, "the output of a command")


async def test_a_proxys_password_is_not_shown(tmp_path: Path) -> None:
    """Where a proxy cannot be reached, the error names no user and no password of it."""
    secret = "canary-proxy-9"  # noqa: S105  # it opens nothing
    outcome = await run(
        tmp_path,
        *("ask", "?", "--model", "openai/gpt-4o", "--timeout", "5"),
        OPENAI_API_KEY="canary-openai-8",
        OPENAI_BASE_URL="http://models.example/v1",
        HTTP_PROXY=f"http://me:{secret}@127.0.0.1:1",
        LATTICE_LOCK_DEBUG="1",
    )
    assert outcome.code != 0
    assert "canary" not in outcome.out + outcome.err
