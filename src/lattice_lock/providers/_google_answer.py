"""Answers in the format of Gemini's `generateContent`, whole and streamed, as our values.

A stream is a row of answers, each with the parts that came since the one before; a whole answer is
such a row of one.

Source: the types of google-genai 3.4.0 and https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from lattice_lock.exceptions import ContentFilteredError, InvalidResponseError
from lattice_lock.messages import (
    UNREADABLE_JSON,
    ChatResponse,
    FinishReason,
    ImagePart,
    Message,
    OpaquePart,
    ProviderData,
    ReasoningDelta,
    ReasoningPart,
    Role,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from lattice_lock.providers._google_request import NAMELESS
from lattice_lock.providers.error_mapping import ErrorFacts, openai_error_facts
from lattice_lock.providers.token_counts import count, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lattice_lock.messages import ModelId, Part, StreamEvent

__all__ = ["GenerateAssembler", "error_facts", "stray_error"]

_JSON = msgspec.json.Decoder()
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_TEXT = msgspec.json.Decoder(str)

_FINISH: Mapping[str | None, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.PAUSED,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "ESCALATION": FinishReason.CONTENT_FILTER,
    "PUP_LIMITED_DISABLED": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "MALFORMED_FUNCTION_CALL": FinishReason.ERROR,
    "UNEXPECTED_TOOL_CALL": FinishReason.ERROR,
    "TOO_MANY_TOOL_CALLS": FinishReason.ERROR,
    "MISSING_THOUGHT_SIGNATURE": FinishReason.ERROR,
    "MALFORMED_RESPONSE": FinishReason.ERROR,
    "NO_IMAGE": FinishReason.ERROR,
    "IMAGE_OTHER": FinishReason.ERROR,
    "LANGUAGE": FinishReason.ERROR,
}

_TRANSLATED = {"finishReason", "modelVersion", "responseId", "index"}


class _WireUsage(msgspec.Struct, frozen=True, rename="camel"):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None


class _Feedback(msgspec.Struct, frozen=True, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """What an answer says besides its content."""

    finish_reason: str | None = None
    model_version: str | None = None
    response_id: str | None = None
    usage_metadata: _WireUsage | None = None
    prompt_feedback: _Feedback | None = None


class GenerateAssembler:
    """Puts an answer together, and says what each piece of it adds."""

    def __init__(self, model: ModelId) -> None:
        self._model = model
        self._said: dict[str, Any] = {}
        self._content: list[Part] = []
        self._run: list[str] = []
        self._run_data: ProviderData | None = None
        self._run_kind: type[TextPart | ReasoningPart] | None = None
        self._calls = 0
        self._candidates = 0

    @property
    def ended(self) -> bool:
        """Whether the answer has said why it ends; more about it may still come."""
        return bool(self._said.get("finishReason") or self._blocked())

    def feed(self, wire: Mapping[str, msgspec.Raw]) -> list[StreamEvent]:
        """What a piece of the answer adds, in order.

        Raises:
            InvalidResponseError: it is no piece of an answer.
        """
        try:
            candidates = _LIST.decode(wire["candidates"]) if "candidates" in wire else []
            self._candidates += len(candidates)
            candidate = candidates[0] if candidates else {}
            self._describe(wire, without="candidates")
            self._describe(candidate, without="content")
            content = _FIELDS.decode(candidate.get("content", b"{}"))
            parts = _LIST.decode(content.get("parts", b"[]"))
            return [event for part in parts for event in self._add(part)]
        except KeyError as error:
            raise _unreadable(self._model, f"{error} is missing") from error
        except (*UNREADABLE_JSON, ValueError) as error:
            raise _unreadable(self._model, f"{error}") from error

    def _describe(self, fields: Mapping[str, msgspec.Raw], *, without: str) -> None:
        for name, value in fields.items():
            if name != without:
                self._said[name] = _JSON.decode(value)

    def _add(self, part: dict[str, msgspec.Raw]) -> Iterator[StreamEvent]:
        if "functionCall" in part:
            yield from self._add_call(part)
        elif "text" in part:
            yield from self._add_text(part)
        else:
            self._close_run()
            self._content.append(_other(self._model, part))

    def _add_call(self, part: dict[str, msgspec.Raw]) -> Iterator[StreamEvent]:
        self._close_run()
        call = _FIELDS.decode(part["functionCall"])
        id_ = _TEXT.decode(call["id"]) if "id" in call else f"{NAMELESS}{uuid4().hex}"
        name = _TEXT.decode(call["name"])
        # Calls come whole; a call without arguments may leave them out.
        arguments = bytes(call.get("args", b"{}")).decode()
        rest = {name: value for name, value in part.items() if name != "functionCall"}
        if unknown := {k: v for k, v in call.items() if k not in {"id", "name", "args"}}:
            rest["functionCall"] = msgspec.Raw(msgspec.json.encode(unknown))
        own = _pack(self._model, rest)
        self._content.append(
            ToolCall(id=id_, name=name, raw_arguments=arguments, provider_data=own)
        )
        yield ToolCallDelta(index=self._calls, id=id_, name=name, arguments=arguments)
        self._calls += 1

    def _add_text(self, part: dict[str, msgspec.Raw]) -> Iterator[StreamEvent]:
        text = _TEXT.decode(part["text"])
        thought = _JSON.decode(part.get("thought", b"false")) is True
        own = _pack(self._model, {k: v for k, v in part.items() if k != "text"})
        kind = ReasoningPart if thought else TextPart
        # Pieces of one text join, but a part with a signature goes back alone, as it came.
        # https://ai.google.dev/gemini-api/docs/thought-signatures
        plain = set(part) <= {"text", "thought"}
        if kind is not self._run_kind or not plain:
            self._close_run()
        self._run_kind, self._run_data = kind, own
        self._run.append(text)
        if not plain:
            self._close_run()
        if text:
            yield ReasoningDelta(text=text) if thought else TextDelta(text=text)

    def _close_run(self) -> None:
        if self._run_kind is not None:
            text = "".join(self._run)
            if text or self._run_data is not None:
                self._content.append(self._run_kind(text=text, provider_data=self._run_data))
        self._run, self._run_kind, self._run_data = [], None, None

    def finish(self) -> ChatResponse:
        """The whole answer.

        Raises:
            ContentFilteredError: the provider refused the prompt.
            InvalidResponseError: what came is no answer.
        """
        self._close_run()
        try:
            envelope = msgspec.convert(self._said, _Envelope)
        except msgspec.ValidationError as error:
            raise _unreadable(self._model, f"{error}") from error
        if not self._candidates:
            raise self._without_candidate(envelope)
        own = {name: value for name, value in self._said.items() if name not in _TRANSLATED}
        reason = _FINISH.get(envelope.finish_reason, FinishReason.UNKNOWN)
        if reason is FinishReason.STOP and self._calls:
            reason = FinishReason.TOOL_CALLS
        return ChatResponse(
            model=self._model,
            message=Message(role=Role.ASSISTANT, content=tuple(self._content)),
            finish_reason=reason,
            raw_finish_reason=envelope.finish_reason,
            served_model=envelope.model_version,
            usage=None if envelope.usage_metadata is None else _usage(envelope.usage_metadata),
            request_id=envelope.response_id,
            provider_data=ProviderData.pack(self._model.provider, own) if own else None,
        )

    def _blocked(self) -> bool:
        feedback = self._said.get("promptFeedback")
        return isinstance(feedback, dict) and bool(feedback.get("blockReason"))

    def _without_candidate(
        self, envelope: _Envelope
    ) -> ContentFilteredError | InvalidResponseError:
        feedback = envelope.prompt_feedback
        if feedback is None or not feedback.block_reason:
            return _unreadable(self._model, "there is no candidate")
        why = feedback.block_reason_message or "no reason given"
        return ContentFilteredError(
            f"The provider's filter refused the prompt ({feedback.block_reason}): {why}.",
            provider=self._model.provider,
            model=self._model.name,
            request_id=envelope.response_id,
            provider_code=feedback.block_reason,
        )


def _other(model: ModelId, part: dict[str, msgspec.Raw]) -> Part:
    """A picture as such; what has no neutral meaning is kept with all that it says."""
    blob = _FIELDS.decode(part.get("inlineData", b"{}"))
    if blob.keys() == {"mimeType", "data"}:
        kind, data = _TEXT.decode(blob["mimeType"]), _TEXT.decode(blob["data"])
        if kind.startswith("image/"):
            own = _pack(model, {k: v for k, v in part.items() if k != "inlineData"})
            picture = b64decode(data, validate=True)
            return ImagePart(data=picture, media_type=kind, provider_data=own)
    whole = ProviderData(provider=model.provider, json=msgspec.json.encode(part))
    return OpaquePart(provider_data=whole)


def _pack(model: ModelId, rest: dict[str, msgspec.Raw]) -> ProviderData | None:
    if not rest:
        return None
    return ProviderData(provider=model.provider, json=msgspec.json.encode(rest))


def _usage(wire: _WireUsage) -> Usage:
    asked = count(wire.prompt_token_count) + count(wire.tool_use_prompt_token_count)
    cached, thoughts = count(wire.cached_content_token_count), count(wire.thoughts_token_count)
    return Usage(
        input_tokens=whole(asked, cached),
        cached_input_tokens=cached,
        output_tokens=count(wire.candidates_token_count) + thoughts,
        reasoning_tokens=thoughts,
    )


def error_facts(body: object) -> ErrorFacts | None:
    """What a decoded error body says: `{"error": {"code", "message", "status", "details"}}`.

    It may stand alone in a list. Each of the details says in `@type` what it is.

    Source: https://cloud.google.com/apis/design/errors
    """
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    facts = openai_error_facts(body)
    error = body.get("error") if isinstance(body, dict) else None
    if facts is None or not isinstance(error, dict):
        return facts
    details = _details(error.get("details"))
    violations = _objects(details.get("QuotaFailure", {}).get("violations"))
    daily = [str(v["quotaId"]) for v in violations if "PerDay" in str(v.get("quotaId"))]
    fields = _objects(details.get("BadRequest", {}).get("fieldViolations"))
    reason = details.get("ErrorInfo", {}).get("reason")
    codes = (*daily[:1], reason, error.get("status"))
    parameter = fields[0].get("field") if fields else None
    return msgspec.structs.replace(
        facts,
        codes=tuple(code for code in codes if isinstance(code, str)),
        parameter=parameter if isinstance(parameter, str) else None,
        retry_after_s=_seconds(details.get("RetryInfo", {}).get("retryDelay")),
    )


def _details(details: object) -> dict[str, dict[str, Any]]:
    return {str(entry.get("@type")).rpartition(".")[2]: entry for entry in _objects(details)}


def _objects(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _seconds(duration: object) -> float | None:
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", str(duration))
    return float(match[1]) if match else None


def stray_error(tail: bytes) -> object:
    """The JSON that ends `tail`, where a stream broke off into an error that is no event.

    None where there is no such JSON.

    Source: `_RawJsonLineBuffer` of google-genai 3.4.0, which reads such lines.
    """
    for match in re.finditer(rb"^[\[{]", tail, re.MULTILINE):
        try:
            return _JSON.decode(tail[match.start() :])
        except UNREADABLE_JSON:
            continue
    return None


def _unreadable(model: ModelId, what: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"The answer is not in the generateContent format: {what}.",
        provider=model.provider,
        model=model.name,
    )
