"""Models of an OpenAI-compatible server in reach: Ollama, vLLM, llama.cpp and the like."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.providers.chat_completions import ChatDialect
from lattice_lock.providers.openai_compatible import OpenAICompatibleClient

if TYPE_CHECKING:
    from lattice_lock.messages import ChatResponse

__all__ = ["LocalClient"]


class LocalClient(OpenAICompatibleClient):
    """Talks to the server of `LATTICE_LOCK_LOCAL_URL`, else to Ollama; it needs no key.

    Ollama ignores `tool_choice`, and bounds an answer only by `max_tokens`, which the other
    servers take as well.
    """

    provider: ClassVar[str] = "local"
    dialect: ClassVar[ChatDialect] = ChatDialect(max_tokens_key="max_tokens")
    embeddings_at_once: ClassVar[int] = 64
    unreachable_hint: ClassVar[str | None] = (
        "Start the server, or set `LATTICE_LOCK_LOCAL_URL` to where it is."
    )

    @override
    def _base_url(self) -> str:
        return self._settings.local_url

    @override
    def _key_variable(self) -> str | None:
        return "LATTICE_LOCK_LOCAL_API_KEY"  # set only where the server wants one

    @override
    def _cost_usd(self, response: ChatResponse) -> Decimal:
        return Decimal(0)
