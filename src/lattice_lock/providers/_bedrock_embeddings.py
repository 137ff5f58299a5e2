"""Embeddings behind Bedrock's InvokeModel, where each vendor has a body of its own.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lattice_lock.messages import EmbeddingResponse, Usage
from lattice_lock.providers.embeddings import vector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.messages import EmbeddingRequest

__all__ = ["InvokedEmbeddings", "embedding_batch", "invoke_body", "invoke_response"]

_TITAN = "amazon.titan-embed-text"
_COHERE = "cohere.embed"
_COHERE_AT_ONCE = 96
_TOKENS_HEADER = "x-amzn-bedrock-input-token-count"


class _ByType(msgspec.Struct, frozen=True):
    floats: list[list[float]] = msgspec.field(name="float")


class InvokedEmbeddings(msgspec.Struct, frozen=True, rename="camel"):
    """The body of an answer: one vector of Titan, or those of Cohere by their type."""

    embedding: list[float] | None = None
    embeddings: _ByType | None = None


def embedding_batch(request: EmbeddingRequest) -> int:
    """How many texts one request may carry.

    Raises:
        InvalidRequestError: it is not known how this model takes texts.
    """
    if _COHERE in request.model.name:
        return _COHERE_AT_ONCE
    if _TITAN in request.model.name:
        return 1
    raise request.refusal(
        "model",
        f"`{request.model}` is not known to embed texts.",
        hint="Ask a model whose id contains `amazon.titan-embed-text` or `cohere.embed`.",
    )


def invoke_body(request: EmbeddingRequest) -> dict[str, Any]:
    """The body of `InvokeModel` for no more texts than `embedding_batch` allows."""
    if _TITAN in request.model.name:
        wanted = {} if request.dimensions is None else {"dimensions": request.dimensions}
        return {"inputText": request.inputs[0]} | wanted
    body: dict[str, Any] = {
        "texts": request.inputs,
        "input_type": "search_document",
        "embedding_types": ["float"],
    }
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    return body


def invoke_response(
    request: EmbeddingRequest, wire: InvokedEmbeddings, headers: Mapping[str, str]
) -> EmbeddingResponse:
    """The vectors that `wire` holds; none where it holds no known field."""
    found = wire.embeddings.floats if wire.embeddings else []
    found = [wire.embedding] if wire.embedding is not None else found
    tokens = headers.get(_TOKENS_HEADER, "")
    return EmbeddingResponse(
        model=request.model,
        vectors=tuple(vector(request, numbers) for numbers in found),
        usage=Usage(input_tokens=int(tokens)) if tokens.isdecimal() else None,
    )
