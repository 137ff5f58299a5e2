"""What a prompt is made of: instructions, code, tracebacks, diffs, logs, tables, formulas, choices.

Everything is found line by line, with comparisons and expressions that look at each character a
bounded number of times.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

__all__ = ["Shape", "read_shape"]

_LINE_CHARS: Final = 400  # what is looked at of one line
_HEADING_CHARS: Final = 30
_FORMULA_CHARS: Final = 2000  # where formulas are looked for
_CHOICE_CHARS: Final = 1500  # before the end, where choices in one line are looked for
_MANY_LINES: Final = 3  # lines of code that are no accident
_CODE_SHARE: Final = 3  # or one of so many
_LISTED: Final = 3  # choices that are no accident
_COLUMNS: Final = 3
_VALUES: Final = 4

_CODE_STARTS: Final = (
    *("def ", "async def ", "class ", "import ", "return ", "return;", "elif ", "else:", "try:"),
    *("except ", "except:", "raise ", "assert ", "print(", "self.", ">>> ", "@app.", "@pytest"),
    *("public ", "private ", "protected ", "static ", "@Test", "@Override", "package ", "this."),
    *("int ", "void ", "char ", "double ", "bool ", "string ", "struct ", "#include", "#define"),
    *("std::", "cout", "printf(", "using ", "namespace ", "func ", "func(", "fn ", "pub ", "impl "),
    *("let mut ", "println!", "const ", "var ", "export ", "interface ", "console.", "describe("),
    *("it(", "test(", "expect(", "} else", "else {", "try {", "catch ", "throw ", "switch"),
    *("for(", "while(", "if(", "foreach", "//", "/*", "#!/", "$ ", "$(", "echo ", "<?php", "</"),
    *("<div", "<html", "<script", "SELECT ", "INSERT INTO", "CREATE TABLE", "UPDATE ", "FROM "),
    *("WHERE ", 'resource "', "module ", "defmodule ", "end if"),
)
_CODE_MARKS: Final = "(){};=_:.*<"
_CODE_ENDS: Final = (
    *(";", "{", "}", "};", "):", ");", "->", "=>", "})", "):\\", "/>", "],", "),"),
)
_BRACKETS: Final = "(){}=<[;"
_SENTENCE_ENDS: Final = (".", "?", "!")
_CODE_LINE: Final = re.compile(
    r"(?:for|while|if|elif|with) ?[^\n]{1,80}:$|from [\w.]{1,60} import |for ?\(|while ?\(|if ?\("
    r"|[\w.\[\]'\"]{1,60} ?(?:[+\-*/|&]|<<|:)?= ?[^=\s]|[\w.]{1,60}\([^()]{0,120}\)$"
    r"|<[a-z!/][^>]{0,80}>$"
)
_INDENTED: Final = ("  ", "\t")
_SENTENCE: Final = re.compile(r"[A-Z][a-z']{0,20}(?: [a-z']{1,20}){3}")
_OPEN: Final = ("{", ":")  # what the last line ends with where the rest is left to be written
_TESTS: Final = ("def test_", "async def test_", "it(", "test(", "describe(", "@Test", "func Test")
_DEFINES: Final = ("def ", "async def ", "class ")

_TRACE: Final = re.compile(
    r"Traceback \(most recent call last\)|^\s{0,8}File \"[^\"]{1,200}\", line \d"
    r"|^\s{1,8}at [\w.$<>\[\] ]{1,120}\(|Exception in thread|panicked at|Segmentation fault"
    r"|^(?:[\w.]{1,80})?(?:Error|Exception)\b(?::|$)|core dumped|error\[E\d|npm ERR!"
    r"|undefined reference to|^fatal: |^fatal error|: error: |^error: |^Caused by: "
    r"|goroutine \d{1,6} \[|^\s{0,4}--> [\w/.]{1,80}:\d|NullPointerException"
    r"|(?:Type|Value|Key|Index|Attribute|Name|Syntax|Import|Reference|Runtime)Error\b"
)
# Without one of these in a line, the search above finds nothing in it.
_TRACE_HINTS: Final = (
    *("rror", "xception", "Traceback", 'File "', " at ", "\tat ", "panicked", "fault", "dumped"),
    *("npm ERR", "undefined", "fatal", "Caused", "goroutine", "-->"),
)
_TRACE_STARTS: Final = ("Traceback", "File ", "at ", "npm ERR", "-->", "Caused by")
_DIFF: Final = re.compile(
    r"diff --git |@@ -\d{1,7}(?:,\d{1,7})? \+\d|--- a/|\+\+\+ b/|index [0-9a-f]{6,40}\.\."
)
_DIFF_FENCES: Final = ("```diff", "```patch")
_LOG: Final = re.compile(
    r"\[?(?:\d{4}-\d\d-\d\d|\d{1,2}:\d\d:\d\d|[A-Z][a-z]{2} \d{1,2} \d\d:\d\d)[^\n]{0,40}"
    r"\b(?:INFO|WARN(?:ING)?|ERROR|DEBUG|FATAL|TRACE|CRITICAL)\b"
)
_FAILED: Final = re.compile(r"\b(?:ERROR|FATAL|CRITICAL|Exception|failed)\b")

_CHOICE: Final = re.compile(
    "\\(?(?:[A-Ea-e1-5]|[\u0623\u0628\u062c\u062f])[.):\u3001\uff0e\uff09]\\s?\\S"
)
_INLINE_CHOICE: Final = re.compile(r"\b([ABC])[.):]\s?\S")
_LABEL: Final = re.compile(
    "([^\\W\\d_][^\\W_]{0,24}(?: [^\\W_]{1,24}){0,2}) ?(?:\\([^()]{1,20}\\))? ?[:\uff1a]"
)
_LATEX: Final = re.compile(
    r"\\(?:frac|dfrac|sqrt|int|sum|angle|cdot|times|boxed|begin|left|pi|theta|alpha|leq|geq|lim"
    r"|infty|circ|mathbb|text|pmod|sin|cos|log)"
)
_DOLLARS: Final = re.compile(r"\$[^$\n]{1,120}[\\^=_+{}a-z()][^$\n]{0,120}\$")
_FORMULA: Final = re.compile(
    r"\^\s?[0-9({n\-]|\d\s?(?:[*/\u00d7\u00f7+\u2212]\s?\d|-\s\d)|[+\-*/]\s?\d{1,6}\s?="
    r"|[=\u2264\u2265<>]\s?-?\d{1,9}\s?[?.]?$|[\u222b\u2211\u221a\u2264\u2265\u03c0\u00b2\u00b3\u2220]"
    r"|(?<![a-z])(?:[fg]|sin|cos|tan|ln|log)\s?\([a-z\d\-]"
)
_SUBSCRIPT: Final = re.compile(r"\b[a-z]\w{0,20}(?:\[[\w+\-]{1,12}\]| ?= ?\[[^\]]{0,80}\])")
_UNITS: Final = (
    *("km", "kg", "cm", "mm", "g", "l", "m", "h", "kmh", "mph", "cents?", "euros?", "dollars?"),
    *("hours?", "minutes?", "days?", "weeks?", "months?", "years?", "miles?", "pounds?", "feet"),
    *("inches", "lit(?:er|re)s?", "met(?:er|re)s?"),
)
_UNSPACED_UNITS: Final = (
    *("\u043a\u043c", "\u043a\u0433", "\u0440\u0443\u0431", "\u0447\u0430\u0441"),
    *("\u5143", "\u5343\u7c73", "\u516c\u91cc", "\u5398\u7c73", "\u5c0f\u65f6"),
    *("\u5186", "\u500b", "\uc6d0", "\uac1c", "\uba85"),
)
_QUANTITY: Final = re.compile(
    rf"[$\u20ac\u00a3\u00a5]\s?\d|\d\s?(?:[%\u20ac\u00b0]|(?:{'|'.join(_UNITS)})\b"
    rf"|{'|'.join(_UNSPACED_UNITS)})"
)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, as numbers of lines where nothing else is said.

    Attributes:
        prose: everything that is neither code nor a machine's output, in its order.
        lines: lines that are not empty.
        fences: marked blocks of code.
        trace: lines of error messages and of where they come from.
        log, failures: lines of a log, and those of them that tell of an error.
        asserts: lines of code that assert something.
        tests: lines of code with which a test begins.
        subscripts: elements and values of arrays, in the prose.
        quantities: numbers of money or with a unit, in the prose.
        formulas: pieces of mathematical notation in the prose.
        choices: lettered or numbered answers that follow one another.
        labels: words before a colon at the beginning of lines, and short lines; lower case.
        stub: a function or a class is documented before it does anything, or breaks off at the end.
    """

    prose: str
    lines: int
    code: int
    fences: int
    trace: int
    diff: int
    log: int
    failures: int
    table: int
    asserts: int
    tests: int
    subscripts: int
    quantities: int
    formulas: int
    choices: int
    labels: tuple[str, ...]
    stub: bool

    @property
    def has_code(self) -> bool:
        """Whether some of it is source code."""
        some = self.code > 0 and self.code * _CODE_SHARE >= self.lines
        return some or self.stub or self.fences > 0 or self.code >= _MANY_LINES

    @property
    def has_output(self) -> bool:
        """Whether some of it is what a program wrote."""
        return self.trace > 0 or self.log > 0


def read_shape(text: str) -> Shape:
    """What `text` is made of."""
    reader = _Reader([hint for hint in _TRACE_HINTS if hint in text])
    for line in text.split("\n"):
        reader.read(line)
    return reader.shape()


class _Reader:
    """Reads lines, each of which is of one kind."""

    def __init__(self, trace_hints: list[str]) -> None:
        self._trace_hints = trace_hints
        self._prose: list[str] = []
        self._labels: list[str] = []
        self._lines = self._code = self._fences = self._trace = self._diff = self._log = 0
        self._failures = self._table = self._asserts = self._tests = self._choices = self._run = 0
        self._fenced = self._documented = self._after_code = self._stub = False
        self._before = ""

    def read(self, whole: str) -> None:
        """Count the next line."""
        line = whole[:_LINE_CHARS]
        bare = line.strip()
        if not bare:
            self._prose.append("")
            return
        self._lines += 1
        if bare.startswith("```"):
            self._read_fence(bare)
        elif not self._is_output(whole, line, bare):
            if self._fenced or self._documented or self._is_code(line, bare):
                self._read_code(bare)
            else:
                self._read_prose(whole, bare)
            self._before = bare

    def _read_fence(self, bare: str) -> None:
        closed = bare.endswith("```") and bare.strip("`") != ""
        self._fenced = not self._fenced and not closed
        if self._fenced:
            self._fences += 1
            self._diff += bare.startswith(_DIFF_FENCES)

    def _is_output(self, whole: str, line: str, bare: str) -> bool:
        if any(hint in line for hint in self._trace_hints) and _TRACE.search(line):
            self._trace += 1
            if not bare.startswith(_TRACE_STARTS):
                self._prose.append(whole)
        elif _DIFF.match(line):
            self._diff += 1
        elif _LOG.match(bare):
            self._log += 1
            self._failures += _FAILED.search(line) is not None
        else:
            return False
        return True

    def _is_code(self, line: str, bare: str) -> bool:
        if _SENTENCE.match(bare):
            return False
        if bare.startswith(_CODE_STARTS) and not bare.endswith(_SENTENCE_ENDS):
            return bare[0] in "/@#<>$}" or any(mark in bare for mark in _CODE_MARKS)
        if bare.endswith(_CODE_ENDS) and any(mark in bare for mark in _BRACKETS):
            return True
        if self._after_code and line.startswith(_INDENTED):
            return True
        return _CODE_LINE.match(bare) is not None and not bare.endswith((".", "?"))

    def _read_code(self, bare: str) -> None:
        self._code += 1
        self._asserts += bare.startswith("assert ")
        self._tests += bare.startswith(_TESTS)
        quotes = bare.count('"""') + bare.count("'''")
        if quotes and self._before.endswith(":") and self._before.startswith(_DEFINES):
            self._stub = True
        if quotes % 2:
            self._documented = not self._documented
        self._after_code = True

    def _read_prose(self, whole: str, bare: str) -> None:
        self._after_code = False
        commas = bare.count(",")
        if bare.count("|") >= _COLUMNS or (commas >= _VALUES and bare.count(" ") < 2 * commas):
            self._table += 1
        self._run = self._run + 1 if _CHOICE.match(bare) else 0
        self._choices = max(self._choices, self._run)
        label = _LABEL.match(bare)
        if label is not None:
            self._labels.append(label[1].lower())
        elif len(bare) <= _HEADING_CHARS:
            self._labels.append(bare.strip("#*_ ").lower())
        self._prose.append(whole)

    def shape(self) -> Shape:
        """All that was found."""
        prose = "\n".join(self._prose)
        unfinished = self._after_code and self._before.endswith(_OPEN)
        choices = self._choices
        if choices < _LISTED and _are_choices(_INLINE_CHOICE.findall(prose[-_CHOICE_CHARS:])):
            choices = _LISTED
        head = prose[:_FORMULA_CHARS]
        return Shape(
            prose=prose,
            lines=self._lines,
            code=self._code,
            fences=self._fences,
            trace=self._trace,
            diff=self._diff,
            log=self._log,
            failures=self._failures,
            table=self._table,
            asserts=self._asserts,
            tests=self._tests,
            subscripts=len(_SUBSCRIPT.findall(head)) if "[" in head else 0,
            quantities=len(_QUANTITY.findall(head)),
            formulas=sum(len(one.findall(head)) for one in (_LATEX, _DOLLARS, _FORMULA)),
            choices=choices,
            labels=tuple(self._labels),
            stub=self._stub or unfinished,
        )


def _are_choices(letters: list[str]) -> bool:
    """Whether the first three letters come in their order, perhaps with others between them."""
    rest = iter(letters)
    return all(letter in rest for letter in "ABC")
