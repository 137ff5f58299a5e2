"""Keeps a conversation, and shortens it to what fits into a model's window.

    system  user  assistant  user  assistant(calls)  tool  assistant(calls)  tool
    kept    `--- exchange -'  kept  `------- step -------'  `--- last step, kept -'

What is left out goes from the oldest on: whole exchanges first, then the steps that follow the
last words of the user, but never what the model has to answer next.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from lattice_lock.exceptions import UsageError
from lattice_lock.messages import Message, Role, ToolCall, ToolResult
from lattice_lock.orchestrator.token_estimate import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Count: TypeAlias = Callable[[Sequence[Message]], int]

__all__ = ["Conversation", "trimmed"]


class Conversation:
    """The turns of one conversation, in memory.

    Args:
        system: instructions that stand above it; None is without any.
        messages: what has been said before.
    """

    def __init__(self, *, system: str | None = None, messages: Iterable[Message] = ()) -> None:
        self._messages = [] if system is None else [Message.system(system)]
        self._messages += messages

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that was said, the oldest first."""
        return tuple(self._messages)

    def add(self, *messages: Message) -> None:
        """Add turns: what the user says, what a model answers, what tools give back."""
        self._messages += messages

    def trimmed(self, max_tokens: int, *, count: Count = estimate_tokens) -> tuple[Message, ...]:
        """What to send of it, as `trimmed` has it; the conversation itself stays whole."""
        return trimmed(self._messages, max_tokens, count=count)


def trimmed(
    messages: Sequence[Message], max_tokens: int, *, count: Count = estimate_tokens
) -> tuple[Message, ...]:
    """The messages without as many of the oldest as it takes to fit into `max_tokens`.

    Begins with the system messages and then a user's; what was said before the user's first word
    is left out. Kept in any case are system messages, the user's last turn, and after it the last
    answer with the results of its calls. Calls and results stay or go together.

    Args:
        max_tokens: room for the messages: the model's window without what the definitions of
            tools and the answer need.
        count: tokens of some messages; of several the sum of what each takes.

    Raises:
        UsageError: what has to stay does not fit, there is no user's message, or a result
            answers no call of the step it stands in.
    """
    keep, droppable = _units(messages)
    _ensure_answers(messages)
    taken = count([messages[index] for index in keep])
    if taken > max_tokens:
        raise UsageError(
            f"The system messages and the user's last turn take about {taken} tokens, and there "
            f"is room for {max_tokens}.",
            hint="Shorten them, or choose a model with a larger window.",
        )
    for unit in reversed(droppable):
        taken += count([messages[index] for index in unit])
        if taken > max_tokens:
            break
        keep += unit
    return tuple(messages[index] for index in sorted(keep))


def _units(messages: Sequence[Message]) -> tuple[list[int], list[list[int]]]:
    """Which messages always stay, and groups that go as a whole, the oldest first; by index."""
    roles = [message.role for message in messages]
    system = [index for index, role in enumerate(roles) if role is Role.SYSTEM]
    said = [index for index, role in enumerate(roles) if role is not Role.SYSTEM]
    turns = [
        place
        for place, index in enumerate(said)
        if roles[index] is Role.USER and (place == 0 or roles[said[place - 1]] is not Role.USER)
    ]
    if not turns:
        raise UsageError("The conversation has no message of the user.")
    *earlier, last = (said[begin:end] for begin, end in pairwise([*turns, len(said)]))
    answers = [place for place, index in enumerate(last) if roles[index] is Role.ASSISTANT]
    steps = [last[begin:end] for begin, end in pairwise([*answers, len(last)])]
    asked = last[: answers[0]] if answers else last
    return [*system, *asked, *(steps[-1] if steps else ())], [*earlier, *steps[:-1]]


def _ensure_answers(messages: Sequence[Message]) -> None:
    calls: set[str] = set()
    for message in messages:
        if message.role is Role.SYSTEM:
            continue
        if message.role is not Role.TOOL:
            calls = {part.id for part in message.content if isinstance(part, ToolCall)}
        for part in message.content:
            if isinstance(part, ToolResult) and part.call_id not in calls:
                raise UsageError(
                    f"The result of `{part.name}` answers the call `{part.call_id}`, which is not "
                    "in the answer before it.",
                    hint="Keep the answer that makes a call together with the results.",
                )
