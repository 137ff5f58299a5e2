"""Streams cut at any byte: no text twice, none mixed up, and no end where there was none.

All offsets for one provider of each wire format, and a seeded sample of them for the others, which
share its parser.
"""

from __future__ import annotations

import random
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from every_provider import CASES, FORMATS, TEXT, Case, client_of
from lattice_lock.errors.retry import RetryPolicy
from lattice_lock.exceptions import APIClientError, ProviderConnectionError
from lattice_lock.messages import StreamEnd, TextDelta
from wire_server import Wire, serving

if TYPE_CHECKING:
    from lattice_lock.providers.base_client import BaseAPIClient

_ONCE = RetryPolicy(max_attempts=1)
_SAMPLE = 40
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def offsets(case: Case) -> list[int]:
    """Where the stream of `case` is cut."""
    every = range(1, len(b"".join(case.pieces)))
    if case.name in FORMATS:
        return list(every)
    return sorted(random.Random(case.name).sample(every, _SAMPLE))  # noqa: S311  # repeatable


async def read(client: BaseAPIClient, case: Case) -> tuple[str, str | None, APIClientError | None]:
    """The text as it was delivered, the text of the end, and the error in its place."""
    said, whole = "", None
    try:
        async with aclosing(client.stream(case.ask())) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    said += event.text
                elif isinstance(event, StreamEnd):
                    whole = event.response.text
    except APIClientError as error:
        return said, whole, error
    return said, whole, None


@every_case
async def test_a_stream_in_two_packets_is_the_same_text(case: Case) -> None:
    """Wherever the network cuts a stream in two, its text is the same."""
    content = b"".join(case.pieces)
    cuts = iter(offsets(case))

    async def two_packets(wire: Wire) -> str:
        cut = next(cuts)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {case.stream_type}\r\n"
        await wire.send(f"{head}Content-Length: {len(content)}\r\n\r\n")
        await wire.send(content[:cut])
        await wire.send(b"", content[cut:])
        return "keep"

    async with (
        serving(two_packets) as server,
        client_of(case, server.url, retry=_ONCE) as client,
    ):
        for cut in offsets(case):
            assert await read(client, case) == (TEXT, TEXT, None), cut


@every_case
async def test_a_stream_that_ends_early_never_ends_well(case: Case) -> None:
    """Wherever the connection ends, the error says so after a beginning of the true text.

    Only behind the mark of its end, of which line ends are no part, is a stream complete.
    """
    content = b"".join(case.pieces)
    complete = len(content.rstrip()) if case.stream_type.startswith("text/") else len(content)
    cuts = iter(offsets(case))

    async def cut_off(wire: Wire) -> None:
        await wire.head(kind=case.stream_type)
        await wire.send(content[: next(cuts)])

    async with serving(cut_off) as server, client_of(case, server.url, retry=_ONCE) as client:
        for cut in offsets(case):
            said, whole, error = await read(client, case)
            if error is None:
                assert cut >= complete, cut
                assert (said, whole) == (TEXT, TEXT), cut
            else:
                assert isinstance(error, ProviderConnectionError), (cut, error)
                assert whole is None, cut
                assert TEXT.startswith(said), cut
                assert cut <= complete, (cut, error)
