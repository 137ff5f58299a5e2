"""A conversation is shortened from its oldest end, and what belongs together stays together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.exceptions import UsageError
from lattice_lock.messages import Message, Role, TextPart, ToolCall, ToolResult
from lattice_lock.orchestrator.conversation import Conversation, trimmed
from lattice_lock.orchestrator.token_estimate import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

S, U, A = Message.system("s"), Message.user("u"), Message.assistant("a")


def calls(*names: str) -> Message:
    """An answer that calls tools; each call's id is its name."""
    parts = tuple(ToolCall(id=name, name=name, raw_arguments="{}") for name in names)
    return Message(role=Role.ASSISTANT, content=parts)


def told(*names: str) -> Message:
    """The results of these calls."""
    return Message.tool(
        *(ToolResult(call_id=name, name=name, content=(TextPart(text="r"),)) for name in names)
    )


def number(messages: Sequence[Message]) -> int:
    """One token for each message."""
    return len(messages)


def cut(messages: Sequence[Message], most: int) -> list[Message]:
    """What is left where each message is one token."""
    return list(trimmed(messages, most, count=number))


def test_what_fits_stays_as_it_is() -> None:
    """Nothing is left out without need."""
    messages = [S, U, A, U, calls("x"), told("x"), A]
    assert cut(messages, 7) == messages


def test_whole_exchanges_go_first() -> None:
    """A question goes with everything that answered it."""
    first, second = Message.user("1"), Message.user("2")
    messages = [S, first, calls("x", "y"), told("x"), told("y"), A, second, A, U]
    assert cut(messages, 9) == messages
    for most in (8, 7, 6, 5, 4):
        assert cut(messages, most) == [S, second, A, U]
    assert cut(messages, 3) == cut(messages, 2) == [S, U]


def test_old_steps_go_next() -> None:
    """Within the last exchange the user's words and the newest step stay."""
    old, mid, new = calls("old"), calls("mid"), calls("new")
    messages = [S, U, A, U, old, told("old"), mid, told("mid"), new, told("new")]
    assert cut(messages, 9) == cut(messages, 8) == messages[:1] + messages[3:]
    assert cut(messages, 7) == cut(messages, 6) == [S, U, mid, told("mid"), new, told("new")]
    assert cut(messages, 5) == cut(messages, 4) == [S, U, new, told("new")]
    with pytest.raises(UsageError, match=r"take about 4 tokens, and there is room for 3\."):
        cut(messages, 3)


def test_the_last_turn_is_all_that_the_user_has_just_said() -> None:
    """Several messages in a row are one turn."""
    more = Message.user("more")
    assert cut([S, U, A, U, more], 3) == [S, U, more]
    with pytest.raises(UsageError, match="room for 2"):
        cut([S, U, A, U, more], 2)


def test_system_messages_stay_wherever_they_stand() -> None:
    """They keep their order, and come before what is left of the words around them."""
    late = Message.system("late")
    assert cut([S, U, A, late, U], 3) == [S, late, U]
    assert cut([S, U, late, A, U], 5) == [S, U, late, A, U]
    assert cut([U, calls("x"), late, told("x")], 4) == [U, calls("x"), late, told("x")]


def test_what_came_before_the_user_is_left_out() -> None:
    """A conversation that is sent begins with system messages and then the user."""
    assert cut([A, S, A, U], 9) == [S, U]


@pytest.mark.parametrize("messages", [[], [S], [S, A]], ids=len)
def test_there_is_no_conversation_without_a_user(messages: list[Message]) -> None:
    """Whoever trims one has made a mistake."""
    with pytest.raises(UsageError, match="no message of the user"):
        cut(messages, 9)


@pytest.mark.parametrize(
    "messages",
    [
        [U, told("x")],
        [U, calls("y"), told("x")],
        [U, calls("x"), told("x"), A, told("x")],
        [U, calls("x"), U, told("x")],
        [U, calls("x"), Message(role=Role.USER, content=told("x").content)],
    ],
)
def test_a_result_without_its_call_is_refused(messages: list[Message]) -> None:
    """No provider takes one, so the conversation was broken before."""
    with pytest.raises(UsageError, match="the call `x`, which is not in the answer before it"):
        cut(messages, 9)


def test_a_conversation_stays_whole() -> None:
    """Only what is sent is shortened; tokens are estimated where nothing else is said."""
    conversation = Conversation(system="s", messages=[U, Message.assistant("a" * 1000)])
    conversation.add(U)
    conversation.add(A, U)
    whole = conversation.messages
    assert whole == (S, U, Message.assistant("a" * 1000), U, A, U)
    assert conversation.trimmed(10_000) == whole
    assert conversation.trimmed(200) == (S, U, A, U)
    assert conversation.trimmed(3, count=number) == (S, U) == whole[:1] + whole[-1:]
    assert conversation.messages == whole
    assert Conversation().messages == ()


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Conversations as they come about, each message told apart by its text."""
    messages: list[Message] = []

    def text() -> str:
        return f"{len(messages)} " + "x" * draw(st.integers(0, 200))

    def maybe_system() -> None:
        if draw(st.integers(0, 5)) == 0:
            messages.append(Message.system(text()))

    if draw(st.booleans()):
        messages.append(Message.assistant(text()))
    for _ in range(draw(st.integers(1, 4))):
        for _ in range(draw(st.integers(1, 2))):
            maybe_system()
            messages.append(Message.user(text()))
        for _ in range(draw(st.integers(0, 4))):
            maybe_system()
            # Servers that give no ids make the same ones for every answer.
            names = [f"call_{n}" for n in range(draw(st.integers(0, 3)))]
            said = Message.assistant(text())
            messages.append(
                Message(role=said.role, content=(*said.content, *calls(*names).content))
            )
            while names:
                many = draw(st.integers(1, len(names)))
                messages.append(told(*names[:many]))
                names = names[many:]
    return messages


def ensure_whole(messages: Sequence[Message]) -> None:
    """Calls and results are together, and the user begins."""
    spoken = [message for message in messages if message.role is not Role.SYSTEM]
    assert spoken[0].role is Role.USER
    pending: list[str] = []
    for message in spoken:
        if message.role is not Role.TOOL:
            assert pending == []
        for part in message.content:
            if isinstance(part, ToolCall):
                pending.append(part.id)
            elif isinstance(part, ToolResult):
                pending.remove(part.call_id)
    assert pending == []


def is_part(some: Sequence[Message], whole: Sequence[Message]) -> bool:
    """Whether `some` are among `whole`, in the same order."""
    rest = iter(whole)
    return all(any(one is other for other in rest) for one in some)


@given(conversations(), st.integers(0, 3000), st.integers(0, 1000))
def test_trimming_keeps_its_promises(messages: list[Message], most: int, more: int) -> None:
    """The bound holds, twice is once, more room loses nothing, and nothing needed goes."""
    least = trimmed(messages, estimate_tokens(messages))
    newest = [message for message in messages if message.role is Role.USER][-1]
    try:
        kept = trimmed(messages, most)
    except UsageError:
        assert estimate_tokens(least) > most
        return
    ensure_whole(kept)
    assert estimate_tokens(kept) <= most
    assert is_part(kept, messages)
    assert any(message is newest for message in kept)
    system = [message for message in messages if message.role is Role.SYSTEM]
    assert [message for message in kept if message.role is Role.SYSTEM] == system
    assert trimmed(kept, most) == kept
    assert is_part(kept, trimmed(messages, most + more))
    assert is_part(trimmed(messages, most + more), least)
    if estimate_tokens(least) <= most:
        assert kept == least
    tail = [message for message in kept if message.role is not Role.SYSTEM][-1]
    assert tail is [message for message in messages if message.role is not Role.SYSTEM][-1]
