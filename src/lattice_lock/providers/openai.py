"""OpenAI's models, over Responses or chat completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.providers.chat_completions import ChatDialect
from lattice_lock.providers.openai_models import UNKNOWN, ensure_supported, model_traits
from lattice_lock.providers.responses import ResponsesDialect
from lattice_lock.providers.responses_client import ResponsesClient

if TYPE_CHECKING:
    from lattice_lock.messages import ChatRequest

__all__ = ["OpenAIClient"]


class OpenAIClient(ResponsesClient):
    """Talks to OpenAI; needs `OPENAI_API_KEY`.

    Models that reason are called over Responses, where tools and reasoning go together and
    nothing is stored; older ones over chat completions, which have `stop` and `seed`.
    `LATTICE_LOCK_OPENAI_API` chooses for all of them, as a server at `OPENAI_BASE_URL` that
    speaks only one of the two may need.
    """

    provider: ClassVar[str] = "openai"
    base_url: ClassVar[str] = "https://api.openai.com/v1"
    url_variable: ClassVar[str | None] = "OPENAI_BASE_URL"
    key_variable: ClassVar[str | None] = "OPENAI_API_KEY"
    embeddings_at_once: ClassVar[int] = 2048
    embeddings_as_base64: ClassVar[bool] = True

    @override
    def _headers(self) -> dict[str, str]:
        named = {
            "OpenAI-Organization": self._settings.text("OPENAI_ORG_ID"),
            "OpenAI-Project": self._settings.text("OPENAI_PROJECT_ID"),
        }
        return {name: value for name, value in named.items() if value}

    @override
    def _uses_responses(self, request: ChatRequest) -> bool:
        chosen = self._settings.openai_api
        if chosen is not None:
            return chosen == "responses"
        return (model_traits(request.model.name) or UNKNOWN).reasoning

    @override
    def _dialect(self, request: ChatRequest) -> ChatDialect:
        traits = model_traits(request.model.name) or UNKNOWN
        ensure_supported(request, traits, chat=True)
        return ChatDialect(system_role=traits.instructed_by)

    @override
    def _responses_dialect(self, request: ChatRequest) -> ResponsesDialect:
        traits = model_traits(request.model.name) or UNKNOWN
        ensure_supported(request, traits, chat=False)
        return ResponsesDialect(
            system_role=traits.instructed_by,
            encrypted_reasoning=traits.reasoning,
            summary=self._settings.reasoning_summary if traits.reasoning else None,
            elsewhere="Leave it out, or ask `openai/gpt-4.1`.",
        )
