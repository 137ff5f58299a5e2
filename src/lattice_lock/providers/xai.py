"""xAI's Grok models, over Responses; chat completions are deprecated there.

Source: https://docs.x.ai/developers/model-capabilities/text/comparison; xai-sdk 1.21.0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.messages import ReasoningEffort
from lattice_lock.providers.chat_completions import ChatDialect
from lattice_lock.providers.responses import ResponsesDialect
from lattice_lock.providers.responses_client import ResponsesClient

if TYPE_CHECKING:
    from decimal import Decimal

    from lattice_lock.messages import ChatRequest, ChatResponse

__all__ = ["XAIClient"]

_EFFORTS = frozenset(
    {
        ReasoningEffort.NONE,
        ReasoningEffort.LOW,
        ReasoningEffort.MEDIUM,
        ReasoningEffort.HIGH,
        ReasoningEffort.XHIGH,
    }
)
_ALWAYS_REASONS = re.compile(r"grok-4\.5")
_NEVER_REASONS = re.compile(r".*-non-reasoning")


class XAIClient(ResponsesClient):
    """Talks to xAI; needs `XAI_API_KEY`. Every answer says what it costs.

    `LATTICE_LOCK_XAI_API` chooses chat completions, which give no reasoning back.
    """

    provider: ClassVar[str] = "xai"
    base_url: ClassVar[str] = "https://api.x.ai/v1"
    url_variable: ClassVar[str | None] = "XAI_BASE_URL"
    key_variable: ClassVar[str | None] = "XAI_API_KEY"

    @override
    def _uses_responses(self, request: ChatRequest) -> bool:
        return self._settings.xai_api != "chat"

    @override
    def _dialect(self, request: ChatRequest) -> ChatDialect:
        _ensure_effort(request)
        if request.stop and not _NEVER_REASONS.match(request.model.name):
            raise request.refusal(
                "stop",
                f"`{request.model}` reasons, and such models do not take stop texts.",
                hint="Leave `stop` out, or ask a model whose name ends in `-non-reasoning`.",
            )
        return ChatDialect()

    @override
    def _responses_dialect(self, request: ChatRequest) -> ResponsesDialect:
        _ensure_effort(request)
        return ResponsesDialect(
            system_role="system",
            encrypted_reasoning=not _NEVER_REASONS.match(request.model.name),
            metadata=False,
            elsewhere="Leave it out, or set `LATTICE_LOCK_XAI_API` to `chat`.",
        )

    @override
    def _cost_usd(self, response: ChatResponse) -> Decimal | None:
        return response.cost_usd


def _ensure_effort(request: ChatRequest) -> None:
    effort = request.reasoning_effort
    if effort is None:
        return
    name = request.model.name
    if _NEVER_REASONS.match(name):
        hint = "Ask `xai/grok-4.3`."
    elif effort not in _EFFORTS:
        hint = "There are " + ", ".join(f"`{one}`" for one in sorted(_EFFORTS)) + "."
    elif effort is ReasoningEffort.NONE and _ALWAYS_REASONS.match(name):
        hint = "`xai/grok-4.3` can answer without reasoning."
    else:
        return
    raise request.refusal(
        "reasoning_effort",
        f"`{request.model}` does not have the reasoning effort `{effort}`.",
        hint=hint,
    )
