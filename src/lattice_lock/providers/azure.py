"""OpenAI's models, and others, as deployments of an Azure resource.

Source: `AzureOpenAI` of openai 3.54.0; https://learn.microsoft.com/azure/ai-foundry/openai/reference.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from typing_extensions import override

from lattice_lock.exceptions import ConfigurationError
from lattice_lock.providers.chat_completions import ChatDialect
from lattice_lock.providers.openai_compatible import path_of_model
from lattice_lock.providers.openai_models import UNKNOWN, ensure_supported, model_traits
from lattice_lock.providers.responses import ResponsesDialect
from lattice_lock.providers.responses_client import ResponsesClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.messages import ChatRequest, EmbeddingRequest, ModelId
    from lattice_lock.settings import Secret, Settings

__all__ = ["AzureClient"]

_ENDPOINT = "AZURE_OPENAI_ENDPOINT"
_KEY = "AZURE_OPENAI_API_KEY"
_TOKEN = "AZURE_OPENAI_AD_TOKEN"  # noqa: S105  # the name of the variable
_VERSION = "OPENAI_API_VERSION"
# What people paste: the resource itself, or the base that the vendor's plain client wants.
_SURFACE = re.compile(r"/openai(?:/v1)?$")
_FIRST_WITH_RESPONSES = "2025-03-01"


class AzureClient(ResponsesClient):
    """Talks to the resource at `AZURE_OPENAI_ENDPOINT`; a model's name is that of its deployment.

    It sends a token of Entra ID, `AZURE_OPENAI_AD_TOKEN`, or else `AZURE_OPENAI_API_KEY`, never
    both. With `OPENAI_API_VERSION` it speaks that version at deployment addresses, without it the
    undated v1. A deployment named after a model of OpenAI that reasons is called over Responses,
    any other over chat completions; `LATTICE_LOCK_AZURE_API` chooses for all.
    """

    provider: ClassVar[str] = "azure"
    key_variables: ClassVar[tuple[str, ...]] = (_TOKEN, _KEY)
    unreachable_hint: ClassVar[str | None] = "Check `AZURE_OPENAI_ENDPOINT`."
    embeddings_at_once: ClassVar[int] = 2048
    embeddings_as_base64: ClassVar[bool] = True

    @classmethod
    @override
    def missing_setting(cls, settings: Settings) -> str | None:
        try:
            endpoint = settings.base_url(_ENDPOINT)
        except ConfigurationError as error:
            return f"{error.message} {error.hint}"
        if endpoint is None:
            return f"Set `{_ENDPOINT}`, such as `https://my-resource.openai.azure.com`."
        if settings.secret(_TOKEN) is None and settings.secret(_KEY) is None:
            return f"Set `{_KEY}` or `{_TOKEN}`."
        return None

    @override
    async def list_models(self) -> tuple[ModelId, ...]:
        """Nothing: only Azure's management plane knows which deployments there are."""
        return ()

    @override
    def _base_url(self) -> str:
        return _SURFACE.sub("", self._settings.base_url(_ENDPOINT) or "")

    @override
    def _key_headers(self, key: Secret) -> dict[str, Secret]:
        if self._settings.secret(_TOKEN):
            return super()._key_headers(key)
        return {"api-key": key}

    @override
    def _request_id(self, headers: Mapping[str, str]) -> str | None:
        gateway = headers.get("apim-request-id")
        return super()._request_id(headers) or (gateway and self._without_key(gateway))

    @override
    def _uses_responses(self, request: ChatRequest) -> bool:
        chosen = self._settings.azure_api
        if chosen is not None:
            return chosen == "responses"
        traits = model_traits(request.model.name)
        version = self._settings.text(_VERSION)
        served = version is None or version >= _FIRST_WITH_RESPONSES
        return traits is not None and traits.reasoning and served

    @override
    def _chat_path(self, request: ChatRequest) -> str:
        version = self._settings.text(_VERSION)
        if version is None:
            return "/openai/v1/chat/completions"
        deployment = path_of_model(request, slashes=False)
        return f"/openai/deployments/{deployment}/chat/completions{_query(version)}"

    @override
    def _embeddings_path(self, request: EmbeddingRequest) -> str:
        version = self._settings.text(_VERSION)
        if version is None:
            return "/openai/v1/embeddings"
        deployment = path_of_model(request, slashes=False)
        return f"/openai/deployments/{deployment}/embeddings{_query(version)}"

    @override
    def _responses_path(self) -> str:
        version = self._settings.text(_VERSION)
        return "/openai/v1/responses" if version is None else f"/openai/responses{_query(version)}"

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
            elsewhere="Leave it out, or set `LATTICE_LOCK_AZURE_API` to `chat`.",
        )


def _query(version: str) -> str:
    return f"?api-version={quote(version, safe='')}"
