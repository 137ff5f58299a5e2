"""The promises that all policies share: their cases, and the same outcome however a text is cut."""

from __future__ import annotations

import ast
import inspect
import random
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_lock.policies.base import Action, Case, Context, Policy, Subject, Window
from lattice_lock.policies.discovery import policy_class, policy_names
from lattice_lock.policies.placeholders import Placeholders
from lattice_lock.policies.policy_set import Enforced
from lattice_lock.policies.stream import TextFilter, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NAMES = policy_names()


def _sample(name: str) -> Policy:
    found = policy_class(name)
    assert found is not None
    return msgspec.convert(found.sample, found)


def _cases(*, subject: Subject | None = None) -> list[tuple[str, Case]]:
    found = [(name, case) for name in _NAMES for case in _sample(name).cases]
    if subject is None:
        return found
    return [(name, case) for name, case in found if case.context(_sample(name)).subject is subject]


def _id(value: object) -> str:
    return value if isinstance(value, str) else repr(getattr(value, "text", value))[:40]


def _streamed(
    pieces: Iterable[str], enforced: Sequence[Enforced], context: Context
) -> tuple[str, list[tuple[int, int, str]], object]:
    one = TextFilter(enforced, context, Placeholders())
    passed = "".join([one.feed(piece) for piece in pieces]) + one.finish()
    found = [(o.finding.start, o.finding.end, o.finding.rule) for o in one.objections]
    refusal = one.refusal and (one.refusal.finding.start, one.refusal.finding.rule)
    return passed, found, refusal


def _whole(
    text: str, enforced: Sequence[Enforced], context: Context
) -> tuple[str, list[tuple[int, int, str]], object]:
    verdict = judge(text, enforced, context, Placeholders())
    found = [(o.finding.start, o.finding.end, o.finding.rule) for o in verdict.objections]
    refusal = verdict.refusal and (verdict.refusal.finding.start, verdict.refusal.finding.rule)
    return verdict.text, found, refusal


def _actions(policy: Policy) -> tuple[Action, ...]:
    return (Action.DENY, Action.REDACT) if policy.redacts else (Action.DENY,)


def _enforced(policy: Policy, action: Action) -> tuple[Enforced, ...]:
    return (Enforced(policy=policy, subjects=policy.subjects, action=action),)


@pytest.mark.parametrize("name", _NAMES)
def test_a_policy_brings_cases_that_pass_and_cases_that_do_not(name: str) -> None:
    """Each rule of a policy has a case that breaks it, and some case breaks none."""
    policy = _sample(name)
    assert policy.name == name
    assert {rule for case in policy.cases for rule in case.rules} == set(policy.rules)
    assert any(not case.rules for case in policy.cases)
    assert set(policy.defaults) <= set(policy.subjects)


@pytest.mark.parametrize("name", _NAMES)
def test_a_policy_imports_no_other(name: str) -> None:
    """Of its package a policy imports the base and private modules only."""
    module = sys.modules[type(_sample(name)).__module__]
    tree = ast.parse(inspect.getsource(module))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    ours = [one.removeprefix("lattice_lock.") for one in imported if one.startswith("lattice_lock")]
    allowed = {"exceptions", "messages", "policies.base"}
    assert all(one in allowed or one.startswith("policies._") for one in ours), ours


@pytest.mark.parametrize(("name", "case"), _cases(), ids=_id)
def test_a_case_has_the_outcome_that_it_states(name: str, case: Case) -> None:
    """The rules that object to a case's text are those that the case names, in their order."""
    policy = _sample(name)
    findings = policy.scan(Window(case.text), case.context(policy)).findings
    assert tuple(finding.rule for finding in sorted(findings)) == case.rules
    for finding in findings:
        assert 0 <= finding.start <= finding.end <= len(case.text)
        assert finding.message.endswith(".")
        assert finding.fix is None or finding.fix.endswith(".")


@pytest.mark.parametrize(("name", "case"), _cases(subject=Subject.RESPONSE), ids=_id)
def test_a_text_passes_alike_however_it_is_cut(name: str, case: Case) -> None:
    """Every cut in two, single characters, and random pieces emit what the whole text would."""
    policy = _sample(name)
    context = case.context(policy)
    rng = random.Random(case.text)  # noqa: S311  # the same cuts each time
    for text in (case.text, f"Well, {case.text} - and so on. {case.text}"):
        cuts = [[text[:at], text[at:]] for at in range(len(text) + 1)]
        cuts.append(list(text))
        for _ in range(10):
            places = sorted(rng.choices(range(len(text) + 1), k=rng.randrange(1, 8)))
            cuts.append([text[a:b] for a, b in pairwise([0, *places, len(text)])])
        for action in _actions(policy):
            enforced = _enforced(policy, action)
            expected = _whole(text, enforced, context)
            for pieces in cuts:
                assert _streamed(pieces, enforced, context) == expected, pieces


@pytest.mark.parametrize(("name", "case"), _cases(subject=Subject.RESPONSE), ids=_id)
def test_what_is_found_does_not_depend_on_where_looking_starts(name: str, case: Case) -> None:
    """From any place that is inside of no finding, a window finds what the whole text has there."""
    policy = _sample(name)
    context = case.context(policy)
    text = f"Well, {case.text} and {case.text}"
    whole = policy.scan(Window(text), context).findings
    for start in range(len(text)):
        if any(found.start < start < found.end for found in whole):
            continue
        begin = max(0, start - policy.look_behind)
        window = Window(text[begin:], start - begin, begin, final=True)
        found = policy.scan(window, context).findings
        expected = [one for one in whole if one.start >= start]
        places = [(one.start + begin, one.end + begin, one.rule) for one in found]
        assert places == [(one.start, one.end, one.rule) for one in expected], start


_FRAGMENTS = [
    *(case.text for name in _NAMES for case in _sample(name).cases if len(case.text) < 400),
    *(
        " ",
        "\n",
        "```",
        "```python\n",
        "é",
        "中文。",
        "\u200b",
        "🙂",
        "=",
        '"',
        "'",
        "@",
        "-",
        "[EMAIL_1]",
    ),
]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_all_policies_together_pass_mixed_texts_alike(data: st.DataObject) -> None:
    """Texts made of every policy's cases and of awkward characters, cut anywhere, pass alike."""
    pieces = data.draw(st.lists(st.sampled_from(_FRAGMENTS) | st.text(max_size=6), max_size=6))
    text = "".join(pieces)
    context = Context(subject=Subject.RESPONSE, documents=("1 2 3",))
    enforced = [
        Enforced(
            policy=policy, subjects=policy.subjects, action=data.draw(st.sampled_from(actions))
        )
        for policy in map(_sample, _NAMES)
        if Subject.RESPONSE in policy.subjects
        for actions in ((*_actions(policy), Action.FLAG),)
        if data.draw(st.booleans())
    ]
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    cut = [text[a:b] for a, b in pairwise([0, *places, len(text)])]
    assert _streamed(cut, enforced, context) == _whole(text, enforced, context)
