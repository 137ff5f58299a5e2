"""Models and applications behind EPAM's DIAL.

Source: aidial-sdk 0.46.0 and aidial-client 0.18.0; https://github.com/epam/ai-dial-core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import msgspec
from typing_extensions import override

from lattice_lock.exceptions import ConfigurationError
from lattice_lock.messages import ModelId, ReasoningEffort
from lattice_lock.providers.chat_completions import ChatDialect
from lattice_lock.providers.openai_compatible import OpenAICompatibleClient, path_of_model

if TYPE_CHECKING:
    from lattice_lock.messages import ChatRequest, EmbeddingRequest, StreamEvent
    from lattice_lock.providers.chat_completions import StreamAssembler
    from lattice_lock.providers.error_mapping import ErrorFacts
    from lattice_lock.providers.transport import HttpRequest, HttpResponse
    from lattice_lock.settings import Secret, Settings

__all__ = ["DialClient"]

_DEFAULT_VERSION = "2024-10-21"
_EFFORTS_REFUSED = {ReasoningEffort.XHIGH, ReasoningEffort.MAX}
_MAX_INDEX = 1000


class _Capabilities(msgspec.Struct, frozen=True):
    chat_completion: bool | None = None


class _Model(msgspec.Struct, frozen=True):
    id: str
    capabilities: _Capabilities | None = None


class _Models(msgspec.Struct, frozen=True):
    data: list[_Model]


class _CustomDelta(msgspec.Struct, frozen=True):
    custom_content: dict[str, Any] | None = None


class _CustomChoice(msgspec.Struct, frozen=True):
    delta: _CustomDelta | None = None


class _CustomChunk(msgspec.Struct, frozen=True):
    choices: list[_CustomChoice] = []


_MODELS = msgspec.json.Decoder(_Models)
_CUSTOM = msgspec.json.Decoder(_CustomChunk)


class DialClient(OpenAICompatibleClient):
    """Talks to the DIAL at `DIAL_URL`; needs `DIAL_API_KEY`.

    A model's name is that of a deployment, which may be an application in a folder. Attachments,
    stages and the application's state are kept, streamed or not, and go back with the message.
    `DIAL_API_VERSION` is for the models behind it that are Azure's.
    """

    provider: ClassVar[str] = "dial"
    key_variable: ClassVar[str | None] = "DIAL_API_KEY"
    dialect: ClassVar[ChatDialect] = ChatDialect(max_tokens_key="max_tokens")
    unreachable_hint: ClassVar[str | None] = "Check `DIAL_URL`."
    embeddings_at_once: ClassVar[int] = 64  # what is behind it may bound it further

    @classmethod
    @override
    def missing_setting(cls, settings: Settings) -> str | None:
        try:
            url = settings.base_url("DIAL_URL")
        except ConfigurationError as error:
            return f"{error.message} {error.hint}"
        return super().missing_setting(settings) if url else "Set `DIAL_URL`."

    @override
    async def list_models(self) -> tuple[ModelId, ...]:
        models = await self._listed("/openai/models", _MODELS)
        return tuple(
            ModelId(provider=self.provider, name=model.id)
            for model in models.data
            if model.capabilities is None or model.capabilities.chat_completion is not False
        )

    @override
    def _base_url(self) -> str:
        return self._settings.base_url("DIAL_URL") or ""

    @override
    def _key_headers(self, key: Secret) -> dict[str, Secret]:
        return {"Api-Key": key}

    @override
    def _chat_path(self, request: ChatRequest) -> str:
        return self._path(request, "chat/completions")

    @override
    def _embeddings_path(self, request: EmbeddingRequest) -> str:
        return self._path(request, "embeddings")

    def _path(self, request: ChatRequest | EmbeddingRequest, operation: str) -> str:
        version = self._settings.text("DIAL_API_VERSION") or _DEFAULT_VERSION
        deployment = path_of_model(request, slashes=True)
        query = f"api-version={quote(version, safe='')}"
        return f"/openai/deployments/{deployment}/{operation}?{query}"

    @override
    def _dialect(self, request: ChatRequest) -> ChatDialect:
        if request.reasoning_effort in _EFFORTS_REFUSED:
            raise request.refusal(
                "reasoning_effort",
                f"DIAL does not have the reasoning effort `{request.reasoning_effort}`.",
                hint="`high` is the most.",
            )
        return self.dialect

    @override
    def _error_facts(self, body: object) -> ErrorFacts | None:
        facts = super()._error_facts(body)
        error = body.get("error") if isinstance(body, dict) else None
        shown = error.get("display_message") if isinstance(error, dict) else None
        if facts is None or not isinstance(shown, str) or not shown:
            return facts
        # What is meant for people, before what is meant for a log.
        return msgspec.structs.replace(facts, message=f"{shown} ({facts.message})")

    @override
    def _take(
        self, assembler: StreamAssembler, data: bytes, request: HttpRequest, response: HttpResponse
    ) -> list[StreamEvent]:
        if b'"custom_content"' in data:
            for choice in self._decode(_CUSTOM, data, request, response).choices[:1]:
                if choice.delta and choice.delta.custom_content:
                    merged = _merged(
                        assembler.kept, {"custom_content": choice.delta.custom_content}
                    )
                    assembler.kept.update(merged)
        return super()._take(assembler, data, request, response)


def _merged(old: Any, new: Any) -> Any:  # noqa: ANN401  # any JSON
    """`old` with what `new` adds to it: texts grow, and items of lists are found by their index.

    Source: `aidial_sdk.utils.merge_chunks`, whose result has no indexes either.
    """
    if new is None:
        return old
    if isinstance(new, dict):
        base = old if isinstance(old, dict) else {}
        return base | {name: _merged(base.get(name), value) for name, value in new.items()}
    if isinstance(new, list):
        items = list(old) if isinstance(old, list) else []
        for item in new:
            _add_item(items, item)
        return items
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    return new


def _add_item(items: list[Any], item: Any) -> None:  # noqa: ANN401  # any JSON
    index = item.get("index") if isinstance(item, dict) else None
    if not isinstance(index, int) or not 0 <= index <= _MAX_INDEX:
        items.append(_merged(None, item))
        return
    items.extend({} for _ in range(len(items), index + 1))
    rest = {name: value for name, value in item.items() if name != "index"}
    items[index] = _merged(items[index], rest)
