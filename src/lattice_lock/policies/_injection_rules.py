"""What attempts to take a model over look like, as rows of anchors and of what follows them.

The rows stand in `_injection_rows.txt`, each as three lines: rule, weight and conditions; anchors;
and the pattern. In patterns `<name>` stands for a part that is defined at the top, and `~3` for up
to three words between.

A row applies where one of its anchors begins a word: its pattern has to match what comes next.
Weights say how telling that is: 6 is enough by itself, 4 is enough unless it is only mentioned, and
less than that counts together with other rows nearby. Everything is compared in folded form.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import NamedTuple

from lattice_lock.policies._injection_reading import LETTERS

__all__ = ["DISGUISED", "MENTION", "NOT_TOLD", "ROWS", "SPACED_STEMS", "Row", "plain_source"]


class Row(NamedTuple):
    """One way to say it.

    Attributes:
        imperative: whether it counts only where it tells somebody to do it.
        documents: whether it counts only in what a tool answered.
    """

    rule: str
    weight: int
    anchors: tuple[str, ...]
    then: re.Pattern[str]
    imperative: bool = False
    documents: bool = False


def plain_source(source: str) -> str:
    """A pattern or word for folded texts; what stands for character classes is left alone."""
    return re.sub(
        r"[^\x00-\x7f]+", lambda found: "".join(map(LETTERS.__getitem__, found[0])), source
    )


_S = r"[^\w.!?]{1,4}"


def _gap(words: int) -> str:
    return rf"(?:{_S}[\w'\u2019]{{1,24}}){{0,{words}}}?{_S}"


def _read(data: str) -> tuple[Row, ...]:
    parts: dict[str, str] = {}
    anchors: dict[str, str] = {}
    rows: list[Row] = []
    for block in data.split("\n\n"):
        lines = block.rstrip("\n").split("\n")
        if lines[0].startswith(("<", "@")):
            for line in lines:
                name, _, value = line.partition(" = ")
                (parts if name[0] == "<" else anchors)[name] = value
        elif not lines[0].startswith("#"):
            rows.append(_row(lines, parts, anchors))
    return tuple(rows)


def _row(lines: list[str], parts: dict[str, str], anchors: dict[str, str]) -> Row:
    rule, weight, *conditions = lines[0].split(" ")
    words = anchors.get(lines[1].strip(), lines[1][2:])
    then = lines[2][2:]
    for name, value in parts.items():
        then = then.replace(name, value)
    then = re.sub(r"~(\d)", lambda found: _gap(int(found[1])), then)
    return Row(
        rule,
        int(weight),
        tuple(plain_source(one.replace("\\n", "\n")) for one in words.split(" ¦ ")),
        re.compile(plain_source(then)),
        "imperative" in conditions,
        "documents" in conditions,
    )


ROWS = _read(Path(__file__).with_name("_injection_rows.txt").read_text(encoding="utf-8"))

SPACED_STEMS = (
    "ignore", "disregard", "forget", "instruction", "prompt", "previous", "system", "jailbreak",
    "password", "reveal", "bypass",
)  # fmt: skip

_ROT13 = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")
_LEET = {"i": "i1!", "o": "o0", "e": "e3", "a": "a4@", "s": "s5$", "t": "t7"}


def _leet(word: str) -> set[str]:
    forms = {"".join(one) for one in product(*(_LEET.get(letter, letter) for letter in word))}
    return {one for one in forms if one != word and any(letter.isalpha() for letter in one)}


_SIGNS = (" ", ".", "-", "_", "*", "|", "/", ", ")
_TELLING = ("ignore", "disregard", "instruction", "system prompt", "previous")
_IN_DIGITS = ("ignore", "disregard", "previous", "prompt", "system", "forget", "reveal", "rules")

DISGUISED: dict[str, str] = {
    **{one.translate(_ROT13): "rot13" for one in (*_TELLING, "forget", "reveal")},
    **{one[::-1]: "reversed" for one in (*_TELLING, " forget", " reveal")},
    **{form: "leet" for one in _IN_DIGITS for form in sorted(_leet(one))},
    **{sign.join(one): "spaced" for one in SPACED_STEMS for sign in _SIGNS},
}
"""How a word begins a disguised text, and by what it is undone."""

NOT_TOLD = re.compile(
    r"(?:(?:n['\u2019]t|\b(?:(?:was|were|been|is|are|am|got) (?:told|asked|instructed|advised"
    r"|ordered) to|may|might|not|never|dont|they|we|who|people|users|students|players|drivers"
    r"|he|she|it|i|often|"
    r"sometimes|cannot|can't|why|would|did|does|do|will they|models?|llms?|attackers?|employees|"
    r"should i|can i|could i|may i|lets? (?:me|us|them|users)|makes? (?:me|it|them)|which|that|"
    r"you can|you may|you could|if you|when you|i'll|i will|we will|and never|nor|or not|"
    r"(?:how|tends?|tried|tries|likely|easy|easier|trying|used|choose|chose|decided?|decides"
    r"|safe|ok|"
    r"okay|possible|allowed|able|options?|flag|ways?|want|wants|wanted|going|where|when|wrong|bad|"
    r"dangerous|tempting|temptation|attempts?|refused?|used|supposed|freedom|reason) to(?: just)?))"
    r"\W{1,3}(?:just |simply |completely |safely |ever )?)\Z"
)
"""What stands before a verb that nobody is told to follow."""

MENTION = re.compile(
    r"prompt[- ]injection|injection attack|jailbreak(?:ing)? (?:attack|attempt|prompt"
    r"|research|techni)|\battack(?:er)?s?\b"
    r"|such as|for (?:example|instance)|\be\.g\.|\bphrases?\b|the (?:words|sentence|string)\b|"
    r"(?:explain|describe|discuss|understand|know|tell me|wonder) (?:why|what|how|the (?:term"
    r"|concept|risk|danger|meaning))"
    r"|what does|mean(?:s|ing)?\b|translate|translation|classif|detect|\barticle|\bpaper\b"
    r"|\bblog|\bquot|examples? of"
    r"|\bregex|unit test|test case|how (?:do|can|does|should|would) (?:i|we|you|one|it|a)"
    r"|\bfilter\b|\bmalicious"
    r"|defen[cs]e|defend|protect(?:ion)? (?:against|from)|guard against|prevent|security"
    r"|vulnerab|owasp|\bcalled\b"
    r"|proofread|grammar|\bspell-?check|rewrite (?:this|the following) (?:sentence|line"
    r"|dialog)|\btitle|\bnovel|\bmovie|\blyrics"
    r"|template|tokeni[sz]er|special tokens?|chat format|\bcharacter (?:says|who says)"
    r"|dataset|documentation|write (?:me )?a (?:python|regex|function|test|blog|story|scene)"
)
"""Words with which a text is talked about rather than said."""
