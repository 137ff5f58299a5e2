"""What policies make of the prompt and of the answer of one call."""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from lattice_lock.exceptions import APIClientError
from lattice_lock.messages import (
    UNREADABLE_JSON,
    ChatRequest,
    ChatResponse,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolResult,
)
from lattice_lock.policies.base import (
    LONGEST_RUN,
    Context,
    Source,
    Subject,
    Window,
)
from lattice_lock.policies.placeholders import Placeholders
from lattice_lock.policies.policy_set import Verdict, scan
from lattice_lock.policies.stream import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lattice_lock.messages import Part
    from lattice_lock.policies.policy_set import Enforced, Objection

__all__ = ["PolicedCall", "Refused", "answer_size", "log_objections", "size_of"]

_LOG = logging.getLogger(__name__)

_TextualT = TypeVar("_TextualT", TextPart, ReasoningPart)
_SOURCES = {
    Role.SYSTEM: Source.SYSTEM,
    Role.USER: Source.USER,
    Role.ASSISTANT: Source.ASSISTANT,
    Role.TOOL: Source.TOOL,
}


class Refused(Exception):  # noqa: N818  # never leaves the layer
    """An answer that must not pass."""

    def __init__(self, objection: Objection) -> None:
        super().__init__(objection.policy)
        self.objection = objection


class PolicedCall:
    """One call: what was taken out of its prompt, and what judges its answer."""

    def __init__(
        self, prompt: Sequence[Enforced], response: Sequence[Enforced], context: Context
    ) -> None:
        self.placeholders = Placeholders()
        self.response = response
        self.unread = tuple(one for one in response if one.policy.everywhere)
        self.context = context
        self._on_prompt = tuple(one for one in prompt if one.policy.reads_text)
        self._on_call = tuple(one for one in prompt if not one.policy.reads_text)

    def prompt(self, request: ChatRequest) -> ChatRequest:
        """What is sent in place of `request`.

        Raises:
            PolicyViolationError: a policy refuses it.
        """
        texts = list(_texts(request))
        for text, _ in texts:
            self.placeholders.avoid(text)
        verdict = self._judged("", self._on_call, Subject.PROMPT, None)
        if verdict.refusal is not None:
            raise verdict.refusal.error(Subject.PROMPT)
        if self._on_prompt:
            request = msgspec.structs.replace(
                request,
                messages=tuple(self._message(message) for message in request.messages),
                tools=tuple(
                    msgspec.structs.replace(
                        tool, description=self._prompt_text(tool.description, Source.SYSTEM)
                    )
                    for tool in request.tools
                ),
            )
            texts = list(_texts(request))
        if any(one.policy.needs_documents for one in self.response):
            documents = tuple(text for text, source in texts if source is not Source.ASSISTANT)
            self.context = msgspec.structs.replace(self.context, documents=documents)
        return request

    def _message(self, message: Message) -> Message:
        source = _SOURCES[message.role]
        content = tuple(self._part(part, source) for part in message.content)
        return msgspec.structs.replace(message, content=content)

    def _part(self, part: Part, source: Source) -> Part:
        match part:
            case TextPart():
                return _with_text(part, self._prompt_text(part.text, source))
            case ReasoningPart():
                return _with_text(part, self._prompt_text(part.text, source))
            case FilePart(data=bytes() as data, media_type=str() as media_type) if (
                media_type.startswith("text/")
            ):
                text = data.decode(errors="replace")
                judged = self._prompt_text(text, Source.TOOL)
                return (
                    part
                    if judged == text
                    else msgspec.structs.replace(part, data=judged.encode(), provider_data=None)
                )
            case ToolResult():
                inner = tuple(
                    one
                    if isinstance(one, ImagePart)
                    else _with_text(one, self._prompt_text(one.text, Source.TOOL))
                    for one in part.content
                )
                return msgspec.structs.replace(part, content=inner)
            case ToolCall():
                return self._tool_call(part, self._on_prompt, Subject.PROMPT)
            case _:
                return part

    def _prompt_text(self, text: str, source: Source) -> str:
        verdict = self._judged(text, self._on_prompt, Subject.PROMPT, source)
        if verdict.refusal is not None:
            raise verdict.refusal.error(Subject.PROMPT)
        return verdict.text

    def answer(self, answer: ChatResponse) -> ChatResponse:
        """What the caller gets in place of `answer`.

        Raises:
            Refused: a policy refuses it.
        """
        if self.response:
            content = self._blocks(answer.message.content)
            answer = msgspec.structs.replace(
                answer,
                message=msgspec.structs.replace(answer.message, content=content),
                served_model=self._unread_text(answer.served_model),
                request_id=self._unread_text(answer.request_id),
                raw_finish_reason=self._unread_text(answer.raw_finish_reason),
                provider_data=self._unread_data(answer.provider_data),
            )
        if self.placeholders.restores:
            content = tuple(map(self._restored, answer.message.content))
            message = msgspec.structs.replace(answer.message, content=content)
            answer = msgspec.structs.replace(answer, message=message)
        return answer

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Within it, errors of the provider lose what must not pass: they may quote an answer."""
        try:
            yield
        except APIClientError as error:
            self._clean(error)
            raise

    def _clean(self, error: APIClientError) -> None:
        if not self.unread:
            return
        verdict = self._judged(error.message, self.unread, Subject.RESPONSE, Source.TOOL)
        if verdict.refusal is not None:
            policy = verdict.refusal.policy
            error.args = (f"What the provider said is kept back by the policy `{policy}`.",)
        elif verdict.text != error.message:
            error.args = (verdict.text,)
        if not self._may_pass(error.request_id):
            error.request_id = None
        if not self._may_pass(error.provider_code):
            error.provider_code = None
        if not self._may_pass(error.hint):
            error.hint = None
        cause = error.__cause__ or error.__context__
        while cause is not None:
            if not self._may_pass(str(cause)):
                error.__cause__ = error.__context__ = None
                return
            cause = cause.__cause__ or cause.__context__

    def _may_pass(self, text: str | None) -> bool:
        if not text:
            return True
        verdict = self._judged(text, self.unread, Subject.RESPONSE, Source.TOOL)
        return verdict.refusal is None and verdict.text == text

    def _blocks(self, content: tuple[Part, ...]) -> tuple[Part, ...]:
        texts = [at for at, part in enumerate(content) if isinstance(part, TextPart)]
        written = dict(self._joined(content, texts, self.response, Source.ASSISTANT))
        for thoughts in _thoughts(content):
            written.update(self._joined(content, thoughts, self.unread, Source.REASONING))
        return tuple(self._block(part, written.get(at, "")) for at, part in enumerate(content))

    def _joined(
        self,
        content: Sequence[Part],
        places: Sequence[int],
        enforced: Sequence[Enforced],
        source: Source,
    ) -> Iterator[tuple[int, str]]:
        """What the parts at `places` say now, judged as the one text that they are to a reader."""
        parts = [part for at in places if isinstance(part := content[at], TextPart | ReasoningPart)]
        whole = "".join(part.text for part in parts)
        verdict = self._judged(whole, enforced, Subject.RESPONSE, source)
        self._ensure(verdict)
        return zip(places, _divided(parts, verdict.replacements), strict=True)

    def _block(self, part: Part, text: str) -> Part:
        match part:
            case TextPart():
                made: Part = _with_text(part, text)
            case ReasoningPart():
                made = _with_text(part, text)
            case ToolCall():
                made = self._tool_call(part, self.unread, Subject.RESPONSE)
            case _:
                made = part
        data = part.provider_data
        if data is None or made.provider_data is None or self._unread_data(data) is not None:
            return made
        if isinstance(made, OpaquePart):
            return TextPart(text="")
        return msgspec.structs.replace(made, provider_data=None)

    def _tool_call(
        self, part: ToolCall, enforced: Sequence[Enforced], subject: Subject
    ) -> ToolCall:
        """`part` with what is to be taken out of its arguments replaced, as JSON again."""

        def judged(text: str) -> Verdict:
            verdict = self._judged(text, enforced, subject, Source.TOOL_ARGUMENTS)
            if verdict.refusal is not None:
                raise self._refused(verdict.refusal, subject)
            return verdict

        if not enforced:
            return part
        name = judged(part.name)
        if name.replacements:  # it would name another tool, or none
            raise self._refused(name.objections[0], subject)
        if subject is Subject.RESPONSE and judged(part.id).replacements:
            part = msgspec.structs.replace(part, id=_other_id(part.id), provider_data=None)
        raw = judged(part.raw_arguments)
        try:
            arguments, exact = _decoded(part.raw_arguments)
        except (ValueError, RecursionError):
            return _with_arguments(part, raw.text)
        found = _mapped(arguments, lambda text: judged(text).text)
        written = judged(json.dumps(found, ensure_ascii=False))
        if exact and found == arguments and not raw.replacements and not written.replacements:
            return part
        try:
            _decoded(written.text)
        except ValueError:
            raise self._refused(written.objections[0], subject) from None
        return _with_arguments(part, written.text)

    @staticmethod
    def _refused(objection: Objection, subject: Subject) -> Exception:
        return Refused(objection) if subject is Subject.RESPONSE else objection.error(subject)

    def _unread_text(self, text: str | None) -> str | None:
        if not text or not self.unread:
            return text
        verdict = self._judged(text, self.unread, Subject.RESPONSE, Source.TOOL_ARGUMENTS)
        self._ensure(verdict)
        return text if verdict.text == text else None

    def _unread_data(self, data: Any) -> Any:  # noqa: ANN401  # `ProviderData` or None
        """`data`, or None if something in it is to be taken out."""
        if data is None or not self.unread:
            return data
        try:
            value = data.unpack()
        except UNREADABLE_JSON:
            return None
        kept = True

        def look(text: str) -> str:
            nonlocal kept
            kept = kept and self._unread_text(text) is not None
            return text

        _mapped(value, look)
        return data if kept else None

    def _restored(self, part: Part) -> Part:
        restore = self.placeholders.restore
        match part:
            case TextPart():
                return _with_text(part, restore(part.text))
            case ToolCall() if "[" in part.raw_arguments:
                try:
                    arguments = msgspec.json.decode(part.raw_arguments)
                except UNREADABLE_JSON:
                    return part
                restored = _mapped(arguments, restore)
                if restored == arguments:
                    return part
                return _with_arguments(part, json.dumps(restored, ensure_ascii=False))
            case _:
                return part

    def _judged(
        self, text: str, enforced: Sequence[Enforced], subject: Subject, source: Source | None
    ) -> Verdict:
        context = self.about(subject, source)
        if len(text) <= LONGEST_RUN and not scan(enforced, Window(text), context)[0]:
            return Verdict(text=text)
        verdict = judge(text, enforced, context, self.placeholders)
        log_objections(verdict.objections, context)
        return verdict

    def about(self, subject: Subject, source: Source | None) -> Context:
        """What is known of a text of this call."""
        return msgspec.structs.replace(self.context, subject=subject, source=source)

    @staticmethod
    def _ensure(verdict: Verdict) -> None:
        if verdict.refusal is not None:
            raise Refused(verdict.refusal)


def _texts(request: ChatRequest) -> Iterator[tuple[str, Source]]:
    for message in request.messages:
        for part in message.content:
            if isinstance(part, TextPart):
                yield part.text, _SOURCES[message.role]
            elif isinstance(part, ToolResult):
                for one in part.content:
                    if isinstance(one, TextPart):
                        yield one.text, Source.TOOL
            elif (
                isinstance(part, FilePart) and part.data and (part.media_type or "")[:5] == "text/"
            ):
                yield part.data.decode(errors="replace"), Source.TOOL


def size_of(request: ChatRequest) -> int:
    """Characters of a prompt."""
    return sum(len(text) for text, _ in _texts(request))


def answer_size(answer: ChatResponse) -> int:
    """Characters of an answer, and bytes of what its provider said besides."""
    size = len(answer.provider_data.json) if answer.provider_data else 0
    for part in answer.message.content:
        if isinstance(part, TextPart | ReasoningPart):
            size += len(part.text)
        elif isinstance(part, ToolCall):
            size += len(part.raw_arguments)
        size += len(part.provider_data.json) if part.provider_data else 0
    return size


def _with_text(part: _TextualT, text: str) -> _TextualT:
    """`part` with another text; what its provider said of the old one is dropped."""
    if text == part.text:
        return part
    return msgspec.structs.replace(part, text=text, provider_data=None)


def _with_arguments(part: ToolCall, written: str) -> ToolCall:
    return msgspec.structs.replace(part, raw_arguments=written, provider_data=None)


def _decoded(text: str) -> tuple[Any, bool]:
    """The JSON value, and whether the text says nothing besides: a key twice hides a value.

    Raises:
        ValueError: it is no JSON.
    """
    exact = True

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal exact
        found = dict(items)
        exact = exact and len(found) == len(items)
        return found

    return json.loads(text, object_pairs_hook=pairs), exact


def _other_id(given: str) -> str:
    """An id for the same call, so that its result can still be told from others."""
    return f"call_{hashlib.sha256(given.encode()).hexdigest()[:24]}"


def _thoughts(content: Sequence[Part]) -> Iterator[list[int]]:
    """Where parts of reasoning follow each other: until the model speaks or acts."""
    run: list[int] = []
    for at, part in enumerate(content):
        if isinstance(part, ReasoningPart):
            run.append(at)
        elif run and (isinstance(part, ToolCall) or (isinstance(part, TextPart) and part.text)):
            yield run
            run = []
    if run:
        yield run


def _divided(
    parts: Sequence[TextPart | ReasoningPart], replaced: Sequence[tuple[int, int, str]]
) -> Iterator[str]:
    """The texts of `parts` after replacements in all of them joined; each goes where it begins."""
    begin = 0
    for part in parts:
        end = begin + len(part.text)
        made: list[str] = []
        at = begin
        for start, stop, name in replaced:
            if stop <= begin or start >= end:
                continue
            made.append(part.text[at - begin : max(start, begin) - begin])
            if start >= begin:
                made.append(name)
            at = min(stop, end)
        made.append(part.text[at - begin :])
        yield "".join(made)
        begin = end


def _mapped(value: Any, text: Callable[[str], str]) -> Any:  # noqa: ANN401  # any JSON
    """`value` with every text in it mapped, keys and long numbers included."""
    match value:
        case str():
            return text(value)
        case bool() | None:
            return value
        case int() | float():
            written = str(value)
            mapped = text(written)
            return value if mapped == written else mapped
        case list():
            return [_mapped(item, text) for item in value]
        case dict():
            return {text(key): _mapped(item, text) for key, item in value.items()}
        case _:
            return value


def log_objections(objections: Sequence[Objection], context: Context) -> None:
    """One event for each objection, without what was found."""
    for one in objections:
        _LOG.warning(
            "policy.objected policy=%s rule=%s action=%s severity=%s subject=%s model=%s",
            *(one.policy, one.finding.rule, one.action, one.finding.severity),
            *(context.subject, context.model),
        )
