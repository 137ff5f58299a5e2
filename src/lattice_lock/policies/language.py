"""`language`: the language that a text is written in."""

from __future__ import annotations

import re
from collections import Counter
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

__all__ = ["Language"]

# First and last letter of an alphabet, and the language most written in it.
_SCRIPTS = (
    ("\u0370", "\u03ff", "el"),
    ("\u0400", "\u04ff", "ru"),
    ("\u0590", "\u05ff", "he"),
    ("\u0600", "\u06ff", "ar"),
    ("\u0900", "\u097f", "hi"),
    ("\u0e00", "\u0e7f", "th"),
    ("\u3040", "\u30ff", "ja"),
    ("\u4e00", "\u9fff", "zh"),
    ("\uac00", "\ud7af", "ko"),
)
_WORDS = word_lists("_languages.txt")
_NOT_PROSE = re.compile(r"```.{0,100000}?(?:```|\Z)|`[^`\n]{1,200}`|https?://\S{1,500}", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{1,40}")
_MOST_CHARACTERS = 20_000
_FEWEST_WORDS = 5
_SURE = 1.5  # times as many known words as the next language has
_KNOWN = frozenset({*_WORDS, *(language for _, _, language in _SCRIPTS)})


class Language(Policy, frozen=True, kw_only=True):
    """Refuses texts in other languages than those allowed, as far as the language is certain.

    Attributes:
        allow: ISO 639-1 codes of languages that may be used; none allows all but the denied.
        deny: codes of languages that may not.
    """

    name: ClassVar[str] = "language"
    subjects: ClassVar[tuple[Subject, ...]] = (Subject.PROMPT, Subject.RESPONSE)
    defaults: ClassVar[tuple[Subject, ...]] = (Subject.RESPONSE,)
    redacts: ClassVar[bool] = False
    holds: ClassVar[Hold] = Hold.ALL
    rules: ClassVar[dict[str, str]] = {"language": "a text in a language that is not allowed"}
    limits: ClassVar[tuple[str, ...]] = (
        f"Known are {', '.join(sorted(_KNOWN))}; a text in another language passes.",
        "A text of fewer than five words, or whose words fit several languages, passes.",
        "The language of most words counts; code, addresses and quotes in code marks do not.",
        "Only the first 20,000 characters are looked at.",
    )
    sample: ClassVar[dict[str, object]] = {"allow": ["en", "de"]}
    cases: ClassVar[tuple[Case, ...]] = (
        Case(text="This is what you asked for, and it is the only one of them that works."),
        Case(text="Das ist die Antwort auf die Frage, die du mir gestern gestellt hast."),
        Case(text="OK"),
        Case(text="The word `avec` is French: ```il est dans la maison avec les enfants```"),
        Case(
            text="Il est dans la maison avec les enfants et le chien de la voisine.",
            rules=("language",),
        ),
        Case(text="Это ответ на ваш вопрос, и он очень короткий.", rules=("language",)),
        Case(text="これは質問への短い答えです。", rules=("language",)),
    )

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.allow and not self.deny:
            raise ValueError("neither `allow` nor `deny` names a language")
        for code in (*self.allow, *self.deny):
            if code not in _KNOWN:
                known = ", ".join(sorted(_KNOWN))
                raise ValueError(f"`{code}` is no language that can be told; known are {known}")
        both = set(self.allow) & set(self.deny)
        if both:
            raise ValueError(f"`{min(both)}` is both allowed and denied")

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        if not window.final:
            return Scan((), window.start)
        end = len(window.text)
        if window.start or window.position:
            return Scan((), end)
        found = _language(window.text[:_MOST_CHARACTERS])
        if found is None or (found not in self.deny and (not self.allow or found in self.allow)):
            return Scan((), end)
        finding = Finding(
            start=0,
            end=0,
            rule="language",
            message=f"it is written in `{found}`.",
            severity=Severity.LOW,
            fix=f"Write in {' or '.join(f'`{one}`' for one in self.allow)}."
            if self.allow
            else "Write in another language.",
        )
        return Scan((finding,), end)


def _language(text: str) -> str | None:
    """The language of most of `text`; None where that is not certain."""
    words = _WORD.findall(_NOT_PROSE.sub(" ", text))
    letters: Counter[str] = Counter()
    for word in words:
        for first, last, language in _SCRIPTS:
            if first <= word[0] <= last:
                letters[language] += len(word)
                break
        else:
            letters["latin"] += len(word)
    if not letters:
        return None
    if letters["ja"] and letters["zh"]:
        letters["ja"] += letters.pop("zh")  # Japanese is written with ideographs too
    script, count = letters.most_common(1)[0]
    if count * 2 < letters.total() or letters.total() < _FEWEST_WORDS:
        return None
    known = {code: some for code, some in _WORDS.items() if _script(code) == script}
    if script != "latin" and not known:
        return script
    if len(words) < _FEWEST_WORDS:
        return None
    lowered = [word.lower() for word in words]
    hits = Counter({code: sum(word in some for word in lowered) for code, some in known.items()})
    (best, most), *others = hits.most_common(2)
    if most * 10 < len(words) or (others and most < others[0][1] * _SURE):
        return script if script in _KNOWN and not most else None
    return best


def _script(code: str) -> str:
    return "ru" if code in {"ru", "uk", "bg"} else "latin"
