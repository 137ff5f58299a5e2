"""What OpenAI's model families can do, as far as a wrong request can be known before it is sent.

The names are those of OpenAI; deployments in Azure carry them by custom. A name that no row knows
is taken to be a new model: Responses, and nothing is refused on its behalf.

Source: types and docstrings of openai 3.54.0, litellm 1.109.1's model data, and the refusals that
users quote: https://github.com/pydantic/pydantic-ai/issues/3326 (chat models take no reasoning).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.messages import ReasoningEffort

if TYPE_CHECKING:
    from lattice_lock.exceptions import InvalidRequestError
    from lattice_lock.messages import ChatRequest

__all__ = ["UNKNOWN", "ModelTraits", "ensure_supported", "model_traits"]


class ModelTraits(msgspec.Struct, frozen=True, kw_only=True):
    """What a family of models can do.

    Attributes:
        reasoning: whether it reasons; such models are called over Responses.
        instructed_by: the role that gives it instructions.
        efforts_refused: reasoning efforts that it does not have.
        sampling: whether temperature and top_p are taken: always, only while it does not reason,
            or never.
        reasons_unasked: whether it reasons where the request names no effort.
        chat: whether it is served over chat completions at all.
        stop: whether it takes stop texts there.
        tools_while_reasoning: whether it takes tools there while it reasons.
        schema: whether it follows a JSON Schema.
    """

    reasoning: bool = True
    instructed_by: str = "developer"
    efforts_refused: frozenset[ReasoningEffort] = frozenset()
    sampling: str = "always"
    reasons_unasked: bool = True
    chat: bool = True
    stop: bool = True
    tools_while_reasoning: bool = True
    schema: bool = True


UNKNOWN = ModelTraits(instructed_by="system")

_NO_NONE = frozenset({ReasoningEffort.NONE})
_NEITHER = frozenset({ReasoningEffort.NONE, ReasoningEffort.MINIMAL})

# The first row whose expression matches the beginning of the name counts.
_FAMILIES = (
    (
        r"gpt-3\.5|gpt-4|chatgpt-|gpt-5(\.\d+)?-chat",
        ModelTraits(reasoning=False, instructed_by="system"),
    ),
    (r"codex-|gpt-5(\.\d+)?-codex", ModelTraits(sampling="never", chat=False)),
    (
        r"gpt-5\.[45]-pro",
        ModelTraits(efforts_refused=_NEITHER, sampling="never", chat=False, schema=False),
    ),
    (
        r"gpt-5(\.\d+)?-pro|o\d(-mini)?-(pro|deep-research)",
        ModelTraits(efforts_refused=_NEITHER, sampling="never", chat=False),
    ),
    (r"o[34]", ModelTraits(efforts_refused=_NEITHER, sampling="never", stop=False)),
    (r"o1", ModelTraits(efforts_refused=_NEITHER, sampling="never")),
    (r"gpt-5(?!\.)", ModelTraits(efforts_refused=_NO_NONE, sampling="never")),
    (
        r"gpt-5\.[1-5](?!\d)",
        ModelTraits(sampling="while not reasoning", reasons_unasked=False),
    ),
    (
        r"gpt-5\.",
        ModelTraits(
            sampling="while not reasoning", reasons_unasked=False, tools_while_reasoning=False
        ),
    ),
    (
        r"gpt-6-astra|gpt-6\.1-sol",
        ModelTraits(efforts_refused=_NO_NONE, sampling="never", tools_while_reasoning=False),
    ),
    (r"gpt-6", ModelTraits(sampling="never", tools_while_reasoning=False)),
)
_EXPRESSIONS = tuple((re.compile(expression), traits) for expression, traits in _FAMILIES)
_FINE_TUNED = "ft:"


def model_traits(name: str) -> ModelTraits | None:
    """What the model `name` can do, None where the name says nothing."""
    name = name.removeprefix(_FINE_TUNED)
    return next((traits for found, traits in _EXPRESSIONS if found.match(name)), None)


def ensure_supported(request: ChatRequest, traits: ModelTraits, *, chat: bool) -> None:
    """Refuse what the model would refuse, over chat completions or over Responses.

    Raises:
        InvalidRequestError: `parameter` names what cannot be had, the hint where it can.
    """
    _ensure_effort(request, traits)
    _ensure_sampling(request, traits)
    if request.response_schema is not None and not traits.schema:
        raise _refusal(request, "response_schema", "a JSON Schema", "Ask `openai/gpt-6.1-sol`.")
    if not chat:
        return
    if not traits.chat:
        raise request.refusal(
            "model",
            f"`{request.model}` is not served over chat completions.",
            hint="Leave the choice of the API to the model.",
        )
    if request.stop and not traits.stop:
        raise _refusal(request, "stop", "stop texts", "Ask `openai/gpt-4.1`.")
    if request.tools and not traits.tools_while_reasoning and _reasons(request, traits):
        raise _refusal(
            request,
            "reasoning_effort",
            "tools over chat completions while it reasons",
            "Ask it over Responses, or set the effort to `none`.",
        )


def _ensure_effort(request: ChatRequest, traits: ModelTraits) -> None:
    effort = request.reasoning_effort
    if effort is None:
        return
    if not traits.reasoning:
        raise _refusal(
            request, "reasoning_effort", "a reasoning effort", "Ask `openai/gpt-6.1-sol`."
        )
    if effort in traits.efforts_refused:
        raise _refusal(
            request,
            "reasoning_effort",
            f"the reasoning effort `{effort}`",
            "`openai/gpt-6-luna` and `openai/gpt-5.4` can answer without reasoning."
            if effort is ReasoningEffort.NONE
            else "`openai/gpt-5` has it; `low` is the nearest here.",
        )


def _ensure_sampling(request: ChatRequest, traits: ModelTraits) -> None:
    if traits.sampling == "always":
        return
    if traits.sampling != "never" and not _reasons(request, traits):
        return
    for parameter in ("temperature", "top_p"):
        if getattr(request, parameter) is not None:
            raise _refusal(
                request,
                parameter,
                f"`{parameter}`"
                if traits.sampling == "never"
                else f"`{parameter}` while it reasons",
                "Leave it out, or ask `openai/gpt-4.1`.",
            )


def _reasons(request: ChatRequest, traits: ModelTraits) -> bool:
    effort = request.reasoning_effort
    return traits.reasons_unasked if effort is None else effort is not ReasoningEffort.NONE


def _refusal(
    request: ChatRequest, parameter: str, capability: str, hint: str
) -> InvalidRequestError:
    return request.refusal(parameter, f"`{request.model}` does not take {capability}.", hint=hint)
