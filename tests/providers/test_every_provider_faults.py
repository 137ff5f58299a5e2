"""Every provider through every fault: an error that says what happened, or the true answer.

Never an answer made up from broken bytes, never a retry that cannot help, never a hang.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from every_provider import CASES, FORMATS, TEXT, Case, client_of
from fault_proxy import (
    FAULTS,
    UNREADABLE,
    endless_body,
    faulty,
    refusing,
    resetting,
    true_answer,
)
from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    ContentFilteredError,
    InvalidRequestError,
    ModelNotAvailableError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from lattice_lock.messages import StreamEnd, TextDelta
from wire_server import QUICK, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lattice_lock.messages import ChatRequest, ChatResponse
    from lattice_lock.providers.base_client import BaseAPIClient
    from wire_server import Received

_PATIENCE_S = 30.0  # beyond any deadline here: whoever needs it hangs
_SHORT_S = 0.15
_ANY_STATUS = {"reset-after-head", "reset-in-body", "bad-chunk"}

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
each_format = pytest.mark.parametrize("case", [CASES[name] for name in FORMATS], ids=FORMATS)
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@dataclass
class Outcome:
    """How a call ended, and the text that was delivered on the way."""

    text: str = ""
    response: ChatResponse | None = None
    error: APIClientError | None = None


async def outcome_of(client: BaseAPIClient, request: ChatRequest, *, stream: bool) -> Outcome:
    """What comes of a call; a call that never ends is a failure of the test."""
    outcome = Outcome()
    async with asyncio.timeout(_PATIENCE_S):
        try:
            if not stream:
                outcome.response = await client.chat_completion(request)
                return outcome
            async with aclosing(client.stream(request)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        outcome.text += event.text
                    elif isinstance(event, StreamEnd):
                        assert outcome.response is None
                        outcome.response = event.response
        except APIClientError as error:
            outcome.error = error
    return outcome


def is_an_error(
    outcome: Outcome, case: Case, kinds: tuple[type[APIClientError], ...]
) -> APIClientError:
    """The error, which is one of `kinds`, says whose it is, and followed no invented text."""
    error = outcome.error
    assert isinstance(error, kinds), error
    assert outcome.response is None
    assert TEXT.startswith(outcome.text)
    assert (error.provider, error.model) == (case.provider, case.model)
    assert error.attempt is not None
    late = isinstance(error, ProviderTimeoutError)  # then no time is left for another attempt
    again = error.retryable and not late and not outcome.text
    assert error.attempt == (QUICK.max_attempts if again else 1)
    return error


@both_ways
@pytest.mark.parametrize("name", FAULTS)
@every_case
async def test_a_fault_is_an_error_or_the_true_answer(
    case: Case, name: str, *, stream: bool
) -> None:
    """Whatever breaks, the error names it, and as many requests were sent as attempts counted."""
    fault = FAULTS[name]
    request = case.ask(timeout_s=_SHORT_S if fault.endless else _PATIENCE_S)
    async with (
        faulty(fault.act, [true_answer(case, stream=stream)]) as server,
        client_of(case, server.url) as client,
    ):
        outcome = await outcome_of(client, request, stream=stream)
    if kinds := fault.streamed if stream else fault.whole:
        error = is_an_error(outcome, case, kinds)
        if fault.endless:  # on a busy machine the time may run out before anything is sent
            assert len(server.requests) <= 1
            assert error.status in {fault.status, None}
        else:
            assert error.attempt == len(server.requests)
            # A reset may overtake the head.
            assert error.status == fault.status or name in _ANY_STATUS
    else:
        assert outcome.response is not None
        assert outcome.response.text == TEXT
        assert outcome.text == (TEXT if stream else "")


@both_ways
@every_case
async def test_no_connection_is_an_error(case: Case, *, stream: bool) -> None:
    """A refused connection, and one that is reset at once, are tried again and then reported."""
    for nobody in (refusing(), resetting()):
        async with nobody as url, client_of(case, url) as client:
            outcome = await outcome_of(client, case.ask(), stream=stream)
        error = is_an_error(outcome, case, (ProviderConnectionError,))
        assert error.status is None


@both_ways
@each_format
async def test_an_answer_without_end_is_cut_off(case: Case, *, stream: bool) -> None:
    """A body that never ends is refused at the limit, however it is read."""
    async with (
        faulty(endless_body, [true_answer(case, stream=stream)]) as server,
        client_of(case, server.url) as client,
    ):
        outcome = await outcome_of(client, case.ask(), stream=stream)
    is_an_error(outcome, case, UNREADABLE)


_FINAL: dict[int, tuple[type[APIClientError], ...]] = {
    400: (InvalidRequestError,),
    401: (AuthenticationError,),
    403: (PermissionDeniedError,),
    404: (ModelNotAvailableError, ProviderUnavailableError),
    422: (InvalidRequestError, ContentFilteredError),
}


@both_ways
@pytest.mark.parametrize("status", _FINAL)
@every_case
async def test_what_cannot_succeed_is_asked_once(case: Case, status: int, *, stream: bool) -> None:
    """A refusal that a repetition cannot change costs exactly one request."""
    async with (
        serving(case.problem(status), case.streamed if stream else case.whole) as server,
        client_of(case, server.url) as client,
    ):
        outcome = await outcome_of(client, case.ask(), stream=stream)
    error = is_an_error(outcome, case, _FINAL[status])
    assert (error.status, error.attempt, len(server.requests)) == (status, 1, 1)
    assert "No." in error.message


def _same(requests: Sequence[Received], header: str) -> bool:
    return len({request.headers.get(header) for request in requests}) == 1


@both_ways
@pytest.mark.parametrize("statuses", [(429, 500), (503, 529)], ids=str)
@every_case
async def test_what_passes_is_asked_again(
    case: Case, statuses: tuple[int, int], *, stream: bool
) -> None:
    """After two refusals that pass, the third request is the same and gets the true answer."""
    steps = [*map(case.problem, statuses), case.streamed if stream else case.whole]
    async with serving(*steps) as server, client_of(case, server.url) as client:
        outcome = await outcome_of(client, case.ask(), stream=stream)
    assert outcome.response is not None, outcome.error
    assert (outcome.response.text, outcome.response.attempts) == (TEXT, 3)
    assert outcome.text == (TEXT if stream else "")
    assert len(server.requests) == 3
    assert len({request.body for request in server.requests}) == 1
    assert _same(server.requests, "idempotency-key")


@both_ways
@pytest.mark.parametrize("status", [429, 500, 503, 529])
@every_case
async def test_what_does_not_pass_is_given_up(case: Case, status: int, *, stream: bool) -> None:
    """A refusal that stays is reported after the last attempt, with its status."""
    async with serving(case.problem(status)) as server, client_of(case, server.url) as client:
        outcome = await outcome_of(client, case.ask(), stream=stream)
    error = is_an_error(outcome, case, (APIClientError,))
    assert (error.status, error.attempt, len(server.requests)) == (status, 3, 3)
