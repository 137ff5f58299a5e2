"""What a request is about, and what a model must be able to do for it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Capability", "TaskRequirements", "TaskType"]


class TaskType(StrEnum):
    """Kinds of work at which models differ; `GENERAL` is whatever is none of the others."""

    CODE_GENERATION = "code_generation"
    CODE_REVIEW = "code_review"
    DEBUGGING = "debugging"
    TESTING = "testing"
    REASONING = "reasoning"
    MATHS = "maths"
    DATA_EXTRACTION = "data_extraction"
    SUMMARISATION = "summarisation"
    TRANSLATION = "translation"
    CREATIVE_WRITING = "creative_writing"
    VISION = "vision"
    LONG_CONTEXT = "long_context"
    QUICK_RESPONSE = "quick_response"
    GENERAL = "general"


class Capability(StrEnum):
    """What one model can do and another cannot; a request that needs it names it."""

    VISION = "vision"
    FILES = "files"
    TOOLS = "tools"
    PARALLEL_TOOL_CALLS = "parallel_tool_calls"
    STRUCTURED_OUTPUT = "structured_output"
    REASONING = "reasoning"
    SAMPLING = "sampling"


class TaskRequirements(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is to do, and what it must be able to do for it.

    Attributes:
        confidence: how sure the type is, from 0 to 1.
        complexity: how hard the task seems, from 0 (a greeting) to 1.
        capabilities: what a model must have.
        input_tokens: estimate of the prompt's length.
        output_tokens: estimate of the answer's length, reasoning left out.
        language: ISO 639-1 code of the prompt's natural language, None where it is not known.
    """

    task_type: TaskType
    confidence: float
    complexity: float
    capabilities: frozenset[Capability]
    input_tokens: int
    output_tokens: int
    language: str | None = None
