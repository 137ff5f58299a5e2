"""Rewrites syntax that is newer than the running Python, so that its parser reads the rest.

What is rewritten keeps its place: the text stays as long as it was, line by line, and what a rule
looks at (imports, calls, definitions, annotations) stays where it is. Understood are

- type parameters and `type X = ...` (Python 3.12), defaults of type parameters (3.13);
- quotes, line breaks, backslashes and comments within the fields of f-strings (3.12);
- template strings, `except A, B:` without brackets (3.14);
- `lazy import` (3.15).

Type parameters themselves are dropped with their bounds and defaults. Only files that the running
Python refuses come here, so that it never decides about a file that it can read.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import Final, NamedTuple

__all__ = ["downgrade"]

_WORD: Final = re.compile(r"[^\W\d]\w*")
_STRING: Final = re.compile(r"([A-Za-z]{0,2})('''|\"\"\"|'|\")")
_AFTER_EQUALS: Final = re.compile(r"\s*[}!:]")
_NAMED_CHARACTER: Final = re.compile(r"\\N\{[^}]*\}")
_CONVERSION: Final = re.compile(r"!\s*\w+\s*")
_BLANKS: Final = re.compile(r"[ \t\f]*")
_MAX_DEPTH: Final = 20
"""Deepest nesting of f-strings that is read."""

_OPENING: Final = "([{"
_CLOSING: Final = ")]}"
_STATEMENT: Final = "0;"
"""Stands where a soft keyword stood, so that the statement after it keeps its column."""


class _Literal(NamedTuple):
    """The string that stands last, if nothing but blanks follows it."""

    start: int
    end: int
    rewritten: list[str]
    is_rewritten: bool


class _GiveUpError(ValueError):
    """The text is not what this module understands."""


def downgrade(text: str) -> str | None:
    """The text in the syntax of Python 3.11, of the same length; None where that fails."""
    rewriting = _Rewriting(text)
    try:
        rewriting.code(0, field=False)
    except (_GiveUpError, IndexError):
        return None
    return "".join(rewriting.out)


class _Rewriting:
    """One pass over a text; `out` is the result so far, one item per character."""

    def __init__(self, text: str) -> None:
        self._text: Final = text
        self.out: Final = list(text)
        self._depth = 0

    def code(  # noqa: C901  # a scanner: one branch for each kind of token
        self, at: int, *, field: bool
    ) -> int:
        """Go through code from `at`; returns where it ends.

        Args:
            field: whether it stands in a field of an f-string, which `}`, `:`, `!` or `=` ends.
        """
        text = self._text
        brackets = 0
        words: list[str] = []
        last: _Literal | None = None
        line_starts = not field
        while at < len(text):
            at = self._skip_blanks(at)
            if at >= len(text):
                break
            character = text[at]
            if field and not brackets and self._ends_field(at):
                return at
            string = _STRING.match(text, at)
            word = _WORD.match(text, at)
            if string is not None:
                last = self._string(string, last)
                at, words, line_starts = last.end, [], False
                continue
            if character == "\n":
                line_starts = line_starts or (not brackets and not field)
                words = words if brackets else []
                last = last if brackets or field else None
                at += 1
                continue
            last = None
            if word is not None:
                if line_starts:
                    self._statement(word)
                words, line_starts, at = [*words[-1:], word[0]], False, word.end()
                if word[0] == "except" and not brackets:
                    self._except(at)
                continue
            if character == "[" and len(words) > 1 and words[-2] in {"def", "class"}:
                at, words = self._blank(at, self._matching(at), join=not brackets), []
                continue
            brackets += (character in _OPENING) - (character in _CLOSING)
            if brackets < 0:
                raise _GiveUpError
            line_starts = not brackets and character in ";:"
            words, at = [], at + 1
        if field:
            raise _GiveUpError
        return at

    def _skip_blanks(self, at: int) -> int:
        """Past blanks, comments and joined lines."""
        text = self._text
        while True:
            found = _BLANKS.match(text, at)
            at = found.end() if found is not None else at
            if text.startswith("#", at):
                end = text.find("\n", at)
                at = len(text) if end < 0 else end
            elif text.startswith("\\\n", at):
                at += 2
            elif text.startswith("\r", at):
                at += 1
            else:
                return at

    def _ends_field(self, at: int) -> bool:
        text = self._text
        if text[at] == "!":
            return text[at + 1] != "="
        if text[at] == "=":
            # `{x=}`, which shows the text of the expression as well.
            return text[at - 1] not in "=<>!" and _AFTER_EQUALS.match(text, at + 1) is not None
        return text[at] in "}:"

    def _string(self, opening: re.Match[str], last: _Literal | None) -> _Literal:
        """Rewrite a string where it must be, and with it what stands beside it."""
        prefix, start = opening[1].lower(), opening.start()
        is_formatted = bool({"f", "t"} & set(prefix))
        end = self._formatted(opening) if is_formatted else self._plain(opening)
        text = self._text[start:end]
        beside = last is not None and last.is_rewritten
        must = beside or "t" in prefix or (is_formatted and not _is_readable(text))
        rewritten = self.out[start:end]
        if not must:
            self.out[start:end] = text
        elif last is not None:
            # Two brackets are a call, which is syntax; a string and a bracket may be in two lines.
            self.out[last.start : last.end] = last.rewritten
        return _Literal(start, end, rewritten, is_rewritten=must)

    def _plain(self, opening: re.Match[str]) -> int:
        end = self._end_of_plain(opening.end(), opening[2])
        self._blank(opening.start(), end)
        self.out[opening.start()], self.out[end - 1] = "(", ")"
        return end

    def _end_of_plain(self, at: int, quotes: str) -> int:
        text = self._text
        while not text.startswith(quotes, at):
            if len(quotes) == 1 and text[at] == "\n":
                raise _GiveUpError
            at += 2 if text[at] == "\\" else 1
        return at + len(quotes)

    def _formatted(self, opening: re.Match[str]) -> int:
        """Make an f-string a tuple of the expressions in its fields; returns its end."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _GiveUpError
        start, quotes = opening.start(), opening[2]
        end = self._literal_part(opening.end(), quotes, is_raw="r" in opening[1].lower())
        self._blank(start, opening.end())
        self.out[start] = "("
        self._blank(end, end + len(quotes))
        self.out[end + len(quotes) - 1] = ")"
        self._depth -= 1
        return end + len(quotes)

    def _literal_part(self, at: int, quotes: str, *, is_raw: bool) -> int:
        """Blank the text around the fields, up to the quotes, which are not blanked."""
        text = self._text
        while not text.startswith(quotes, at):
            if text.startswith(("{{", "}}"), at):
                at = self._blank(at, at + 2)
            elif text[at] == "{":
                at = self._field(at, quotes)
            elif text[at] == "\\" and not is_raw and text[at + 1] != "\n":
                # `\N{NAME}` is no field.
                name = _NAMED_CHARACTER.match(text, at)
                at = self._blank(at, name.end() if name is not None else at + 2)
            elif text[at] == "\n" and len(quotes) == 1:
                raise _GiveUpError
            else:
                at = self._blank(at, at + 1)
        return at

    def _field(self, at: int, quotes: str) -> int:
        """Keep the expression of a field, and those in its format; returns what follows `}`."""
        text = self._text
        self._blank(at, at + 1)
        at = self.code(at + 1, field=True)
        self.out[at] = ","
        if text[at] == "=":
            at += 1
            while text[at].isspace():
                at = self._blank(at, at + 1)
        if text[at] == "!":
            end = _CONVERSION.match(text, at)
            if end is None:
                raise _GiveUpError
            # The first of what ends the expression holds the comma.
            at = self._blank(at if self.out[at] == "!" else at + 1, end.end())
        if text[at] == ":":
            if self.out[at] == ":":
                self._blank(at, at + 1)
            at += 1
            while text[at] != "}":
                if text.startswith(quotes, at):
                    raise _GiveUpError
                at = self._field(at, quotes) if text[at] == "{" else self._blank(at, at + 1)
        if self.out[at] == "}":
            self._blank(at, at + 1)
        return at + 1

    def _statement(self, word: re.Match[str]) -> None:
        """`type X = ...` and `lazy import x` at the start of a statement."""
        following = self._skip_blanks(word.end())
        after = _WORD.match(self._text, following)
        if after is None:
            return
        if word[0] == "lazy" and after[0] in {"import", "from"}:
            self._replace(word)
        elif word[0] == "type":
            end = self._skip_blanks(after.end())
            if self._text.startswith("[", end):
                closing = self._matching(end)
                if self._text.startswith("=", self._skip_blanks(closing)):
                    self._replace(word)
                    self._blank(end, closing, join=True)
            elif self._text.startswith("=", end) and not self._text.startswith("==", end):
                self._replace(word)

    def _replace(self, word: re.Match[str]) -> None:
        self._blank(word.start(), word.end())
        self.out[word.start() : word.start() + len(_STATEMENT)] = _STATEMENT

    def _except(self, at: int) -> None:
        """Put brackets around the classes of `except A, B:`, where there is room for them."""
        end, brackets, commas = at, 0, list[int]()
        while brackets or self._text[end] != ":":
            character = self._text[end]
            if character in "\n#'\"":
                return
            brackets += (character in _OPENING) - (character in _CLOSING)
            if character == "," and not brackets:
                commas.append(end)
            end += 1
        first = self._skip_blanks(at)
        if self._text.startswith("*", first):
            first = self._skip_blanks(first + 1)
        if not commas or self._text[first - 1] not in " \t":
            return
        gap = next((each for each in reversed(commas) if self._text[each + 1] in " \t"), None)
        if gap is None:
            return
        self.out[first - 1] = "("
        self.out[gap + 1 : end] = [*self._text[gap + 2 : end], ")"]

    def _matching(self, at: int) -> int:
        """Where the bracket that opens at `at` is closed, the bracket included."""
        brackets = 0
        while True:
            at = self._skip_blanks(at)
            string = _STRING.match(self._text, at)
            if string is not None:
                at = self._end_of_plain(string.end(), string[2])
                continue
            character = self._text[at]
            brackets += (character in _OPENING) - (character in _CLOSING)
            at += 1
            if not brackets:
                return at

    def _blank(self, start: int, end: int, *, join: bool = False) -> int:
        """Blank a stretch; its lines stay lines, which `join` makes one."""
        for index in range(start, end):
            if self._text[index] not in "\r\n":
                self.out[index] = " "
            elif join and self._text[index - 1] not in "\r\n":
                self.out[index - 1] = "\\"
        return end


def _is_readable(literal: str) -> bool:
    """Whether the running Python reads a string literal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(f"({literal})", mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
