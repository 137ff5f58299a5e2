"""One question, several models: the first that answers wins."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.exceptions import (
    AllProvidersFailedError,
    APIClientError,
    ContentFilteredError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    UsageError,
)
from lattice_lock.providers.transport import Deadline

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from lattice_lock.messages import ChatRequest, ChatResponse, ModelId, StreamEvent
    from lattice_lock.providers.base_client import BaseAPIClient
    from lattice_lock.providers.middleware import Middleware

__all__ = ["FallbackManager"]

_LOG = logging.getLogger(__name__)


class FallbackManager:
    """Walks a list of candidates within the one deadline of the request.

    Which models are candidates, and in which order, is decided elsewhere. A prompt that a
    provider's filter refused is not taken to another provider. A candidate whose breaker is open
    is passed over; if no other answers, the one that is due soonest is asked after all.

    Args:
        clients: the client of each provider, by id.
    """

    def __init__(self, clients: Mapping[str, BaseAPIClient]) -> None:
        self._clients = clients

    async def chat_completion(
        self,
        request: ChatRequest,
        candidates: Sequence[ModelId],
        *,
        layers: Sequence[Middleware] = (),
    ) -> ChatResponse:
        """The first answer; each candidate is asked at most once, `request.model` only if listed.

        Args:
            layers: what stands around the call of each candidate.

        Raises:
            AllProvidersFailedError: none answered; it holds the error of each.
            ContentFilteredError: a provider's filter refused the prompt.
            UsageError: there is no candidate.
        """
        walk = _Walk(self._clients, request, candidates)
        for client, attempt, last_resort in walk:
            try:
                return await client.chat_completion(attempt, last_resort=last_resort, layers=layers)
            except APIClientError as error:
                walk.failed(error)
        raise walk.exhausted()

    async def stream(
        self,
        request: ChatRequest,
        candidates: Sequence[ModelId],
        *,
        layers: Sequence[Middleware] = (),
    ) -> AsyncGenerator[StreamEvent, None]:
        """The first answer as it is made.

        A candidate that fails before its first event is replaced without a trace. Afterwards its
        error ends the stream, because the rest of another answer does not fit to the first half
        of this one. Close the generator to stop the provider at once.

        Args:
            layers: as for `chat_completion`.

        Raises:
            AllProvidersFailedError: none began to answer; it holds the error of each.
            APIClientError: the answer broke off.
            UsageError: there is no candidate.
        """
        walk = _Walk(self._clients, request, candidates)
        for client, attempt, last_resort in walk:
            delivered = False
            try:
                stream = client.stream(attempt, last_resort=last_resort, layers=layers)
                async with aclosing(stream) as events:
                    async for event in events:
                        delivered = True
                        yield event
            except APIClientError as error:
                if delivered:
                    raise
                walk.failed(error)
            else:
                return
        raise walk.exhausted()


class _Walk:
    """The candidates of one call that are still to be asked, and why the others failed."""

    def __init__(
        self,
        clients: Mapping[str, BaseAPIClient],
        request: ChatRequest,
        candidates: Sequence[ModelId],
    ) -> None:
        if not candidates:
            raise UsageError("There is no model to ask.", hint="Name at least one candidate.")
        self._clients = clients
        self._request = request
        self._candidates = tuple(dict.fromkeys(candidates))
        self._deadline = Deadline.after(request.timeout_s)
        self._asked: ModelId
        self._causes: dict[ModelId, APIClientError] = {}

    def __iter__(self) -> Iterator[tuple[BaseAPIClient, ChatRequest, bool]]:
        """Client, request, and whether it is the last resort, for each that is to be asked."""
        for model in self._candidates:
            yield from self._ask(model, last_resort=False)
        passed_over = {
            model: error.retry_after_s
            for model, error in self._causes.items()
            if _passed_over(error) and error.retry_after_s is not None
        }
        if passed_over:
            due = min(passed_over, key=passed_over.__getitem__)
            yield from self._ask(due, last_resort=True)

    def _ask(
        self, model: ModelId, *, last_resort: bool
    ) -> Iterator[tuple[BaseAPIClient, ChatRequest, bool]]:
        left_s = self._deadline.remaining_s()
        client = self._clients.get(model.provider)
        if client is None:
            self._causes[model] = ProviderUnavailableError(
                f"There is no client of `{model.provider}` here.",
                provider=model.provider,
                model=model.name,
            )
        elif left_s <= 0:
            self._causes[model] = ProviderTimeoutError(
                f"`{model}` was not asked: the {self._deadline.total_s:g} s of the call were over.",
                provider=model.provider,
                model=model.name,
            )
        else:
            self._asked = model
            request = msgspec.structs.replace(self._request, model=model, timeout_s=left_s)
            yield client, request, last_resort

    def failed(self, error: APIClientError) -> None:
        """Remember why the candidate failed, or raise where no other may be asked."""
        if isinstance(error, ContentFilteredError):
            raise error
        self._causes[self._asked] = error
        _LOG.info(
            "fallback.tried provider=%s model=%s code=%s", error.provider, error.model, error.code
        )

    def exhausted(self) -> AllProvidersFailedError:
        """The error that holds every cause."""
        count = len(self._causes)
        return AllProvidersFailedError(
            f"None of {count} models answered." if count > 1 else "The model did not answer.",
            list(self._causes.values()),
        )


def _passed_over(error: APIClientError) -> bool:
    """Whether the breaker spoke and not the provider, which would have answered with a status."""
    return isinstance(error, ProviderUnavailableError) and error.status is None
