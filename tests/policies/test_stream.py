"""What passes of a text under several policies, whole and in pieces."""

from __future__ import annotations

import logging
import re
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import pytest
from typing_extensions import override

from lattice_lock.policies.base import (
    LONGEST_RUN,
    Action,
    Case,
    Context,
    Finding,
    Hold,
    Outcome,
    Policy,
    Scan,
    Subject,
    Window,
    last_word,
)
from lattice_lock.policies.placeholders import Placeholders
from lattice_lock.policies.policy_set import FAILED, Enforced
from lattice_lock.policies.stream import TextFilter, judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lattice_lock.policies.policy_set import Verdict

ANSWER = Context(subject=Subject.RESPONSE)


class Matching(Policy, frozen=True, kw_only=True):
    """Finds what a pattern matches within one word."""

    name: ClassVar[str] = "matching"
    look_behind: ClassVar[int] = 1
    rules: ClassVar[dict[str, str]] = {"match": "what the pattern matches"}
    cases: ClassVar[tuple[Case, ...]] = ()

    pattern: str
    label: str = "MATCH"

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        settled = last_word(window)
        found = (
            Finding(
                start=one.start(), end=one.end(), rule="match", message="it is.", label=self.label
            )
            for one in re.compile(self.pattern).finditer(window.text, window.start)
        )
        return Scan(tuple(one for one in found if one.start < settled), settled)


class Whole(Matching, frozen=True, kw_only=True):
    """Looks at an answer once it is complete."""

    holds: ClassVar[Hold] = Hold.ALL

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        if not window.final:
            return Scan((), window.start)
        return super().scan(window, context)


class Free(Matching, frozen=True, kw_only=True):
    """Holds nothing back, and finds nothing."""

    holds: ClassVar[Hold] = Hold.NOTHING

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        return Scan((), len(window.text))


class Literal(Matching, frozen=True, kw_only=True):
    """Finds a text, and holds back only what may be the beginning of it."""

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        end = len(window.text)
        partial = (
            size
            for size in range(len(self.pattern) - 1, 0, -1)
            if window.text.endswith(self.pattern[:size]) and end - size >= window.start
        )
        settled = end if window.final else end - next(partial, 0)
        return Scan(super().scan(window._replace(final=True), context).findings, settled)


class Broken(Policy, frozen=True, kw_only=True):
    """Fails at a word."""

    name: ClassVar[str] = "broken"
    rules: ClassVar[dict[str, str]] = {"none": "nothing"}
    cases: ClassVar[tuple[Case, ...]] = ()

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        if "boom" in window.text:
            raise ZeroDivisionError("boom")
        return Scan((), last_word(window))


def under(policy: Policy, action: Action, *, restore: bool = False) -> Enforced:
    """`policy` on every answer."""
    return Enforced(policy=policy, subjects=policy.subjects, action=action, restore=restore)


def pieces_of(text: str) -> Iterator[list[str]]:
    """Every cut of `text` in two, and its single characters."""
    for at in range(len(text) + 1):
        yield [text[:at], text[at:]]
    yield list(text)


def passing(pieces: Sequence[str], enforced: Sequence[Enforced]) -> tuple[str, TextFilter]:
    """What passes of `pieces`, and the filter that has seen them."""
    one = TextFilter(enforced, ANSWER, Placeholders())
    return "".join([one.feed(piece) for piece in pieces]) + one.finish(), one


def whole(text: str, enforced: Sequence[Enforced]) -> Verdict:
    """The verdict on a whole answer."""
    return judge(text, enforced, ANSWER, Placeholders())


def ensure_alike(text: str, enforced: Sequence[Enforced]) -> Verdict:
    """The verdict on the whole text, which every cut of it must share."""
    verdict = whole(text, enforced)
    for pieces in pieces_of(text):
        passed, one = passing(pieces, enforced)
        assert passed == verdict.text, pieces
        assert tuple(one.objections) == verdict.objections, pieces
        assert tuple(one.replacements) == verdict.replacements, pieces
        assert one.refusal == verdict.refusal, pieces
    return verdict


def test_a_text_that_nobody_objects_to_passes_as_it_is() -> None:
    """Without policies, and with ones that find nothing, all of it passes unrecorded."""
    for enforced in ((), (under(Matching(pattern="x"), Action.DENY),)):
        verdict = ensure_alike("Grüße an\nAnn", enforced)
        assert (verdict.text, verdict.outcome) == ("Grüße an\nAnn", Outcome.ALLOW)


def test_a_refusal_ends_the_text_before_it() -> None:
    """What stands before the first finding that refuses passes; nothing does after it."""
    enforced = (under(Matching(pattern="key"), Action.DENY),)
    verdict = ensure_alike("my key is key two", enforced)
    assert (verdict.text, verdict.outcome) == ("my ", Outcome.DENY)
    assert verdict.refusal is not None
    assert verdict.objections == (verdict.refusal,)
    assert (verdict.refusal.finding.start, verdict.refusal.finding.end) == (3, 6)
    one = TextFilter(enforced, ANSWER, Placeholders())
    assert one.feed("my key ") + one.feed("more ") + one.feed("text ") == "my "
    assert one.finish("the end") == ""
    assert len(one.objections) == 1


@pytest.mark.parametrize("action", [Action.DENY, Action.RETRY, Action.ANOTHER_MODEL])
def test_every_refusing_action_refuses(action: Action) -> None:
    """Asking again is a refusal of this answer."""
    verdict = ensure_alike("my key", (under(Matching(pattern="key"), action),))
    assert (verdict.text, verdict.outcome) == ("my ", Outcome.DENY)
    assert verdict.refusal is not None
    assert verdict.refusal.action is action


def test_what_is_redacted_and_flagged_before_a_refusal_is_recorded() -> None:
    """Objections are in the order of their places and end with the one that refuses."""
    enforced = (
        under(Matching(pattern="d+"), Action.DENY),
        under(Matching(pattern="r+", label="R"), Action.REDACT),
        under(Matching(pattern="f+"), Action.FLAG),
    )
    verdict = ensure_alike("f rr f rr d f rr", enforced)
    assert verdict.text == "f [R_1] f [R_1] "
    actions = [one.action for one in verdict.objections]
    assert actions == [Action.FLAG, Action.REDACT, Action.FLAG, Action.REDACT, Action.DENY]
    assert verdict.replacements == ((2, 4, "[R_1]"), (7, 9, "[R_1]"))


def test_findings_of_several_policies_that_overlap_are_one_replacement() -> None:
    """One placeholder, of the finding that begins first, stands for all their characters."""
    enforced = (
        under(Matching(pattern="cde", label="LATE"), Action.REDACT),
        under(Matching(pattern="abc", label="EARLY"), Action.REDACT),
        under(Matching(pattern="efg", label="LAST"), Action.REDACT),
    )
    verdict = ensure_alike("xabcdefgx cde abcdefg", enforced)
    assert verdict.text == "x[EARLY_1]x [LATE_1] [EARLY_1]"
    assert verdict.replacements == (
        (1, 8, "[EARLY_1]"),
        (10, 13, "[LATE_1]"),
        (14, 21, "[EARLY_1]"),
    )
    assert len(verdict.objections) == 7


@pytest.mark.parametrize("action", [Action.REDACT, Action.FLAG, Action.DENY])
def test_a_finding_is_not_cut_where_another_policy_holds_back(action: Action) -> None:
    """A finding that is certain waits whole for a policy that has settled only part of it."""
    long = under(Literal(pattern="key two", label="LONG"), action)
    words = under(Matching(pattern="twofold", label="WORD"), Action.REDACT)
    for enforced in ((long, words), (words, long)):
        ensure_alike("my key twofold, key two", enforced)
    passed, _ = passing(["my key two", "fold"], (long, words))
    expected = {Action.REDACT: "my [LONG_1]", Action.FLAG: "my key [WORD_1]", Action.DENY: "my "}
    assert passed == expected[action]


def test_findings_that_touch_are_two_replacements() -> None:
    """A finding that begins where another ends shares no character with it."""
    enforced = (
        under(Matching(pattern="ab", label="A"), Action.REDACT),
        under(Matching(pattern="cd", label="C"), Action.REDACT),
    )
    assert ensure_alike("abcd", enforced).text == "[A_1][C_1]"


def test_at_one_place_the_first_declaration_names_the_placeholder() -> None:
    """Among findings of the same characters the order of declarations decides."""
    first = under(Matching(pattern="abc", label="FIRST"), Action.REDACT)
    second = under(Matching(pattern="abc", label="SECOND"), Action.REDACT)
    assert ensure_alike("abc", (first, second)).text == "[FIRST_1]"
    assert ensure_alike("abc", (second, first)).text == "[SECOND_1]"


def test_a_refusal_that_overlaps_a_redaction_refuses_from_its_beginning() -> None:
    """Neither the placeholder nor the part before the overlap passes."""
    redacting = under(Matching(pattern="abc"), Action.REDACT)
    refusing = under(Matching(pattern="cde"), Action.DENY)
    for enforced in ((redacting, refusing), (refusing, redacting)):
        verdict = ensure_alike("x abcde", enforced)
        assert (verdict.text, verdict.outcome) == ("x ", Outcome.DENY)
        assert verdict.replacements == ()


def test_a_flag_is_recorded_once_and_changes_nothing() -> None:
    """A finding that is seen in several windows, and spans the cuts between them, counts once."""
    enforced = (
        under(Matching(pattern="flag"), Action.FLAG),
        under(Whole(pattern="never"), Action.DENY),
    )
    verdict = ensure_alike("a flag, two flag", enforced)
    assert (verdict.text, verdict.outcome) == ("a flag, two flag", Outcome.FLAG)
    assert [one.finding.start for one in verdict.objections] == [2, 12]


def test_a_flag_over_a_redaction_is_recorded_and_the_redaction_done() -> None:
    """Flags take no part in what is replaced, wherever they stand."""
    enforced = (
        under(Matching(pattern="abcdef"), Action.FLAG),
        under(Matching(pattern="cd"), Action.REDACT),
    )
    verdict = ensure_alike("abcdef", enforced)
    assert (verdict.text, verdict.outcome) == ("ab[MATCH_1]ef", Outcome.REDACT)
    assert len(verdict.objections) == 2


def test_restore_reaches_the_placeholders() -> None:
    """What is declared with `restore` can be put back, and nothing else."""
    placeholders = Placeholders()
    enforced = (
        under(Matching(pattern="ann", label="NAME"), Action.REDACT, restore=True),
        under(Matching(pattern="key", label="KEY"), Action.REDACT),
    )
    verdict = judge("ann key", enforced, ANSWER, placeholders)
    assert verdict.text == "[NAME_1] [KEY_1]"
    assert placeholders.restore(verdict.text) == "ann [KEY_1]"


@pytest.mark.parametrize("before", ["", "some words, "])
def test_a_word_of_just_the_longest_length_passes(before: str) -> None:
    """The limit itself is allowed, whole and in pieces."""
    text = before + "x" * LONGEST_RUN
    enforced = (under(Matching(pattern="key"), Action.DENY),)
    assert whole(text, enforced).text == text
    pieces = [text[at : at + 10_000] for at in range(0, len(text), 10_000)]
    assert passing(pieces, enforced)[0] == text


@pytest.mark.parametrize("size", [1_000, LONGEST_RUN, LONGEST_RUN + 1, 1_000_000])
@pytest.mark.parametrize("after", ["", "x" * 5_000, " and more words"])
def test_a_longer_word_is_refused_whole_and_streamed_alike(size: int, after: str) -> None:
    """What stands before the word passes; the refusal has the same place in both ways."""
    text = "some words, " + "x" * (LONGEST_RUN + 1) + after
    enforced = (under(Matching(pattern="key"), Action.FLAG),)
    verdict = whole(text, enforced)
    passed, one = passing([text[at : at + size] for at in range(0, len(text), size)], enforced)
    assert passed == verdict.text == "some words, "
    assert one.refusal == verdict.refusal
    assert verdict.refusal is not None
    finding = verdict.refusal.finding
    assert (finding.rule, finding.start, finding.end) == ("unbroken-text", 12, 13 + LONGEST_RUN)
    assert verdict.refusal.action is Action.DENY


def test_a_word_of_any_length_passes_where_nobody_looks_at_words() -> None:
    """Policies that hold nothing back set no limit, and neither do ideographs."""
    text = "x" * (2 * LONGEST_RUN)
    assert whole(text, (under(Free(pattern=""), Action.DENY),)).text == text
    words = "中文" * LONGEST_RUN
    assert whole(words, (under(Matching(pattern="key"), Action.DENY),)).text == words


def test_quick_pieces_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first piece passes at once; later ones may wait for 48 characters, and the end ends that.

    A piece that comes after 30 ms waits for nothing.
    """
    now = 100.0
    monkeypatch.setattr("lattice_lock.policies.stream.time.monotonic", lambda: now)
    one = TextFilter((under(Matching(pattern="key"), Action.DENY),), ANSWER, Placeholders())
    assert one.feed("one ") == "one "
    assert one.feed("two ") == ""
    assert one.feed("x" * 43 + " ") == "two " + "x" * 43 + " "
    assert one.feed("three ") == ""
    now += 0.031
    assert one.feed("four ") == "three four "
    assert one.feed("five ") == ""
    assert one.finish("six") == "five six"


def test_a_policy_that_needs_all_is_asked_once() -> None:
    """An answer that is held back to its end is not scanned again for each piece."""
    scans = []

    class Counting(Whole, frozen=True, kw_only=True):
        @override
        def scan(self, window: Window, context: Context) -> Scan:
            scans.append(window.final)
            return super().scan(window, context)

    enforced = (under(Counting(pattern="key"), Action.REDACT),)
    one = TextFilter(enforced, ANSWER, Placeholders())
    assert "".join(one.feed("the key ") for _ in range(1_000)) == ""
    assert one.finish() == "the [MATCH_1] " * 1_000
    assert scans == [True]


def test_a_policy_that_breaks_down_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of what it could not judge passes, whatever its action; the log names the error."""
    enforced = (under(Broken(), Action.FLAG), under(Matching(pattern="x"), Action.FLAG))
    with caplog.at_level(logging.ERROR):
        verdict = whole("well boom", enforced)
    assert (verdict.text, verdict.outcome) == ("", Outcome.DENY)
    assert verdict.refusal is not None
    assert (verdict.refusal.policy, verdict.refusal.finding.rule) == ("broken", FAILED)
    assert "ZeroDivisionError" in verdict.refusal.finding.message
    assert [record.getMessage() for record in caplog.records] == [
        "policy.failed policy=broken subject=response error=ZeroDivisionError"
    ]
    assert not caplog.records[0].exc_info
    passed, one = passing(["well ", "boom ", "more"], enforced)
    assert passed == "well "
    assert one.refusal is not None
    assert one.refusal.finding.rule == FAILED


def test_places_count_from_the_beginning_of_a_long_text() -> None:
    """What was forgotten of a stream still counts in offsets, whatever was replaced in it."""
    enforced = (under(Matching(pattern="key"), Action.REDACT),)
    text = "the key and " * 500
    pieces = [text[begin:end] for begin, end in pairwise(range(0, len(text) + 1, 7))]
    pieces.append(text[len("".join(pieces)) :])
    passed, one = passing(pieces, enforced)
    assert passed == text.replace("key", "[MATCH_1]")
    assert [start for start, _, _ in one.replacements] == list(range(4, len(text), 12))
    assert [made.finding.start for made in one.objections] == list(range(4, len(text), 12))
