"""Policies of lattices and of policy files: what loads, and why the rest does not."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import load_lattice, parse_lattice
from lattice_lock.core.policies import load_lattice_policies, load_policy_file
from lattice_lock.exceptions import InvalidPolicyError, LatticeError, ProjectNotFoundError
from lattice_lock.policies.base import Action, Context, Outcome, Subject
from lattice_lock.policies.placeholders import Placeholders
from lattice_lock.policies.stream import judge

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "version: v1.0\ngenerated_module: types_v1\npolicies:\n"
TODO = (
    "  - {use: expression, name: no-todo, refuses: \"'TODO' in text\", message: it has a TODO.,\n"
    "     passes: [done], violates: ['TODO: more'], on: [response]}\n"
)
ACME = '''
from typing import ClassVar

from lattice_lock.policies.base import Case, Context, Finding, Policy, Scan, Window


class NoAcme(Policy, frozen=True, kw_only=True):
    """Refuses the name of a competitor."""

    name: ClassVar[str] = "no-acme"
    rules: ClassVar[dict[str, str]] = {"acme": "the name"}
    cases: ClassVar[tuple[Case, ...]] = (
        Case(text="we"),
        Case(text="Acme", rules=("acme",)),
    )

    word: str = "Acme"

    def scan(self, window: Window, context: Context) -> Scan:
        at = window.text.find(self.word, window.start)
        settled = len(window.text) if window.final else max(window.start, len(window.text) - 8)
        if at < 0 or at >= settled:
            return Scan((), settled)
        found = Finding(start=at, end=at + 4, rule="acme", message="it names Acme.")
        return Scan((found,), settled)
'''


def outcome(path: Path, text: str, subject: Subject = Subject.RESPONSE) -> Outcome:
    """What the policies of a lattice say of a text."""
    policies = load_lattice_policies(path)
    return judge(text, policies.on(subject), Context(subject=subject), Placeholders()).outcome


def test_what_a_declaration_leaves_out_is_the_policys_own(tmp_path: Path) -> None:
    """Places and action come from the policy where the lattice says nothing."""
    path = tmp_path / "policies.yaml"
    path.write_text(
        "policies:\n  - {use: schema, schema: {type: object}}\n"
        "  - {use: banned-terms, terms: [x y], on: [prompt], action: redact, restore: true}\n"
    )
    first, second = load_policy_file(path).enforced
    assert (first.subjects, first.action, first.restore) == (
        (Subject.RESPONSE,),
        Action.RETRY,
        False,
    )
    assert (second.subjects, second.action, second.restore) == (
        (Subject.PROMPT,),
        Action.REDACT,
        True,
    )


@pytest.mark.parametrize(
    ("declarations", "place", "words"),
    [
        ("  - {use: no-secrts}\n", "4:6", "there is no policy `no-secrts`. Did you mean"),
        ("  - {use: max-length}\n", "4:5", "missing required field `characters`"),
        ("  - {use: max-length, characters: many}\n", "4:23", "expected `int`, got `str`"),
        ("  - {use: max-length, characters: 0}\n", "4:5", "must be at least 1"),
        ("  - {use: max-length, characters: 9, chars: 1}\n", "4:38", "unknown field `chars`"),
        (
            "  - {use: max-length, characters: 9, on: [prompt], action: redact}\n",
            "4:52",
            "finds nothing that could be replaced",
        ),
        ("  - {use: model-allow, on: [response]}\n", "4:24", "cannot look at response"),
        (
            "  - {use: banned-terms, terms: [a], on: [code], action: redact}\n",
            "4:49",
            "code is refused or flagged",
        ),
        (
            "  - {use: banned-terms, terms: [a], action: retry}\n",
            "4:37",
            "`retry` is about answers only",
        ),
        (
            "  - {use: banned-terms, terms: [a], on: [response], action: redact, restore: true}\n",
            "4:69",
            "only what is taken out of prompts",
        ),
        (
            "  - {use: max-length, characters: 9}\n  - {use: max-length, characters: 9}\n",
            "5:5",
            "would never be reached",
        ),
        (
            (
                "  - {use: banned-terms, terms: [a], on: [prompt]}\n"
                "  - {use: banned-terms, terms: [a], on: [prompt], action: flag}\n"
            ),
            "5:5",
            "is to `deny` and to `flag` the same things",
        ),
        (
            (
                "  - {use: model-allow, providers: [xai]}\n"
                "  - {use: model-allow, providers: [local]}\n"
            ),
            "5:5",
            "no provider is allowed by both",
        ),
        ("  - {use: model-allow, models: [a/b], deny: [a/b]}\n", "4:5", "both allowed and denied"),
        ("  - {use: language, allow: [xx]}\n", "4:5", "`xx` is no language that can be told"),
        ("  - {use: topic, deny: [law], hits: 99}\n", "4:5", "never reached"),
        ("  - {use: schema, schema: {type: 7}}\n", "4:5", "is no JSON Schema"),
        (
            "  - {use: schema, schema: {$ref: 'http://x.example/s'}}\n",
            "4:5",
            "refers to `http://x.example/s`",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_place(
    declarations: str, place: str, words: str
) -> None:
    """Unknown names, wrong parameters, contradictions and unreachable rules never compile."""
    lattice = parse_lattice(HEAD + declarations, file="lattice.yaml")
    with pytest.raises(InvalidPolicyError) as caught:
        compile_lattice(lattice)
    (problem,) = caught.value.problems
    assert str(problem.location) == f"lattice.yaml:{place}"
    assert words in f"{problem.message} {problem.hint}"


def test_every_wrong_declaration_is_named_at_once() -> None:
    """Three wrong policies are three problems."""
    text = HEAD + "  - {use: a}\n  - {use: max-length}\n  - {use: b}\n"
    with pytest.raises(InvalidPolicyError) as caught:
        compile_lattice(parse_lattice(text, file="lattice.yaml"))
    assert [one.location.line for one in caught.value.problems] == [4, 5, 6]


def test_an_expression_makes_a_policy(tmp_path: Path) -> None:
    """It refuses what its condition says, and nothing else."""
    path = tmp_path / "lattice.yaml"
    path.write_text(HEAD + TODO)
    assert outcome(path, "All is done.") is Outcome.ALLOW
    assert outcome(path, "TODO") is Outcome.DENY


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("passes: [done]", "passes: []", "brings no text that passes"),
        ("violates: ['TODO: more']", "violates: []", "brings no text that it refuses"),
        ("passes: [done]", "passes: [TODO]", "should answer nothing to 'TODO'"),
        ("violates: ['TODO: more']", "violates: [done]", "should answer `no-todo` to 'done'"),
        ("'TODO' in text", "'TODO' in txt", "`refuses` of `no-todo`"),
        ("'TODO' in text", "__import__('os')", "`refuses` of `no-todo`"),
        ("name: no-todo", "name: No Todo", "cannot name a policy"),
        ("message: it has a TODO.,", "", "missing required field `message`"),
    ],
)
def test_an_expression_that_does_not_show_what_it_does_never_loads(
    old: str, new: str, words: str
) -> None:
    """Passing and violating texts are needed, and each has to behave so."""
    text = HEAD + TODO.replace(old, new)
    with pytest.raises(InvalidPolicyError, match=r"lattice\.yaml:4:") as caught:
        compile_lattice(parse_lattice(text, file="lattice.yaml"))
    assert words in str(caught.value)


def test_a_python_file_makes_a_policy(tmp_path: Path) -> None:
    """A file of the project defines a policy, which takes parameters as the built-in ones do."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "no_acme.py").write_text(ACME)
    path = tmp_path / "lattice.yaml"
    path.write_text(HEAD + "  - {use: policies/no_acme.py, word: Apex}\n")
    assert outcome(path, "Acme") is Outcome.ALLOW
    assert outcome(path, "It is Apex.") is Outcome.DENY
    lattice = load_lattice(path)
    assert compile_lattice(lattice).policies.enforced[0].policy.name == "no-acme"
    assert pickle.loads(pickle.dumps(lattice)) == lattice  # noqa: S301  # our own bytes


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("class NoAcme", "1 / 0\nclass NoAcme", "running it failed at line 7 with ZeroDivision"),
        ("class NoAcme", "class (", "SyntaxError"),
        ('Case(text="we"),', "", "brings no text that passes"),
        ('Case(text="we")', 'Case(text="Acme")', "should answer nothing to 'Acme'"),
        ("(Policy, frozen", "(object, frozen", "TypeError"),
        ('    name: ClassVar[str] = "no-acme"\n', "", "has no `name`"),
    ],
)
def test_a_python_file_that_is_no_sound_policy_never_loads(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    """Whatever is wrong with the file is said at its declaration."""
    (tmp_path / "no_acme.py").write_text(ACME.replace(old, new))
    path = tmp_path / "lattice.yaml"
    path.write_text(HEAD + "  - {use: no_acme.py}\n")
    with pytest.raises(InvalidPolicyError, match=r"lattice\.yaml:4:") as caught:
        load_lattice_policies(path)
    assert words in str(caught.value)


def test_a_python_file_outside_of_the_project_is_not_run(tmp_path: Path) -> None:
    """Neither a path that leads out, nor a link, nor a missing file loads."""
    project = tmp_path / "project"
    project.mkdir()
    outside = tmp_path / "outside.py"
    outside.write_text("raise SystemExit('it ran')")
    (project / "link.py").symlink_to(outside)
    for name, words in {
        "link.py": "has to lie in the project",
        "none.py": "there is no file",
    }.items():
        path = project / "lattice.yaml"
        path.write_text(HEAD + f"  - {{use: {name}}}\n")
        with pytest.raises(InvalidPolicyError, match=words):
            load_lattice_policies(path)
    path.write_text(HEAD + "  - {use: ../outside.py}\n")
    with pytest.raises(LatticeError, match="cannot name a policy"):
        load_lattice_policies(path)


def test_a_policy_file_has_policies_and_nothing_else(tmp_path: Path) -> None:
    """A slip in the only key is an error, and so is a file that is not there."""
    path = tmp_path / "policies.yaml"
    path.write_text("policy: []\n")
    with pytest.raises(LatticeError, match="has no key `policy`"):
        load_policy_file(path)
    with pytest.raises(ProjectNotFoundError):
        load_policy_file(tmp_path / "none.yaml")
