"""What a policy is: parameters, and a scan that finds what is wrong in a text.

A policy looks at text through a `Window`, which may be the whole of it or, while a model still
speaks, what there is so far. It answers with its findings and with how far they are settled:

    text so far     Dear Ann, write to ann@examp
    settled                            ^ what is left of here cannot become a finding any more

Because everything left of `settled` is decided for good, a stream that is passed on up to there,
however it was cut, carries what the whole text would have carried.
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import msgspec

from lattice_lock.exceptions import InternalError
from lattice_lock.messages import ModelId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "LONGEST_RUN",
    "OWN_MACHINE",
    "UP_TO_BREAK",
    "Action",
    "Case",
    "Context",
    "Decision",
    "Finding",
    "Hold",
    "Outcome",
    "Policy",
    "Scan",
    "Severity",
    "Source",
    "Subject",
    "Window",
    "last_word",
]

LONGEST_RUN = 65_536
"""Characters of one word that a stream holds back; an answer with a longer one is refused."""

OWN_MACHINE = "own-machine"
"""The region of models that run on the user's own machine."""

UP_TO_BREAK = re.compile(r".*[\s\u2e80-\U0010ffff]", re.DOTALL)
"""A text up to its last character that ends words; see `last_word`."""
_NEAR = 64


class Subject(StrEnum):
    """What a policy looks at."""

    CODE = "code"
    PROMPT = "prompt"
    RESPONSE = "response"


class Source(StrEnum):
    """Whose words a text is."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"  # what a tool answered, or a document: nobody here vouches for it
    REASONING = "reasoning"
    TOOL_ARGUMENTS = "tool_arguments"


class Severity(StrEnum):
    """How much harm a finding may do, least first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Action(StrEnum):
    """What is done about a finding.

    `RETRY` and `ANOTHER_MODEL` refuse an answer as `DENY` does, after asking again: the same model
    with what was wrong, or the next candidate.
    """

    DENY = "deny"
    REDACT = "redact"
    FLAG = "flag"
    RETRY = "retry"
    ANOTHER_MODEL = "another-model"

    @property
    def refuses(self) -> bool:
        """Whether nothing from the finding on may pass."""
        return self not in {Action.REDACT, Action.FLAG}


class Hold(StrEnum):
    """What a policy needs to see of an answer before it lets the part before go."""

    NOTHING = "nothing"
    WORD = "the last word"
    PHRASE = "the last words, up to the longest phrase it looks for"
    BLOCK = "the code block that is open"
    ALL = "the whole answer"


class Outcome(StrEnum):
    """What a policy says of a text, mildest first."""

    ALLOW = "allow"
    FLAG = "flag"
    REDACT = "redact"
    DENY = "deny"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a text besides its characters.

    Attributes:
        path: file of code, relative to the project.
        source: whose words they are.
        model: the model that is asked, or has answered.
        regions: where the model's endpoint is, as far as that is known.
        max_cost_usd: the most that the call can cost; None is unknown.
        documents: what the answer has to rest on: the texts of the prompt and of tools' answers.
    """

    subject: Subject
    path: str | None = None
    source: Source | None = None
    model: ModelId | None = None
    regions: frozenset[str] = frozenset()
    max_cost_usd: Decimal | None = None
    documents: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing that a policy objects to; offsets are in characters of the text that was given.

    Attributes:
        start, end: the characters it concerns; equal where it is about the text as a whole.
        rule: the rule within the policy, such as `aws-access-key`.
        message: what is wrong, as a sentence that does not repeat what was found.
        label: what a placeholder calls it, such as `EMAIL`.
        fix: what to do about it, as a sentence.
    """

    start: int
    end: int
    rule: str
    message: str
    severity: Severity = Severity.HIGH
    label: str = "REDACTED"
    fix: str | None = None


class Window(NamedTuple):
    """A part of a text.

    Attributes:
        text: the part, from at least the policy's `look_behind` characters before `start` (or the
            beginning of the text) to the end of what there is so far.
        start: where to look from; what is before it is decided.
        position: characters of the whole text that come before `text`.
        final: whether the whole text ends where this part does.
    """

    text: str
    start: int = 0
    position: int = 0
    final: bool = True


class Scan(NamedTuple):
    """What a policy found in a window.

    Attributes:
        findings: those that begin at `start` or later and before `settled`; of a final window also
            those that stand at its end.
        settled: offset in the window's text from which on more text could add, change or lengthen
            a finding; the length of the text if nothing can.
    """

    findings: tuple[Finding, ...]
    settled: int


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A text whose outcome is known: an example in the documents, and a test at the same time.

    Attributes:
        rules: the rules that must object, in their order; none if the text is fine.
        subject: what the text is, by default an answer where the policy looks at answers, or else
            a prompt or code.
        model: written `provider/name`.
        documents, path, source, regions, max_cost_usd: as in `Context`.
    """

    text: str
    rules: tuple[str, ...] = ()
    subject: Subject | None = None
    source: Source | None = None
    documents: tuple[str, ...] = ()
    path: str | None = None
    model: str | None = None
    regions: tuple[str, ...] = ()
    max_cost_usd: str | None = None

    def context(self, policy: Policy) -> Context:
        """What is known of the text when `policy` looks at it."""
        order = (Subject.RESPONSE, Subject.PROMPT, Subject.CODE)
        return Context(
            subject=self.subject or next(one for one in order if one in policy.subjects),
            path=self.path,
            source=self.source,
            model=None if self.model is None else ModelId.parse(self.model),
            regions=frozenset(self.regions),
            max_cost_usd=None if self.max_cost_usd is None else Decimal(self.max_cost_usd),
            documents=self.documents,
        )


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy says of one text."""

    policy: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy with its parameters, which are the fields of the subclass.

    A subclass checks what its parameters say together in `__post_init__`, by `ValueError`. It keeps
    no state: one instance looks at many texts at once.

    Attributes:
        name: what the lattice calls it; also the name of its file, with `-` for `_`.
        subjects: where it can look, in the order of the documents.
        defaults: where it looks if the declaration does not say.
        default_action: what is done if the declaration does not say.
        redacts: whether its findings are places that can be replaced by a placeholder.
        everywhere: whether it also looks at what no person reads: a model's reasoning, arguments
            of tool calls, data of a provider.
        needs_documents: whether it compares answers with the texts of the prompt.
        reads_text: whether it looks at the text at all, or only at what is known of the call.
        look_behind: characters before a window's start that its scan may look at.
        holds: what a stream holds back for it.
        rules: every rule with what it objects to, as a phrase.
        limits: what it is known to miss or to object to wrongly, as sentences.
        cases: texts with their outcome under the parameters that `sample` gives.
    """

    name: ClassVar[str]
    subjects: ClassVar[tuple[Subject, ...]] = (Subject.CODE, Subject.PROMPT, Subject.RESPONSE)
    defaults: ClassVar[tuple[Subject, ...]] = subjects
    default_action: ClassVar[Action] = Action.DENY
    redacts: ClassVar[bool] = True
    everywhere: ClassVar[bool] = False
    needs_documents: ClassVar[bool] = False
    reads_text: ClassVar[bool] = True
    look_behind: ClassVar[int] = 0
    holds: ClassVar[Hold] = Hold.WORD
    rules: ClassVar[dict[str, str]]
    limits: ClassVar[tuple[str, ...]] = ()
    sample: ClassVar[dict[str, object]] = {}
    cases: ClassVar[tuple[Case, ...]]

    def scan(self, window: Window, context: Context) -> Scan:
        """What is wrong in `window`, and how far that is settled.

        For every way of cutting a text into windows the findings are those of the whole text.
        """
        del window, context
        raise InternalError(f"the policy `{type(self).__name__}` has no `scan`.")

    def evaluate(self, subject: str, context: Context, *, action: Action | None = None) -> Decision:
        """The decision on a whole text; what is done about findings is `action`, or the default."""
        findings = self.scan(Window(subject), context).findings
        if not findings:
            return Decision(policy=self.name, outcome=Outcome.ALLOW)
        action = action or self.default_action
        outcome = Outcome.DENY if action.refuses else Outcome(action.value)
        return Decision(policy=self.name, outcome=outcome, findings=findings)

    def contradictions(self, others: Iterable[Policy]) -> Iterator[str]:  # noqa: ARG002
        """What cannot hold together with `others`, declared before for the same subjects."""
        yield from ()


def last_word(window: Window) -> int:
    """Where the word that may go on begins: the end of the text if that is a break or final.

    White space breaks words, and so does every character from U+2E80 on: ideographs stand without
    spaces, and a stream of them could not move otherwise.
    """
    text = window.text
    end = len(text)
    if window.final:
        return end
    near = text[max(window.start, end - _NEAR) :]
    if near.isascii():
        words = near.rsplit(None, 1)
        if len(words) > 1:
            return end - (0 if near[-1].isspace() else len(words[1]))
    size = _NEAR
    while True:
        begin = max(window.start, end - size)
        found = UP_TO_BREAK.match(text, begin)
        if found is not None:
            return found.end()
        if begin == window.start:
            return begin
        size *= 8
