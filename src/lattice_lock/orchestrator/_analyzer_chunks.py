"""Tells the instruction in a prompt from the material it is about.

An instruction stands mostly in the first or in the last words. What comes after "the following
text:" or between quotation marks is material, whose words say little about what is to be done.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lattice_lock.orchestrator._analyzer_cues import Sign, cue_table, unspaced_scripts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["OPENERS", "divide"]

_MATERIAL: Final = 0.25  # what a cue in the material counts, beside one in the instruction
_ASKED: Final = 0.6  # what one in a question amid the material counts
_HEAD_CHARS: Final = 700
_TAIL_CHARS: Final = 400
_LINE_CHARS: Final = 320  # a line of an instruction is shorter, and of a longer one this much of it
_FIRST_CHARS: Final = 160  # may be an instruction
_COLON_CHARS: Final = 260
_QUESTION_CHARS: Final = 200
_SHORT_CHARS: Final = 60
_STRONG: Final = 2.0

_QUOTED: Final = re.compile(
    r'"[^"\n]{12,1000}"|\u201c[^\u201d\n]{12,1000}\u201d|\u00ab[^\u00bb\n]{12,1000}\u00bb'
    r"|\u300c[^\u300d\n]{6,1000}\u300d|\u201e[^\u201c\u201d\n]{12,1000}[\u201c\u201d]"
)
_COLON: Final = re.compile(r"[:\uff1a](?=\s|$|[^\x00-\x7f])")
_WORD: Final = re.compile(r"[^\W_]+")
_QUESTION_MARKS: Final = ("?", "\uff1f")
_CLAIMING: Final = (*_QUESTION_MARKS, ":", "\uff1a")

# Labels after which an instruction follows rather than material.
_ASKING: Final = frozenset(
    {
        *("question", "q", "task", "instruction", "instructions", "prompt", "problem"),
        *("frage", "aufgabe", "pregunta", "domanda", "pergunta", "вопрос", "задача", "问题"),
        "質問",
    }
)
OPENERS: Final = frozenset(
    {
        *("please", "can", "could", "would", "you", "i", "want", "need", "to", "now"),
        *("then", "and", "also", "bitte", "kannst", "du", "por", "favor", "puedes", "peux"),
        *("tu", "s", "il", "te", "plait", "just", "пожалуиста", "prosze", "task", "your"),
        *("is", "help", "me", "let", "instruction", "question"),
    }
)
"""Folded words that may come before the first word of an instruction that says something."""


def divide(text: str) -> Iterator[tuple[str, float]]:
    """Pieces of folded `text` in its order, each with what a cue in it counts, from 0 to 1."""
    lines = text.split("\n")
    filled = [index for index, line in enumerate(lines) if line.strip()]
    last = _last_paragraph(lines, filled)
    material = False
    left = _HEAD_CHARS
    for index in filled:
        line = lines[index].strip()
        colon = _COLON.search(line, 0, _COLON_CHARS)
        if index in last:
            # The last words tell what to do, unless they are all of the material there is.
            yield from _unquoted(line + "\n", _MATERIAL if material and not _claims(line) else 1.0)
        elif material or left <= 0:
            asks = line.endswith(_QUESTION_MARKS) and len(line) < _QUESTION_CHARS
            yield line + "\n", _ASKED if asks else _MATERIAL
        elif colon is not None:
            label, rest = line[: colon.start()].strip(), line[colon.end() :]
            material = label not in _ASKING
            yield from _unquoted(label + ":", 1.0)
            if material:
                yield rest + "\n", _MATERIAL
            else:
                yield from _unquoted(rest + "\n", 1.0)
        elif len(line) > _LINE_CHARS and len(filled) > 1:
            yield line[:_FIRST_CHARS], 1.0
            yield line[_FIRST_CHARS:] + "\n", _MATERIAL
        elif len(line) > left:
            end = max(left, len(line) - _TAIL_CHARS)
            yield from _unquoted(line[:left], 1.0)
            yield line[left:end], _MATERIAL
            yield line[end:] + "\n", 1.0
        else:
            yield from _unquoted(line + "\n", 1.0)
        left -= min(len(line), _LINE_CHARS) if len(filled) > 1 else len(line)


def _last_paragraph(lines: Sequence[str], filled: Sequence[int]) -> set[int]:
    """Numbers of the last lines, where they are short enough for an instruction."""
    chosen: set[int] = set()
    chars = 0
    for index in reversed(filled[1:]):
        chars += len(lines[index])
        if chars > _TAIL_CHARS or (chosen and index + 1 not in chosen):
            break
        chosen.add(index)
    return chosen


def _claims(line: str) -> bool:
    """Whether a line after material claims to be an instruction."""
    if line.endswith(_CLAIMING):
        return True
    words = [word for word in _WORD.findall(line[:_SHORT_CHARS])[:4] if word not in OPENERS]
    if not words:
        return False
    if any(
        cue.sign is Sign.MAKE or cue.weight >= _STRONG
        for cue in cue_table().beginning(words[0], words[1] if words[1:] else "")
    ):
        return True
    return len(line) < _SHORT_CHARS and bool(unspaced_scripts(line))


def _unquoted(text: str, share: float) -> Iterator[tuple[str, float]]:
    at = 0
    for quoted in _QUOTED.finditer(text):
        yield text[at : quoted.start()], share
        yield quoted[0], share * _MATERIAL
        at = quoted.end()
    yield text[at:], share
