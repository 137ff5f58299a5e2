"""Policies as a project has declared them, and what they say together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.exceptions import PolicyViolationError
from lattice_lock.policies.base import (
    Action,
    Context,
    Finding,
    Outcome,
    Policy,
    Scan,
    Severity,
    Subject,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FAILED", "Enforced", "Objection", "PolicySet", "Verdict", "scan"]

_LOG = logging.getLogger(__name__)

FAILED = "policy-error"
"""The rule of a finding that says that its policy broke down."""


class Enforced(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, where it looks and what is done about what it finds.

    Attributes:
        restore: whether answers get back what was taken out of the prompt.
    """

    policy: Policy
    subjects: tuple[Subject, ...]
    action: Action
    restore: bool = False


class Objection(msgspec.Struct, frozen=True, kw_only=True):
    """A finding, and what is done about it."""

    policy: str
    action: Action
    finding: Finding
    restore: bool = False

    def error(self, subject: Subject) -> PolicyViolationError:
        """The error that refuses what was found in `subject`."""
        finding = self.finding
        return PolicyViolationError(
            f"The policy `{self.policy}` refuses this {_CALLED[subject]} at character "
            f"{finding.start}: {finding.message}",
            policy=self.policy,
            rule=finding.rule,
            hint=finding.fix,
        )


_CALLED = {Subject.CODE: "code", Subject.PROMPT: "prompt", Subject.RESPONSE: "answer"}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What all policies together say of one text.

    Attributes:
        text: what may pass: everything, with placeholders where something was taken out, or what
            stands before the finding that refuses.
        objections: every finding in its order, up to the one that refuses.
        replacements: what was taken out, as start, end and what stands there now.
        refusal: the finding that refuses; None if the text may pass.
    """

    text: str
    objections: tuple[Objection, ...] = ()
    replacements: tuple[tuple[int, int, str], ...] = ()
    refusal: Objection | None = None

    @property
    def outcome(self) -> Outcome:
        """The strictest outcome of all policies."""
        if self.refusal is not None:
            return Outcome.DENY
        actions = {objection.action for objection in self.objections}
        if Action.REDACT in actions:
            return Outcome.REDACT
        return Outcome.FLAG if actions else Outcome.ALLOW


class PolicySet(msgspec.Struct, frozen=True):
    """The policies of a project, in the order of their declarations."""

    enforced: tuple[Enforced, ...] = ()

    def on(self, subject: Subject) -> tuple[Enforced, ...]:
        """Those that look at `subject`."""
        return tuple(one for one in self.enforced if subject in one.subjects)

    def on_call(self, context: Context) -> Objection | None:
        """What speaks against making a call at all, whatever its texts; None if nothing does."""
        rules = [one for one in self.on(Subject.PROMPT) if not one.policy.reads_text]
        found, _ = scan(rules, Window(""), context)
        return next((one for one in found if one.action.refuses), None)

    def __bool__(self) -> bool:
        return bool(self.enforced)

    def __add__(self, other: PolicySet) -> PolicySet:
        return PolicySet((*self.enforced, *other.enforced))


def scan(
    enforced: Iterable[Enforced], window: Window, context: Context
) -> tuple[list[Objection], int]:
    """Everything that policies object to in `window`, and how far all of it is settled.

    A policy that breaks down refuses what it could not judge, and the log says so: an error is
    never a pass.
    """
    objections: list[Objection] = []
    settled = len(window.text)
    for one in enforced:
        found, until = _scanned(one.policy, window, context)
        settled = min(settled, until)
        for finding in found:
            action = Action.DENY if finding.rule == FAILED else one.action
            objections.append(
                Objection(
                    policy=one.policy.name, action=action, finding=finding, restore=one.restore
                )
            )
    return objections, settled


def _scanned(policy: Policy, window: Window, context: Context) -> Scan:
    try:
        return policy.scan(window, context)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is not a pass
        _LOG.error(  # without its trace, which would show what was judged
            "policy.failed policy=%s subject=%s error=%s",
            policy.name,
            context.subject,
            type(error).__name__,
        )
        finding = Finding(
            start=window.start,
            end=len(window.text),
            rule=FAILED,
            message=f"the policy itself failed with {type(error).__name__}; what it cannot judge "
            "does not pass.",
            severity=Severity.CRITICAL,
            fix="Run `lattice-lock policies test` to see whether it holds on its own cases.",
        )
        return Scan((finding,), len(window.text))
