"""Clients of servers that speak OpenAI's Responses, and chat completions besides."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import msgspec
from typing_extensions import override

from lattice_lock.exceptions import APIClientError, IncompleteStreamError
from lattice_lock.messages import StreamEnd
from lattice_lock.providers.error_mapping import ErrorFacts
from lattice_lock.providers.openai_compatible import OpenAICompatibleClient
from lattice_lock.providers.responses import responses_body
from lattice_lock.providers.responses_answer import (
    ResponsesAssembler,
    WireEvent,
    WireResponse,
    responses_answer,
)
from lattice_lock.providers.sse import SseParser
from lattice_lock.providers.transport import WHOLE_ANSWER, Deadline, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lattice_lock.messages import ChatRequest, ChatResponse, StreamEvent
    from lattice_lock.providers.responses import ResponsesDialect
    from lattice_lock.providers.transport import HttpRequest, HttpResponse

__all__ = ["ResponsesClient"]

_STREAM_TIMEOUTS = Timeouts()
_DRAIN_S = 0.25
_ENDS = {"response.completed", "response.incomplete"}
_FAILURES = {"response.failed", "error", ""}

_WHOLE = msgspec.json.Decoder(WireResponse)
_EVENT = msgspec.json.Decoder(WireEvent)
_ANY = msgspec.json.Decoder(dict[str, Any])


class ResponsesClient(OpenAICompatibleClient):
    """One provider behind `POST /responses`, and `POST /chat/completions` for what wants it."""

    @abstractmethod
    def _uses_responses(self, request: ChatRequest) -> bool:
        """Whether `request` goes to Responses; otherwise it goes to chat completions."""

    @abstractmethod
    def _responses_dialect(self, request: ChatRequest) -> ResponsesDialect:
        """How Responses are spoken to the model of `request`.

        Raises:
            InvalidRequestError: the model cannot do what is asked of it.
        """

    def _responses_path(self) -> str:
        """Path below the base to which requests are sent."""
        return "/responses"

    @override
    async def _chat_completion_impl(self, request: ChatRequest, deadline: Deadline) -> ChatResponse:
        if not self._uses_responses(request):
            return await super()._chat_completion_impl(request, deadline)
        http = self._responses_request(request, stream=False)
        async with self._open(http, deadline=deadline, timeouts=WHOLE_ANSWER) as response:
            content = await response.read()
            self._refuse_error(http, content, response)
            wire = self._decode(_WHOLE, content, http, response)
            return self._with_request_id(responses_answer(request.model, wire), response)

    @override
    def _stream_impl(
        self, request: ChatRequest, deadline: Deadline
    ) -> AsyncGenerator[StreamEvent, None]:
        if self._uses_responses(request):
            return self._stream_responses(request, deadline)
        return super()._stream_impl(request, deadline)

    async def _stream_responses(
        self, request: ChatRequest, deadline: Deadline
    ) -> AsyncGenerator[StreamEvent, None]:
        http = self._responses_request(request, stream=True)
        async with self._open(http, deadline=deadline, timeouts=_STREAM_TIMEOUTS) as response:
            await self._expect_events(http, response)
            assembler = ResponsesAssembler(request.model)
            parser = SseParser()
            end: WireEvent | None = None
            while end is None:
                chunk = await response.read_chunk()
                for _, data in parser.feed(chunk) if chunk else parser.finish():
                    event = self._event(data, http, response)
                    if event.type in _ENDS:
                        end = event
                        break
                    for addition in assembler.feed(event):
                        yield addition
                if not chunk and end is None:
                    raise self._error(
                        IncompleteStreamError,
                        http,
                        "The stream ended without its last event; the text may be cut off.",
                        response=response,
                    )
            wire = self._decode(_WHOLE, bytes(end.response), http, response)
            answer = assembler.finish(wire)
            await response.drain(_DRAIN_S)
            yield StreamEnd(response=self._with_request_id(answer, response))

    def _responses_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = responses_body(request, self._responses_dialect(request), stream=stream)
        http = self._request("POST", self._responses_path(), model=request.model.name, body=body)
        if stream:
            http.headers["Accept"] = "text/event-stream"
        return http

    def _event(self, data: bytes, request: HttpRequest, response: HttpResponse) -> WireEvent:
        """One event of a stream; an event that says that something failed is raised."""
        event = self._decode(_EVENT, data, request, response)
        if event.type in _FAILURES:
            raise self._failure(self._decode(_ANY, data, request, response), request, response)
        return event

    def _failure(
        self, event: dict[str, Any], request: HttpRequest, response: HttpResponse
    ) -> APIClientError:
        """The error that `event` reports.

        Forms: an `error` event with the facts in it (as documented) or under `error` (as sent by
        servers at times), and `response.failed` with the facts in its response.
        """
        inner = event.get("response")
        error = inner.get("error") if isinstance(inner, dict) else event.get("error", event)
        facts = self._error_facts({"error": error}) if error else None
        unknown = ErrorFacts(message="The stream broke with an error of unknown form.")
        return self._reported(request, facts or unknown, response=response)
