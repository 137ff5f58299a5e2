"""`lattice-lock policies`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.policies.discovery import policy_class, policy_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_process import Outcome

TERMS = """\
policies:
  - {use: banned-terms, action: redact, on: [prompt, response], terms: [nightingale]}
  - {use: banned-terms, on: [code], terms: [nightingale]}
"""
STRICT = "policies:\n  - {use: banned-terms, on: [prompt, response], terms: [nightingale]}\n"
PARAMETERS = '''
from typing import ClassVar

from lattice_lock.policies.base import Case, Context, Finding, Policy, Scan, Window


class Short(Policy, frozen=True, kw_only=True):
    """Refuses long texts."""

    name: ClassVar[str] = "short"
    rules: ClassVar[dict[str, str]] = {"long": "a long text"}
    sample: ClassVar[dict[str, object]] = {"most": 3}
    cases: ClassVar[tuple[Case, ...]] = (Case(text="abc"), Case(text="abcd", rules=("long",)))

    most: int

    def scan(self, window: Window, context: Context) -> Scan:
        end = len(window.text)
        if end <= self.most:
            return Scan((), end)
        return Scan((Finding(start=0, end=end, rule="long", message="it is long."),), end)
'''


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a policy file and no lattice, which is where commands run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LATTICE_LOCK_POLICIES_FILE", raising=False)
    (tmp_path / "terms.yaml").write_text(TERMS)
    (tmp_path / "strict.yaml").write_text(STRICT)
    return tmp_path


def log(folder: Path, *records: object) -> str:
    """A file of recorded traffic, and its name."""
    (folder / "log.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return "log.jsonl"


def test_every_policy_is_listed(lattice_lock: Callable[..., Outcome]) -> None:
    """Text and JSON name each policy once, in alphabetical order."""
    lines = lattice_lock("policies", "list").out.splitlines()
    assert tuple(line.split()[0] for line in lines[2:]) == policy_names()
    listed = lattice_lock("policies", "list", "--format", "json").json["policies"]
    assert tuple(one["name"] for one in listed) == policy_names()


@pytest.mark.parametrize("name", policy_names())
def test_every_policy_is_explained(lattice_lock: Callable[..., Outcome], name: str) -> None:
    """What it objects to, its parameters and its limits are told, and cases are shown in part."""
    kind = policy_class(name)
    assert kind is not None
    outcome = lattice_lock("policies", "explain", name)
    assert outcome.code == 0
    for part in (*kind.rules, *kind.rules.values(), *kind.limits, *kind.__struct_fields__):
        assert part in outcome.out
    described = lattice_lock("policies", "explain", name, "--format", "json").json
    assert described["rules"] == kind.rules
    assert described["parameters"] == list(kind.__struct_fields__)


def test_a_policy_that_is_not_there_is_not_explained(lattice_lock: Callable[..., Outcome]) -> None:
    """The error names those that there are."""
    outcome = lattice_lock("policies", "explain", "no-such")
    assert outcome.code == 2
    assert "There is no policy `no-such`." in outcome.err
    assert "`max-length`" in outcome.err


def test_cases_are_run(lattice_lock: Callable[..., Outcome], project: Path) -> None:
    """All built-in policies hold on theirs, and one of the project with its cases' parameters."""
    outcome = lattice_lock("policies", "test")
    assert outcome.code == 0
    assert outcome.out.startswith(f"{len(policy_names())} policies, ")
    assert outcome.out.endswith(" 0 failed.\n")
    (project / "short.py").write_text(PARAMETERS)
    (project / "own.yaml").write_text("policies:\n  - {use: short.py, most: 100}\n")
    tested = lattice_lock("policies", "test", "--policies", "own.yaml", "--format", "json")
    assert tested.code == 0
    assert tested.json["policies"][-1] == {"policy": "short", "cases": 2, "failed": []}


def test_a_case_that_fails_is_shown(
    lattice_lock: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A built-in policy that answers otherwise is named with the text and both answers."""
    kind = policy_class("max-length")
    assert kind is not None
    monkeypatch.setattr(kind, "sample", {"characters": 13})
    outcome = lattice_lock("policies", "test")
    assert outcome.code == 1
    assert (
        "max-length: 'thirteen char' should answer `too-long`, and answers nothing." in outcome.out
    )


def test_a_policy_that_breaks_on_its_own_cases_does_not_load(
    lattice_lock: Callable[..., Outcome], project: Path
) -> None:
    """Whatever it raises, the answer is an error in the policy, and no defect of the program."""
    (project / "short.py").write_text(PARAMETERS.replace("window.text)\n", "window.nothing)\n", 1))
    (project / "own.yaml").write_text("policies:\n  - {use: short.py, most: 100}\n")
    outcome = lattice_lock("policies", "test", "--policies", "own.yaml")
    assert outcome.code == 2
    assert "own.yaml:2:6: `short.py`: `short` should answer nothing to 'abc'" in outcome.err
    assert "policy-error" in outcome.err


def test_one_policy_declared_twice_over_is_one_policy(
    lattice_lock: Callable[..., Outcome], project: Path
) -> None:
    """The same file or expression with two actions contradicts itself, as a built-in one would."""
    (project / "short.py").write_text(PARAMETERS)
    todo = (
        "{use: expression, name: no-todo, refuses: \"'TODO' in text\", message: m., passes: [a], "
    )
    for one in ("{use: short.py, most: 100, ", f"{todo} violates: [TODO], "):
        (project / "own.yaml").write_text(
            f"policies:\n  - {one}action: deny}}\n  - {one}action: flag}}\n"
        )
        outcome = lattice_lock("policies", "test", "--policies", "own.yaml")
        assert outcome.code == 2
        assert "own.yaml:3:5" in outcome.err
        assert "is to `deny` and to `flag` the same things" in outcome.err


def test_findings_are_shown_with_their_places(
    lattice_lock: Callable[..., Outcome], project: Path
) -> None:
    """Lines and columns count characters from 1; only line feeds end a line."""
    (project / "answer.md").write_bytes("é\x0c\u2028\r\n  Nightingale 中 nightingale\n".encode())
    outcome = lattice_lock("policies", "run", "answer.md", "--policies", "terms.yaml")
    assert outcome.code == 1
    first, second, summary = outcome.out.splitlines()
    assert first.startswith("answer.md:2:3: redact [banned-terms/term] ")
    assert second.startswith("answer.md:2:17: redact [banned-terms/term] ")
    assert summary == "1 texts: 1 redacted."
    assert "nightingale" not in outcome.out.lower()


def test_findings_come_as_json(lattice_lock: Callable[..., Outcome], project: Path) -> None:
    """Programs get the place, the rule, the action and what may pass."""
    (project / "answer.md").write_text("a\nthe nightingale")
    outcome = lattice_lock(
        "policies", "run", "answer.md", "--policies", "terms.yaml", "--format", "json"
    )
    (file,) = outcome.json["files"]
    (finding,) = file["findings"]
    assert {key: file[key] for key in ("file", "subject", "outcome", "text")} == {
        "file": "answer.md",
        "subject": "response",
        "outcome": "redact",
        "text": "a\nthe [TERM_1]",
    }
    assert (finding["line"], finding["column"]) == (2, 5)
    assert (finding["start"], finding["end"]) == (6, 17)
    assert (finding["policy"], finding["rule"]) == ("banned-terms", "term")
    assert finding["action"] == "redact"


def test_what_may_pass_is_printed(lattice_lock: Callable[..., Outcome], project: Path) -> None:
    """`--redacted` prints each text in turn: with placeholders, or up to what is refused."""
    (project / "one.txt").write_text("to nightingale\n")
    (project / "two.txt").write_text("fine\n")
    files = ("one.txt", "two.txt", "--redacted")
    outcome = lattice_lock("policies", "run", *files, "--policies", "terms.yaml")
    assert (outcome.code, outcome.out) == (1, "to [TERM_1]\nfine\n")
    outcome = lattice_lock("policies", "run", *files, "--policies", "strict.yaml")
    assert (outcome.code, outcome.out) == (1, "to fine\n")
    outcome = lattice_lock("policies", "run", *files, "--policies", "strict.yaml", "--on", "code")
    assert (outcome.code, outcome.out) == (0, "to nightingale\nfine\n")


def test_code_is_told_by_its_name(lattice_lock: Callable[..., Outcome], project: Path) -> None:
    """A `.py` file is code unless `--on` says otherwise."""
    (project / "a.py").write_text("nightingale = 1\n")
    outcome = lattice_lock("policies", "run", "a.py", "--policies", "terms.yaml")
    assert "a.py:1:1: deny [banned-terms/term]" in outcome.out
    outcome = lattice_lock(
        "policies", "run", "a.py", "--policies", "terms.yaml", "--on", "response"
    )
    assert "a.py:1:1: redact [banned-terms/term]" in outcome.out


def test_patterns_of_files_count_from_the_folder(
    lattice_lock: Callable[..., Outcome], project: Path
) -> None:
    """A path is compared as the lattice would write it, however it was given."""
    (project / "src").mkdir()
    (project / "src/a.py").write_text("import sqlite3\n")
    (project / "db.yaml").write_text(
        "policies:\n  - {use: no-direct-db-access, allow_in: [src/a.py]}\n"
    )
    for path in ("src/a.py", "./src/a.py", str(project / "src/a.py")):
        outcome = lattice_lock("policies", "run", path, "--policies", "db.yaml")
        assert (outcome.code, outcome.out) == (0, "1 texts: 1 allowed.\n")
    (project / "src/b.py").write_text("import sqlite3\n")
    assert lattice_lock("policies", "run", "src/b.py", "--policies", "db.yaml").code == 1


def test_standard_input_is_read(project: Path) -> None:
    """`-` is what is piped in, which need not be UTF-8."""
    done = subprocess.run(
        [*(sys.executable, "-m", "lattice_lock", "policies", "run", "-"), "--policies=strict.yaml"],
        cwd=project,
        env=os.environ,
        input=b"\xff\xfe\x00 nightingale",
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stdout.startswith(b"-:1:5: deny [banned-terms/term]")


def test_one_policy_can_be_tried(lattice_lock: Callable[..., Outcome], project: Path) -> None:
    """`--policy` takes the project's declaration, or the defaults where there is none."""
    (project / "a.txt").write_text("nightingale " * 2)
    (project / "lattice.yaml").write_text(
        "version: v1.0\ngenerated_module: t\n" + STRICT + "  - {use: max-length, characters: 3}\n"
    )
    both = lattice_lock("policies", "run", "a.txt")
    assert "[banned-terms/term]" in both.out
    outcome = lattice_lock("policies", "run", "a.txt", "--policy", "max-length")
    assert outcome.out.startswith("a.txt:1:4: deny [max-length/too-long]")
    assert lattice_lock("policies", "run", "a.txt", "--policy", "grounded").code == 0
    outcome = lattice_lock("policies", "run", "a.txt", "--policy", "schema")
    assert outcome.code == 2
    assert "`schema` needs parameters." in outcome.err
    outcome = lattice_lock("policies", "run", "a.txt", "--policy", "no-such")
    assert outcome.code == 2
    assert "There is no policy `no-such`." in outcome.err


def test_a_policy_looks_where_it_is_tried(
    lattice_lock: Callable[..., Outcome], project: Path
) -> None:
    """One that is named but not declared looks at answers too, where it can."""
    (project / "a.md").write_text("```python\neval(x)\n```\n")
    assert lattice_lock("policies", "run", "a.md").code == 0
    outcome = lattice_lock("policies", "run", "a.md", "--policy", "no-dangerous-calls")
    assert (outcome.code, outcome.out[:37]) == (1, "a.md:1:1: deny [no-dangerous-calls/ev")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt"], "`missing.txt` cannot be read: No such file or directory."),
        (["."], "`.` cannot be read: Is a directory."),
        (["huge.txt"], "`huge.txt` is longer than 64 MiB."),
        (["terms.yaml", "--policies", "missing.yaml"], "missing.yaml"),
        (["terms.yaml", "--policies", "wrong.yaml"], "wrong.yaml:2:6: there is no policy"),
    ],
)
def test_what_cannot_be_judged_is_an_error(
    lattice_lock: Callable[..., Outcome], project: Path, arguments: list[str], message: str
) -> None:
    """A file that cannot be read, is too large, or is no policy file exits with 2."""
    with (project / "huge.txt").open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    (project / "wrong.yaml").write_text("policies:\n  - {use: no-such}\n")
    outcome = lattice_lock("policies", "run", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert message in outcome.err


@pytest.mark.parametrize(
    ("record", "texts"),
    [
        ({"subject": "response", "text": "a nightingale"}, 1),
        ({"subject": "prompt", "source": "tool", "text": "a nightingale"}, 1),
        ({"messages": [{"role": "user", "content": "a nightingale"}]}, 1),
        (
            {
                "messages": [
                    {"role": "developer", "content": "brief"},
                    {"role": "user", "content": [{"type": "text", "text": "a nightingale"}]},
                    {"role": "assistant", "content": None},
                    {"role": "tool", "content": [{"content": [{"text": "found"}]}]},
                ]
            },
            3,
        ),
        ({"messages": [], "response": "a nightingale"}, 1),
        ({"response": {"content": [{"type": "text", "text": "a nightingale"}]}}, 1),
        ({"response": {"choices": [{"message": {"content": "a nightingale"}}]}}, 1),
    ],
)
def test_traffic_is_replayed_in_every_form(
    lattice_lock: Callable[..., Outcome], project: Path, record: dict[str, Any], texts: int
) -> None:
    """Texts, requests and answers of chat protocols are found, and judged as what they are."""
    outcome = lattice_lock(
        "policies", "replay", log(project, record), "--policies", "strict.yaml", "--format", "json"
    )
    replayed = outcome.json
    assert outcome.code == 1
    assert replayed["texts"] == texts
    (change,) = replayed["changes"]
    assert change["after"] == "deny"
    assert change["rules"] == ["banned-terms/term"]
    assert change["subject"] == ("response" if "response" in str(record) else "prompt")


def test_a_replay_counts_what_changes(lattice_lock: Callable[..., Outcome], project: Path) -> None:
    """Recorded outcomes are compared with new ones; the project's policies stand for missing."""
    (project / "lattice.yaml").write_text("version: v1.0\ngenerated_module: t\n" + TERMS)
    recorded = log(
        project,
        {"subject": "prompt", "text": "nightingale", "outcome": "deny"},
        {"subject": "prompt", "text": "nightingale", "outcome": "allow"},
        {"subject": "prompt", "text": "nightingale", "outcome": None},
        {"subject": "prompt", "text": "fine"},
    )
    arguments = ("policies", "replay", recorded, "--policies", "strict.yaml")
    outcome = lattice_lock(*arguments, "--format", "json")
    assert outcome.code == 1
    assert outcome.json["outcomes"] == {
        "allow -> allow": 1,
        "allow -> deny": 1,
        "deny -> deny": 1,
        "redact -> deny": 1,
    }
    assert [one["line"] for one in outcome.json["changes"]] == [2, 3]
    text = lattice_lock(*arguments).out
    assert text.splitlines()[2].split() == ["2", "prompt", "allow", "deny", "banned-terms/term"]
    assert text.endswith("\n4 texts, 2 would change.\n")
    same = log(project, {"subject": "prompt", "text": "nightingale", "outcome": "deny"})
    outcome = lattice_lock("policies", "replay", same, "--policies", "strict.yaml")
    assert (outcome.code, outcome.out) == (0, "1 texts, 0 would change.\n")


def test_a_recorded_answer_rests_on_its_prompt(
    lattice_lock: Callable[..., Outcome], project: Path
) -> None:
    """A policy that compares answers with what was given sees the messages of the same line."""
    (project / "own.yaml").write_text("policies:\n  - {use: grounded, action: deny}\n")
    prompt = [{"role": "user", "content": "It has 1,250 units."}]
    recorded = log(
        project,
        {"messages": prompt, "response": "1250 units."},
        {"messages": prompt, "response": "1251 units."},
    )
    outcome = lattice_lock(
        "policies", "replay", recorded, "--policies", "own.yaml", "--format", "json"
    )
    assert [one["line"] for one in outcome.json["changes"]] == [2]


def test_reasoning_is_replayed_as_it_was_judged(
    lattice_lock: Callable[..., Outcome], project: Path
) -> None:
    """Of an answer's reasoning only the policies that look everywhere say anything."""
    (project / "own.yaml").write_text("policies:\n  - {use: max-length, characters: 3}\n")
    reasoning = {"subject": "response", "source": "reasoning", "text": "long enough"}
    outcome = lattice_lock("policies", "replay", log(project, reasoning), "--policies", "own.yaml")
    assert outcome.out == "1 texts, 0 would change.\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "log.jsonl:2: this is no JSON: "),
        ("[" * 100_000, "log.jsonl:2: this is no JSON: "),
        ("[]", "log.jsonl:2: each line has to be a JSON object."),
        ('{"text": "a"}', "log.jsonl:2: KeyError: 'subject'."),
        ('{"text": 1, "subject": "code"}', "log.jsonl:2: TypeError: `text` is no text."),
        ('{"text": "a", "subject": "music"}', "'music' is not a valid Subject."),
        ('{"text": "a", "subject": "code", "outcome": "maybe"}', "not a valid Outcome."),
        ('{"messages": ["a"]}', "log.jsonl:2: TypeError: "),
        ('{"messages": [{"role": "bard"}]}', "'bard' is not a valid Source."),
    ],
)
def test_a_line_that_is_no_record_is_named(
    lattice_lock: Callable[..., Outcome], project: Path, line: str, message: str
) -> None:
    """The error has the file and the line, and nothing is printed as if it were a result."""
    (project / "log.jsonl").write_text(f'{{"text": "a", "subject": "code"}}\n{line}\n')
    outcome = lattice_lock("policies", "replay", "log.jsonl", "--policies", "strict.yaml")
    assert outcome.code == 2
    assert outcome.out == ""
    assert message in outcome.err


def test_only_line_feeds_end_a_record(lattice_lock: Callable[..., Outcome], project: Path) -> None:
    """Other separators may stand within JSON texts; blank lines and returns do not count."""
    (project / "log.jsonl").write_bytes(
        '\r\n{"subject": "prompt", "text": "a\u2028\x85nightingale"}\r\n\n{"id": 7}\n'.encode()
    )
    outcome = lattice_lock(
        "policies", "replay", "log.jsonl", "--policies", "strict.yaml", "--format", "json"
    )
    assert outcome.json["changes"][0]["line"] == 2
    assert "log.jsonl:4: no text in this line." in outcome.err


def test_every_finding_is_listed_behind_one_that_refuses(
    lattice_lock: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text is searched to its end, though nothing of it passes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies.yaml").write_text(
        "policies:\n  - {use: banned-terms, terms: [lark], on: [response]}\n"
    )
    (tmp_path / "a.txt").write_text("a lark\nand 1984 larks and a lark")
    done = lattice_lock(
        "policies", "run", "a.txt", "--policies", "policies.yaml", "--format", "json"
    )
    assert done.code == 1
    (file,) = json.loads(done.out)["files"]
    assert [(one["line"], one["column"]) for one in file["findings"]] == [(1, 3), (2, 22)]
    assert file["outcome"] == "deny"
    assert lattice_lock("policies", "run", "a.txt").code == 0
