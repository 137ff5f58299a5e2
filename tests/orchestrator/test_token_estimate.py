"""Tokens are estimated from the length of texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.messages import (
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ProviderData,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolDefinition,
    ToolResult,
)
from lattice_lock.orchestrator.token_estimate import FILE_TOKENS, IMAGE_TOKENS, estimate_tokens

_TEXT = st.text("aä€😀 1.\ud800")
PICTURE = ImagePart(url="https://example.org/a.png")


def tokens(*parts: Part) -> int:
    """The estimate for one message of these parts."""
    return estimate_tokens([Message(role=Role.USER, content=parts)])


# What the vocabulary `cl100k_base` makes of these, as the package gpt-tokenizer 4.0.0 counts.
@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("Which of the two cities is colder in winter, and why should anybody care? ", 17),
        ("Wer hat die Schlüssel auf den Tisch gelegt, und weshalb? ", 20),
        ("Завтра в городе ожидается сильный ветер и мокрый снег. ", 29),
        ("明天城里有大风请带上雨伞", 16),
        ("내일 도시에 강한 바람이 불 것으로 예상됩니다. ", 23),
        ("for index, item in enumerate(items):\n    total += item.price * index\n", 16),
        ('{"id": 17, "name": "tea", "price": 3.75, "sold": true}, ', 26),
    ],
)
def test_texts_are_rather_over_than_underestimated(text: str, counted: int) -> None:
    """Prose, code and data are estimated at no less than they take, and less than twice that."""
    estimate = tokens(TextPart(text=text * 20)) - tokens(TextPart(text=""))
    assert 20 * counted <= estimate
    assert estimate <= 40 * counted


@given(st.lists(_TEXT), st.lists(_TEXT))
def test_estimates_add_up(some: list[str], more: list[str]) -> None:
    """What several messages take is the sum of what each takes, and never nothing."""
    first, second = ([Message.user(text) for text in texts] for texts in (some, more))
    assert estimate_tokens(first + second) == estimate_tokens(first) + estimate_tokens(second)
    assert estimate_tokens(first) >= len(first)
    assert estimate_tokens([]) == 0


@pytest.mark.parametrize(
    ("part", "least"),
    [
        (PICTURE, IMAGE_TOKENS),
        (FilePart(name="a", url="https://example.org/a"), FILE_TOKENS),
        (FilePart(name="a", data=b"x", media_type="application/pdf"), FILE_TOKENS),
        (FilePart(name="a", data=b"x" * 1000, media_type="text/plain"), 330),
        (ReasoningPart(text="x" * 1000), 330),
        (ReasoningPart(text="", provider_data=ProviderData.pack("p", "x" * 1000)), 330),
        (OpaquePart(provider_data=ProviderData.pack("p", "x" * 1000)), 330),
        (ToolCall(id="1", name="x" * 500, raw_arguments="x" * 500), 330),
        (ToolResult(call_id="1", name="x", content=(PICTURE,)), IMAGE_TOKENS),
        (ToolResult(call_id="1", name="x", content=(TextPart(text="x" * 1000),)), 330),
        (TextPart(text="half \ud800"), 1),
    ],
    ids=lambda one: type(one).__name__,
)
def test_every_part_counts(part: Part, least: int) -> None:
    """Texts by their length, pictures and files by a flat number."""
    assert least <= tokens(part) - tokens() <= least + 40


def test_definitions_of_tools_count() -> None:
    """Names, descriptions and schemas are sent with every request."""
    tool = ToolDefinition(name="a", description="x" * 1000, parameters={"x": "y" * 1000})
    assert 660 <= estimate_tokens([], tools=[tool]) <= 700
