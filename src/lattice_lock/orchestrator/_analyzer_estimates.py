"""How hard a task seems, and how long its answer will be."""

# ruff: noqa: RUF001  # the letters of other alphabets are meant

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from lattice_lock.orchestrator._analyzer_cues import Sign, fold
from lattice_lock.orchestrator.tasks import TaskType

if TYPE_CHECKING:
    from lattice_lock.orchestrator._analyzer_scores import Reading

__all__ = ["estimate_complexity", "estimate_output_tokens"]

_COMPLEXITY: Final = {
    TaskType.QUICK_RESPONSE: 0.05,
    TaskType.TRANSLATION: 0.2,
    TaskType.SUMMARISATION: 0.25,
    TaskType.DATA_EXTRACTION: 0.25,
    TaskType.GENERAL: 0.25,
    TaskType.CREATIVE_WRITING: 0.3,
    TaskType.VISION: 0.35,
    TaskType.TESTING: 0.4,
    TaskType.CODE_GENERATION: 0.4,
    TaskType.CODE_REVIEW: 0.45,
    TaskType.DEBUGGING: 0.45,
    TaskType.MATHS: 0.45,
    TaskType.REASONING: 0.5,
    TaskType.LONG_CONTEXT: 0.5,
}
_ANSWER_TOKENS: Final = {
    TaskType.QUICK_RESPONSE: 40,
    TaskType.TRANSLATION: 20,
    TaskType.SUMMARISATION: 80,
    TaskType.DATA_EXTRACTION: 60,
    TaskType.GENERAL: 450,
    TaskType.CREATIVE_WRITING: 600,
    TaskType.VISION: 200,
    TaskType.TESTING: 600,
    TaskType.CODE_GENERATION: 450,
    TaskType.CODE_REVIEW: 500,
    TaskType.DEBUGGING: 450,
    TaskType.MATHS: 300,
    TaskType.REASONING: 350,
    TaskType.LONG_CONTEXT: 500,
}
# What an answer grows by with each token of the prompt, and where that ends.
_GROWTH: Final = {
    TaskType.TRANSLATION: (1.0, 8000),
    TaskType.SUMMARISATION: (0.1, 600),
    TaskType.DATA_EXTRACTION: (0.4, 4000),
    TaskType.CODE_REVIEW: (0.2, 1500),
    TaskType.DEBUGGING: (0.2, 1500),
    TaskType.TESTING: (0.8, 3000),
    TaskType.CODE_GENERATION: (0.5, 3000),
}
_HARD: Final = 0.07
_EASY: Final = 0.08
_CONSTRAINT: Final = 0.025
_SEARCHED_CHARS: Final = 500  # at the beginning and at the end
_LONG_TOKENS: Final = 1000  # from here on, length by itself makes a task harder

# Tokens of one word, character, sentence ... that somebody asks for.
_LENGTHS: Final = (
    (
        1.4,
        "words?|worter|worten|worte|mots|palabras|parole|palavras|woorden|slow|слова?|слiв|kelime",
    ),
    (1.0, "字|文字|글자|자"),
    (2.0, "단어|كلمة|शब्द"),
    (30.0, "sentences?|satze|satzen|phrases|frases|frasi|oraciones|zinnen|zdaniach|cumle"),
    (30.0, "предложени[ия]|句|文で|문장|جمل"),
    (120.0, "paragraphs?|absatze|paragraphes|parrafos|paragrafi|段落|段|단락"),
    (25.0, "bullet points?|bullets|items|points|stichpunkte"),
    (500.0, "pages?|seiten|paginas|pagine"),
)
_LENGTH: Final = re.compile(
    r"(?<![\d.,])(\d{1,5})[ -]?(?:"
    + "|".join(f"({units})" for _, units in _LENGTHS)
    + r")(?![a-z])"
)
_SMALL: Final = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "single": 1}
_SMALL_LENGTH: Final = re.compile(
    r"\b(one|two|three|four|five|single)[ -](?:short )?(?:(word)|(sentence)|(paragraph)|(bullet))"
)
_SMALL_TOKENS: Final = (3, 30, 120, 25)


def estimate_complexity(task: TaskType, reading: Reading, input_tokens: int) -> float:
    """How hard the task seems, from 0 to 1: its kind, its length, and what it demands."""
    evidence = reading.evidence
    value = _COMPLEXITY[task]
    value += 0.04 * math.log2(1 + evidence.n_words / 20)
    value += min(0.15, _CONSTRAINT * evidence.count(Sign.CONSTRAINT))
    value += min(0.21, _HARD * evidence.count(Sign.HARD))
    value -= min(0.16, _EASY * evidence.count(Sign.EASY))
    if input_tokens > _LONG_TOKENS:
        value += min(0.2, 0.03 * math.log2(input_tokens / _LONG_TOKENS))
    return round(min(1.0, max(0.0, value)), 3)


def estimate_output_tokens(task: TaskType, text: str, input_tokens: int) -> int:
    """About how many tokens the answer takes: what is asked for, or else what is usual."""
    folded = fold(f"{text[:_SEARCHED_CHARS]}\n{text[_SEARCHED_CHARS:][-_SEARCHED_CHARS:]}")
    asked = _LENGTH.search(folded)
    if asked is not None:
        unit = next(index for index, text in enumerate(asked.groups()[1:]) if text)
        return max(1, round(int(asked[1]) * _LENGTHS[unit][0]))
    small = _SMALL_LENGTH.search(folded)
    if small is not None:
        unit = next(index for index, text in enumerate(small.groups()[1:]) if text)
        return _SMALL[small[1]] * _SMALL_TOKENS[unit]
    share, most = _GROWTH.get(task, (0.0, 0))
    return _ANSWER_TOKENS[task] + min(most, round(share * input_tokens))
