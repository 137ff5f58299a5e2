"""Vectors of texts: OpenAI's format of them, which most servers speak, and what holds for all."""

from __future__ import annotations

import math
from array import array
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import msgspec

from lattice_lock.exceptions import InvalidResponseError
from lattice_lock.messages import EmbeddingResponse, Usage
from lattice_lock.providers.token_counts import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lattice_lock.messages import EmbeddingRequest

__all__ = [
    "EmbeddingList",
    "check_vectors",
    "embedding_body",
    "embedding_response",
    "joined",
    "vector",
]

_SINGLE = "f"  # 32 bits, which is what models compute with


class _Embedding(msgspec.Struct, frozen=True):
    index: int
    embedding: str | list[float]


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0


class EmbeddingList(msgspec.Struct, frozen=True):
    """The body of an answer in OpenAI's format."""

    data: list[_Embedding]
    model: str | None = None
    usage: _Usage | None = None


def embedding_body(
    request: EmbeddingRequest, *, dimensions_key: str, base64: bool
) -> dict[str, Any]:
    """The body of `POST /embeddings`.

    Args:
        base64: ask for vectors as base64, which is a third of the bytes, and no number to parse.
    """
    body: dict[str, Any] = {"model": request.model.name, "input": request.inputs}
    if base64:
        body["encoding_format"] = "base64"
    if request.dimensions is not None:
        body[dimensions_key] = request.dimensions
    return body


def embedding_response(request: EmbeddingRequest, wire: EmbeddingList) -> EmbeddingResponse:
    """The answer that `wire` is, in the order of its indexes.

    Raises:
        InvalidResponseError: indexes are missing, or a vector is unreadable.
    """
    ordered = sorted(wire.data, key=lambda item: item.index)
    if [item.index for item in ordered] != list(range(len(ordered))):
        raise _invalid(request, "The vectors are not numbered from 0 on.")
    return EmbeddingResponse(
        model=request.model,
        vectors=tuple(vector(request, item.embedding) for item in ordered),
        served_model=wire.model,
        usage=None if wire.usage is None else Usage(input_tokens=count(wire.usage.prompt_tokens)),
    )


def vector(request: EmbeddingRequest, value: str | Sequence[float]) -> array[float]:
    """A vector from its numbers, or from base64 of little-endian 32-bit floats.

    Raises:
        InvalidResponseError: it is neither.
    """
    try:
        if not isinstance(value, str):
            return array(_SINGLE, value)
        numbers: array[float] = array(_SINGLE, b64decode(value, validate=True))
    except (ValueError, OverflowError) as error:
        raise _invalid(request, f"A vector is unreadable: {error}.") from error
    if not _LITTLE_ENDIAN:
        numbers.byteswap()
    return numbers


def check_vectors(request: EmbeddingRequest, answer: EmbeddingResponse) -> None:
    """Refuse an answer that has not exactly one usable vector for each text.

    Raises:
        InvalidResponseError: it says what is wrong.
    """
    vectors = answer.vectors
    if len(vectors) != len(request.inputs):
        raise _invalid(request, f"{len(request.inputs)} texts got {len(vectors)} vectors.")
    lengths = {len(numbers) for numbers in vectors}
    if len(lengths) > 1 or 0 in lengths:
        raise _invalid(request, "The vectors are not of one length.")
    if request.dimensions is not None and lengths != {request.dimensions}:
        raise _invalid(
            request, f"Of {request.dimensions} dimensions asked for, {lengths.pop()} came."
        )
    for number, numbers in enumerate(vectors, start=1):
        if not all(map(math.isfinite, numbers)):
            raise _invalid(request, f"Vector number {number} is not of finite numbers.")


def joined(request: EmbeddingRequest, parts: Sequence[EmbeddingResponse]) -> EmbeddingResponse:
    """The answers to consecutive batches as one; tokens are known only if every batch says them.

    Raises:
        InvalidResponseError: the vectors of one batch are longer than those of another.
    """
    if len({part.dimensions for part in parts}) > 1:
        raise _invalid(request, "The vectors are not of one length.")
    usages = [part.usage for part in parts]
    known = [usage for usage in usages if usage is not None]
    return msgspec.structs.replace(
        parts[-1],
        vectors=tuple(numbers for part in parts for numbers in part.vectors),
        usage=sum(known, Usage()) if len(known) == len(usages) else None,
        attempts=sum(part.attempts for part in parts),
    )


_LITTLE_ENDIAN = array("H", b"\x01\x00")[0] == 1


def _invalid(request: EmbeddingRequest, message: str) -> InvalidResponseError:
    return InvalidResponseError(message, provider=request.model.provider, model=request.model.name)
