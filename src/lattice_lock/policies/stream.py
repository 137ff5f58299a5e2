"""What passes of a text: the same, whether it comes whole or in pieces.

One algorithm serves both. Each step scans what is not decided yet, and cuts where every policy has
settled and no finding is cut in two; what is left of the cut is passed on, with placeholders in
place of what is to be redacted. The first finding that refuses ends the text before it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.policies.base import (
    LONGEST_RUN,
    UP_TO_BREAK,
    Action,
    Finding,
    Hold,
    Severity,
    Window,
)
from lattice_lock.policies.policy_set import Objection, Verdict, scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lattice_lock.policies.base import Context
    from lattice_lock.policies.placeholders import Placeholders
    from lattice_lock.policies.policy_set import Enforced

__all__ = ["TextFilter", "judge"]

_STEP_CHARS = 48
_STEP_S = 0.03


def judge(
    text: str, enforced: Sequence[Enforced], context: Context, placeholders: Placeholders
) -> Verdict:
    """What may pass of a whole text."""
    whole = TextFilter(enforced, context, placeholders)
    passed = whole.finish(text)
    return Verdict(
        text=passed,
        objections=tuple(whole.objections),
        replacements=tuple(whole.replacements),
        refusal=whole.refusal,
    )


class TextFilter:
    """What may pass of a text that comes in pieces.

    Pieces that come quickly are looked at together, so that a fast stream stays fast: up to
    48 characters, or what comes within 30 ms, may wait for the next piece.

    Attributes:
        objections: every finding so far, offsets counted in the whole text.
        replacements: what was taken out so far, as start, end and what stands there now.
        refusal: the finding that ended the text; nothing passes after it.
    """

    def __init__(
        self, enforced: Sequence[Enforced], context: Context, placeholders: Placeholders
    ) -> None:
        self._enforced = enforced
        self._context = context
        self._placeholders = placeholders
        self._look_behind = max((one.policy.look_behind for one in enforced), default=0)
        self._by_word = self._holds(Hold.WORD)
        self._pieces: list[str] = []
        self._waiting = 0
        self._due = sys.maxsize if self._holds(Hold.ALL) else 1
        self._looked_at = 0.0
        self._text = ""
        self._start = 0
        self._position = 0
        self.objections: list[Objection] = []
        self.replacements: list[tuple[int, int, str]] = []
        self.refusal: Objection | None = None

    def _holds(self, what: Hold) -> bool:
        return any(one.policy.holds is what for one in self._enforced)

    def feed(self, piece: str) -> str:
        """What may pass now that `piece` has come."""
        if self.refusal is not None:
            return ""
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting < self._due and (
            self._due > _STEP_CHARS or time.monotonic() - self._looked_at < _STEP_S
        ):
            return ""
        passed = self._advance(final=False)
        self._due = max(_STEP_CHARS, (len(self._text) - self._start) // 4)
        self._looked_at = time.monotonic()
        return passed

    def finish(self, piece: str = "") -> str:
        """What may pass of the rest, `piece` being the last of it."""
        if self.refusal is not None:
            return ""
        self._pieces.append(piece)
        return self._advance(final=True)

    def _advance(self, *, final: bool) -> str:
        self._text += "".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        window = Window(self._text, self._start, self._position, final)
        objections, cut = scan(self._enforced, window, self._context)
        if self._by_word and len(self._text) - self._start > LONGEST_RUN:
            endless = _endless(window)
            if endless is not None:
                objections.append(endless)
                cut = endless.finding.end
        if objections:
            passed, cut = self._settle(objections, cut, final=final)
        else:
            passed = self._text[self._start : cut]
        forget = max(0, cut - self._look_behind)
        self._text = self._text[forget:]
        self._start = cut - forget
        self._position += forget
        return passed

    def _settle(self, objections: list[Objection], cut: int, *, final: bool) -> tuple[str, int]:
        """What passes up to the last place before `cut` that is inside of no finding."""
        objections.sort(key=_place)  # stable: at one place, what was declared first
        for objection in reversed(objections):
            if objection.finding.start < cut < objection.finding.end:
                cut = objection.finding.start
        passed: list[str] = []
        at = self._start
        for group in _overlapping(objections):
            start = group[0].finding.start
            if start >= cut and not final:
                break
            refusal = next((one for one in group if one.action.refuses), None)
            if refusal is not None:
                cut, final = start, False
                self.refusal = self._absolute(refusal)
                break
            end = max(one.finding.end for one in group)
            passed.append(self._text[at:start])
            name = self._placeholders.hide(
                group[0].finding.label, self._text[start:end], restore=group[0].restore
            )
            passed.append(name)
            self.replacements.append((start + self._position, end + self._position, name))
            at = end
        passed.append(self._text[at:cut])
        self.objections += [
            self._absolute(one) for one in objections if final or one.finding.start < cut
        ]
        if self.refusal is not None:
            self.objections.append(self.refusal)
        return "".join(passed), cut

    def _absolute(self, objection: Objection) -> Objection:
        finding = objection.finding
        moved = msgspec.structs.replace(
            finding, start=finding.start + self._position, end=finding.end + self._position
        )
        return msgspec.structs.replace(objection, finding=moved)


def _place(objection: Objection) -> tuple[int, bool]:
    return objection.finding.start, not objection.action.refuses


def _overlapping(objections: list[Objection]) -> Iterator[list[Objection]]:
    """What changes the text, in groups that share characters; both in the order of places."""
    group: list[Objection] = []
    end = 0
    for objection in objections:
        if objection.action is Action.FLAG:
            continue
        finding = objection.finding
        if group and finding.start >= end:
            yield group
            group = []
        end = max(end, finding.end) if group else finding.end
        group.append(objection)
    if group:
        yield group


def _endless(window: Window) -> Objection | None:
    """The objection to the first word that is too long to be held back; None if there is none."""
    at = window.start
    while at + LONGEST_RUN < len(window.text):
        end = at + LONGEST_RUN + 1
        found = UP_TO_BREAK.match(window.text, at, end)
        if found is None:
            finding = Finding(
                start=at,
                end=end,
                rule="unbroken-text",
                message=f"more than {LONGEST_RUN:,} characters without a space.",
                severity=Severity.MEDIUM,
            )
            return Objection(policy="stream", action=Action.DENY, finding=finding)
        at = found.end()
    return None
