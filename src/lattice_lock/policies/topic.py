"""`topic`: what a text is about, told by the words of lists that the project gives."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003  # msgspec reads annotations
from functools import lru_cache
from typing import ClassVar

from typing_extensions import override

from lattice_lock.policies._word_lists import word_lists
from lattice_lock.policies.base import (
    Case,
    Context,
    Finding,
    Hold,
    Policy,
    Scan,
    Severity,
    Subject,
    Window,
)

__all__ = ["Topic"]

_TOPICS = word_lists("_topics.txt")
_WORD = re.compile(r"[^\W\d_][\w'-]{1,40}")
_FEWEST_WORDS = 12


class Topic(Policy, frozen=True, kw_only=True):
    """Refuses texts about denied topics, and texts that are about none of the allowed ones.

    A text is about a topic if it has at least `hits` different words of it.

    Attributes:
        allow: topics of which a text has to have one; none allows all but the denied.
        deny: topics that a text may not be about.
        topics: topics of the project's own, each a list of words; one of a built-in name replaces
            that.
        hits: different words that make a topic.
    """

    name: ClassVar[str] = "topic"
    subjects: ClassVar[tuple[Subject, ...]] = (Subject.PROMPT, Subject.RESPONSE)
    defaults: ClassVar[tuple[Subject, ...]] = (Subject.PROMPT, Subject.RESPONSE)
    redacts: ClassVar[bool] = False
    holds: ClassVar[Hold] = Hold.ALL
    rules: ClassVar[dict[str, str]] = {
        "denied": "a text about a denied topic",
        "off-topic": "a text about none of the allowed topics",
    }
    limits: ClassVar[tuple[str, ...]] = (
        f"Built in, in English: {', '.join(sorted(_TOPICS))}.",
        "Words are compared, not meanings: give the words of your own topics.",
        "A text of fewer than 12 words is never off-topic.",
    )
    sample: ClassVar[dict[str, object]] = {
        "allow": ["cooking"],
        "deny": ["gambling"],
        "topics": {"cooking": ["recipe", "oven", "flour", "butter", "bake", "dough", "salt"]},
    }
    cases: ClassVar[tuple[Case, ...]] = (
        Case(text="Mix flour and butter, knead the dough, and bake it in a hot oven for an hour."),
        Case(text="Yes, of course."),
        Case(
            text="Put your stake on the roulette table, the casino pays the jackpot, and a recipe "
            "with flour and butter for the dough.",
            rules=("denied",),
        ),
        Case(
            text="The parliament voted yesterday on a law that nobody in the whole country likes.",
            rules=("off-topic",),
        ),
    )

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    topics: Mapping[str, tuple[str, ...]] = {}
    hits: int = 3

    def __post_init__(self) -> None:
        if not self.allow and not self.deny:
            raise ValueError("neither `allow` nor `deny` names a topic")
        if self.hits < 1:
            raise ValueError("`hits` must be at least 1")
        both = set(self.allow) & set(self.deny)
        if both:
            raise ValueError(f"`{min(both)}` is both allowed and denied")
        for one in (*self.allow, *self.deny):
            words = self._words(one)
            if words is None:
                known = ", ".join(sorted({*_TOPICS, *self.topics}))
                raise ValueError(f"there is no topic `{one}`; there are {known}")
            if len(words) < self.hits:
                raise ValueError(f"`{one}` has fewer than {self.hits} words: it is never reached")

    def _words(self, topic: str) -> frozenset[str] | None:
        own = self.topics.get(topic)
        if own is not None:
            return _lowered(own)
        return _TOPICS.get(topic)

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        if not window.final:
            return Scan((), window.start)
        end = len(window.text)
        if window.start or window.position:
            return Scan((), end)
        found = [word.lower() for word in _WORD.findall(window.text)]
        words = {form for word in found for form in (word, word.removesuffix("s"))}
        denied = next((one for one in self.deny if self._about(one, words)), None)
        if denied is not None:
            return Scan((_finding("denied", f"it is about {denied}."),), end)
        if (
            self.allow
            and len(found) >= _FEWEST_WORDS
            and not any(self._about(one, words) for one in self.allow)
        ):
            return Scan((_finding("off-topic", "it is about none of the allowed topics."),), end)
        return Scan((), end)

    def _about(self, topic: str, words: set[str]) -> bool:
        known = self._words(topic) or frozenset()
        return len({word.removesuffix("s") for word in known & words}) >= self.hits


def _finding(rule: str, message: str) -> Finding:
    return Finding(
        start=0,
        end=0,
        rule=rule,
        message=message,
        severity=Severity.LOW,
        fix="Stay with what is allowed to be talked about.",
    )


@lru_cache(maxsize=256)
def _lowered(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)
