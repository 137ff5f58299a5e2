"""From what a project declares to policies that are enforced, with everything that is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.policies.base import Action, Case, Policy, Subject, Window
from lattice_lock.policies.discovery import policy_class, policy_names
from lattice_lock.policies.policy_set import Enforced, PolicySet, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["Declared", "Fault", "enforce", "failing_cases"]

_FIELD = re.compile(r"`\$\.(\w+)|field `(\w+)`")


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """One declaration as written; what is left out is None or empty."""

    use: str
    on: tuple[Subject, ...] = ()
    action: Action | None = None
    restore: bool = False
    parameters: Mapping[str, object] = {}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with declaration number `index`, at its key `key`, or as a whole."""

    index: int
    key: str | None
    message: str
    hint: str | None = None


def enforce(
    declared: Sequence[Declared],
    custom: Callable[[Declared], Policy | None] = lambda declared: None,  # noqa: ARG005
) -> tuple[PolicySet, tuple[Fault, ...]]:
    """The policies that `declared` asks for, and every reason why some cannot be enforced.

    Args:
        custom: gives the policy of a declaration that names none of the built-in ones, with its
            parameters; None if it is none either. A `ValueError` says what is wrong with it.
    """
    enforced: list[Enforced] = []
    faults: list[Fault] = []
    for index, one in enumerate(declared):
        made = _made(index, one, custom)
        if isinstance(made, Fault):
            faults.append(made)
            continue
        found = [
            *_misplaced(index, one, made),
            *(
                Fault(index=index, key=None, message=message)
                for message in _contradictions(made, enforced)
            ),
        ]
        faults += found
        if not found:
            enforced.append(made)
    return PolicySet(tuple(enforced)), tuple(faults)


def failing_cases(policy: Policy) -> Iterator[tuple[Case, tuple[str, ...]]]:
    """The cases of `policy` whose outcome is another, each with the rules that did object."""
    enforced = Enforced(policy=policy, subjects=policy.subjects, action=policy.default_action)
    for case in policy.cases:
        objections, _ = scan((enforced,), Window(case.text), case.context(policy))
        found = tuple(one.rule for one in sorted(each.finding for each in objections))
        if found != case.rules:
            yield case, found


def _made(
    index: int, declared: Declared, custom: Callable[[Declared], Policy | None]
) -> Enforced | Fault:
    kind = policy_class(declared.use)
    try:
        policy = (
            custom(declared)
            if kind is None
            else msgspec.convert(dict(declared.parameters), kind, strict=True)
        )
    except msgspec.ValidationError as error:
        return _wrong_parameter(index, declared, kind, str(error))
    except ValueError as error:
        return Fault(index=index, key="use", message=f"`{declared.use}`: {error}")
    if policy is None:
        return _unknown(index, declared.use)
    return Enforced(
        policy=policy,
        subjects=declared.on or policy.defaults,
        action=declared.action or policy.default_action,
        restore=declared.restore,
    )


def _unknown(index: int, name: str) -> Fault:
    near = get_close_matches(name[:80], policy_names(), n=1)
    known = ", ".join(f"`{one}`" for one in policy_names())
    return Fault(
        index=index,
        key="use",
        message=f"there is no policy `{name}`.",
        hint=f"Did you mean `{near[0]}`?" if near else f"There are {known}.",
    )


def _wrong_parameter(
    index: int, declared: Declared, kind: type[Policy] | None, message: str
) -> Fault:
    found = _FIELD.search(message)
    name = (found[1] or found[2]) if found else None
    takes = ", ".join(f"`{field}`" for field in kind.__struct_fields__) if kind else ""
    return Fault(
        index=index,
        key=name if name in declared.parameters else None,
        message=f"`{declared.use}`: {message[:1].lower()}{message[1:].rstrip('.')}.",
        hint=f"It takes {takes}." if takes else "It takes no parameters.",
    )


def _misplaced(index: int, declared: Declared, made: Enforced) -> Iterator[Fault]:
    policy, name = made.policy, made.policy.name
    for subject in made.subjects:
        if subject not in policy.subjects:
            places = ", ".join(f"`{one}`" for one in policy.subjects)
            yield Fault(
                index=index,
                key="on",
                message=f"`{name}` cannot look at {subject.value}.",
                hint=f"It looks at {places}.",
            )
    if made.action is Action.REDACT and not policy.redacts:
        yield Fault(
            index=index,
            key="action",
            message=f"`{name}` finds nothing that could be replaced, so it cannot redact.",
            hint="Use `deny` or `flag`.",
        )
    if made.action is Action.REDACT and Subject.CODE in made.subjects:
        yield Fault(
            index=index,
            key="action",
            message="code is refused or flagged, never redacted: it would be other code.",
            hint="Declare the policy for `code` apart, with `deny` or `flag`."
            if declared.on
            else "Say `on: [prompt, response]`, and declare it for `code` apart.",
        )
    if made.restore and (made.action is not Action.REDACT or Subject.PROMPT not in made.subjects):
        yield Fault(
            index=index,
            key="restore",
            message="only what is taken out of prompts can be put back into answers.",
            hint="Say `on: [prompt]` and `action: redact`.",
        )
    if made.action in {Action.RETRY, Action.ANOTHER_MODEL} and made.subjects != (Subject.RESPONSE,):
        yield Fault(
            index=index,
            key="action",
            message=f"`{made.action.value}` is about answers only.",
            hint="Say `on: [response]`, and declare the policy for other places apart.",
        )


def _contradictions(made: Enforced, before: Iterable[Enforced]) -> Iterator[str]:
    sharing = [
        one
        for one in before
        if type(one.policy) is type(made.policy) and set(one.subjects) & set(made.subjects)
    ]
    for one in sharing:
        if one.policy == made.policy:
            places = ", ".join(
                f"`{subject.value}`" for subject in made.subjects if subject in one.subjects
            )
            yield (
                f"`{made.policy.name}` is declared with the same parameters before, for {places} "
                f"too: this one would never be reached."
                if one.action is made.action
                else f"`{made.policy.name}` is to `{one.action.value}` and to "
                f"`{made.action.value}` the same things, for {places}."
            )
            return
    yield from made.policy.contradictions([one.policy for one in sharing])
