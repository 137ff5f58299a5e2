"""How much speaks for each task, from the words of a prompt and its shape.

The numbers were set by hand, so that a plain request scores between 3 and 6 and a hint about 1.
"""

# ruff: noqa: PLR2004  # the numbers are what this module is about; names would only repeat its lines

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from lattice_lock.orchestrator._analyzer_cues import Sign
from lattice_lock.orchestrator._analyzer_evidence import AT_START, Evidence, find_evidence
from lattice_lock.orchestrator._analyzer_language import find_language
from lattice_lock.orchestrator._analyzer_shape import Shape, read_shape
from lattice_lock.orchestrator.tasks import TaskType

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Reading", "Scores", "read"]

Scores: TypeAlias = dict[TaskType, float]

_BEGUN: Final = 1.5  # weight of a cue of `GENERAL` with which a sentence begins, at least
_HINT: Final = 1.5
_SHORT_WORDS: Final = 16
_LONGER_WORDS: Final = 30

# Words before a colon at the beginning of a line.
_PASSAGES: Final = frozenset(
    {
        *("passage", "context", "text", "article", "document", "paragraph", "sentence"),
        *("review", "email", "story", "input", "texto", "kontext", "contexte", "contexto"),
        *("текст", "контекст"),
    }
)
_QUESTIONS: Final = frozenset({"question", "questions", "q", "frage", "pregunta", "domanda"})
_LABELLING: Final = frozenset(
    {
        *("label", "labels", "category", "categories", "class", "intent", "possible intents"),
        *("sentiment", "utterance", "tweet", "entities", "output format", "fields"),
    }
)
_CHOICES: Final = frozenset({"options", "choices"})
_SUMMARIES: Final = frozenset(
    {"summary", "tldr", "tl;dr", "headline", "title", "abstract", "highlights"}
)
_REPORTS: Final = frozenset(
    {
        *("description", "expected", "actual", "version", "environment", "traceback", "output"),
        *("reproduce", "steps to reproduce", "expected behavior", "actual behavior", "error"),
        *("expected result", "actual result", "bug summary", "bug report", "expected outcome"),
        *("actual outcome", "code for reproduction", "to reproduce", "how to reproduce"),
    }
)
_CONTESTS: Final = frozenset(
    {
        *("input", "output", "constraints", "example", "examples", "note", "sample input"),
        *("sample output", "input format", "output format"),
    }
)
# Marks of the kinds of titles that people write stories to.
_STORY_MARKS: Final = ("[wp]", "[sp]", "[eu]", "[tt]", "[cw]", "[pm]", "[ip]", "[mp]", "[rf]")
# Words with which a story begins rather than a request.
_TELLING: Final = frozenset(
    {
        *("a", "an", "the", "you", "your", "he", "she", "they", "we", "it", "there", "once", "one"),
        *("every", "everyone", "everybody", "nobody", "when", "after", "before", "in", "on", "at"),
        *("as", "since", "for", "all", "humanity", "earth", "death", "my", "our", "last", "prompt"),
    }
)
_YES_OR_NO: Final = frozenset(
    {
        *("is", "are", "was", "were", "did", "does", "do", "has", "have", "will", "ist"),
        *("sind", "hat", "est", "es", "e", "czy"),
    }
)


_WHY: Final = frozenset(
    {
        "why",
        "my",
        "warum",
        "wieso",
        "pourquoi",
        "perche",
        "waarom",
        "dlaczego",
        "почему",
        "чому",
        "neden",
    }
)
_CAN: Final = frozenset({"can", "could", "would", "kann", "peut", "puede"})
_PERSONS: Final = frozenset({"you", "i", "we", "someone", "du", "ich", "tu", "usted"})


class Reading(msgspec.Struct, frozen=True):
    """A text, what was found in it, and what speaks for each task."""

    shape: Shape
    evidence: Evidence
    scores: Scores


def read(text: str, *, alone: bool = False) -> Reading:
    """What `text` says by itself.

    Args:
        alone: nothing was said before it.
    """
    shape = read_shape(text)
    evidence = find_evidence(shape.prose)
    scores = {task: evidence.total(task) for task in TaskType}
    begun = sum(weight > _BEGUN for weight in evidence.weights.get(TaskType.GENERAL, ()))
    general = scores[TaskType.GENERAL]
    scores[TaskType.GENERAL] = 1.2 + 0.4 * min(begun, 4) if begun else min(general, 0.6)
    _add_making(scores, evidence)
    _add_output(scores, evidence, shape)
    if shape.has_code:
        _add_code(scores, evidence, shape)
    else:
        _add_maths(scores, evidence, shape)
        _add_languages(scores, evidence, shape)
    _add_passage(scores, evidence, shape)
    _add_material(scores, evidence, shape)
    if not shape.has_code and not shape.has_output:
        _add_question(scores, evidence, shape)
        _add_brevity(scores, evidence, shape)
        scores[TaskType.GENERAL] += 1.0
        if alone:
            _add_opening(scores, evidence, shape)
    return Reading(shape, evidence, scores)


def _add_making(scores: Scores, evidence: Evidence) -> None:
    made = evidence.made
    code = evidence.total(Sign.CODE_OBJECT) + evidence.total(Sign.PROGRAMMING)
    scores[TaskType.CODE_GENERATION] += 2.4 * made.get(Sign.CODE_OBJECT, 0.0) + 0.5 * code
    scores[TaskType.CREATIVE_WRITING] += 2.6 * made.get(Sign.TEXT_OBJECT, 0.0)
    scores[TaskType.CREATIVE_WRITING] += 0.4 * evidence.total(Sign.TEXT_OBJECT)
    scores[TaskType.SUMMARISATION] += 1.2 * made.get(TaskType.SUMMARISATION, 0.0)
    if made.get(TaskType.SUMMARISATION) or made.get(TaskType.TRANSLATION):
        scores[TaskType.CREATIVE_WRITING] *= 0.4
    scores[TaskType.TESTING] += 2.4 * made.get(Sign.TEST_OBJECT, 0.0)
    scores[TaskType.TESTING] += 0.7 * evidence.total(Sign.TEST_OBJECT)
    if evidence.has(Sign.PROGRAMMING):
        scores[TaskType.GENERAL] *= 0.6
        scores[TaskType.DEBUGGING] += 0.3
        if evidence.has(Sign.MAKE) or evidence.has(Sign.HOW_TO, AT_START):
            scores[TaskType.CODE_GENERATION] += 1.6
    if (made.get(Sign.CODE_OBJECT) or evidence.has(Sign.PROGRAMMING)) and not evidence.has(
        Sign.LANGUAGE
    ):
        # From one programming language into another, which is no translation.
        if scores[TaskType.TRANSLATION]:
            scores[TaskType.CODE_GENERATION] += 2.0
        scores[TaskType.TRANSLATION] *= 0.4


def _add_output(scores: Scores, evidence: Evidence, shape: Shape) -> None:
    """What programs and people wrote about programs, other than code."""
    if shape.trace:
        scores[TaskType.DEBUGGING] += 2.6 + 0.3 * min(shape.trace, 4)
    if shape.log:
        scores[TaskType.DEBUGGING] += 2.6 if shape.failures else 1.0
    if shape.diff:
        scores[TaskType.CODE_REVIEW] += 2.6
    if shape.asserts and shape.code <= shape.asserts + 1:
        scores[TaskType.CODE_GENERATION] += 2.0  # examples of what the code has to do
        scores[TaskType.TESTING] *= 0.3
    reports = sum(label in _REPORTS for label in shape.labels)
    scores[TaskType.DEBUGGING] += 0.8 * min(reports, 2)
    contests = sum(label in _CONTESTS for label in shape.labels)
    if shape.subscripts and not shape.has_code:
        scores[TaskType.CODE_GENERATION] += 1.6
    if contests >= 2:
        scores[TaskType.CODE_GENERATION] += 3.0
        scores[TaskType.MATHS] *= 0.5
    programs = shape.has_code or shape.has_output or evidence.has(Sign.PROGRAMMING)
    if not programs and not evidence.has(Sign.CODE_OBJECT):
        # "Error" and "improve" say less where no program is in sight.
        scores[TaskType.DEBUGGING] *= 0.75
        scores[TaskType.CODE_REVIEW] *= 0.6


def _add_code(scores: Scores, evidence: Evidence, shape: Shape) -> None:
    scores[TaskType.DEBUGGING] = scores[TaskType.DEBUGGING] * 1.3 + 0.3
    scores[TaskType.CODE_REVIEW] = scores[TaskType.CODE_REVIEW] * 1.3 + 0.5
    scores[TaskType.CODE_GENERATION] += 0.6
    scores[TaskType.TESTING] = scores[TaskType.TESTING] * 1.2 + min(shape.tests, 2) * 0.9
    scores[TaskType.GENERAL] = scores[TaskType.GENERAL] * 0.6
    scores[TaskType.MATHS] *= 0.4
    scores[TaskType.REASONING] *= 0.6
    _add_request_about_code(scores, evidence)
    if shape.stub and shape.code <= 30:
        scores[TaskType.CODE_GENERATION] += 3.2
    elif evidence.n_words < 4 and not shape.trace:
        scores[TaskType.CODE_REVIEW] += 1.2  # code, and hardly a word about it
    if scores[TaskType.TRANSLATION] and not evidence.has(Sign.LANGUAGE):
        scores[TaskType.CODE_GENERATION] += scores[TaskType.TRANSLATION] + 1.0
        scores[TaskType.TRANSLATION] = 0.0


def _add_request_about_code(scores: Scores, evidence: Evidence) -> None:
    if evidence.has(Sign.EXPLAIN, AT_START):
        scores[TaskType.CODE_REVIEW] += 1.6
        scores[TaskType.SUMMARISATION] *= 0.6
    if evidence.has(Sign.HOW_TO):
        scores[TaskType.CODE_GENERATION] += 1.2
    if evidence.has(Sign.CONTRAST):
        scores[TaskType.DEBUGGING] += 1.3
    if evidence.questions and not evidence.has(Sign.MAKE, 1.0):
        scores[TaskType.CODE_REVIEW] += 0.6
    if evidence.statements >= 3 and not evidence.has(Sign.MAKE, AT_START):
        scores[TaskType.DEBUGGING] += 0.8  # a report rather than a request
    if evidence.words[:1] and evidence.words[0] in _WHY:
        scores[TaskType.DEBUGGING] += 1.2
    if evidence.has(Sign.MAKE, 1.0):
        scores[TaskType.CODE_GENERATION] += 1.2


def _add_maths(scores: Scores, evidence: Evidence, shape: Shape) -> None:
    numbers = evidence.numbers + min(evidence.count(Sign.NUMBER), 4)
    if shape.formulas:
        scores[TaskType.MATHS] += 1.6 + 0.35 * min(shape.formulas, 6)
    if evidence.has(Sign.COUNT) and numbers >= 2 and evidence.n_words >= 8:
        # What a story with numbers asks for can be computed, though no word of it is mathematical.
        scores[TaskType.MATHS] += 2.2 + 0.25 * min(numbers, 6)
        scores[TaskType.MATHS] += 0.8 if evidence.statements else 0.0
        scores[TaskType.REASONING] *= 0.6
    elif numbers >= 2 and evidence.ends_asking and evidence.statements:
        scores[TaskType.MATHS] += 1.2
    elif numbers >= 3 and max(scores.values()) < 1.0 and not shape.table:
        scores[TaskType.MATHS] += 1.5  # in a language without cues, perhaps
    if shape.quantities >= 2 and evidence.questions:
        scores[TaskType.MATHS] += 1.0
    if evidence.numbers >= 2 and evidence.n_words <= 12:
        scores[TaskType.MATHS] += 1.2
    if not shape.formulas and not evidence.numbers and evidence.count(Sign.NUMBER) < 2:
        scores[TaskType.MATHS] *= 0.75


def _add_languages(scores: Scores, evidence: Evidence, shape: Shape) -> None:
    if evidence.has(Sign.LANGUAGE):
        scores[TaskType.TRANSLATION] += 1.8 if scores[TaskType.TRANSLATION] else 0.8
        scores[TaskType.TRANSLATION] += 0.9 if evidence.into_language else 0.0
        scores[TaskType.TRANSLATION] += 1.8 if _is_foreign(evidence) else 0.0
    named = sum(find_evidence(label).has(Sign.LANGUAGE) for label in shape.labels[:6])
    if named >= 2:  # "English: ... French:"
        scores[TaskType.TRANSLATION] += 3.0


def _is_foreign(evidence: Evidence) -> bool:
    """Whether the material is in another language than the instruction."""
    material, words = evidence.material[:60], evidence.words[:60]
    languages = {find_language(" ".join(material), material), find_language(" ".join(words), words)}
    return len(languages) > 1 and None not in languages


def _add_passage(scores: Scores, evidence: Evidence, shape: Shape) -> None:
    """A question about a given text."""
    if shape.choices >= 3:
        return
    labels = frozenset(shape.labels)
    asked = bool(labels & _QUESTIONS) or evidence.ends_asking
    if labels & _PASSAGES and asked:
        scores[TaskType.DATA_EXTRACTION] += 2.2
    question, _, passage = shape.prose.strip().partition("\n")
    if question.endswith(("?", "\uff1f")) and passage.count(" ") >= 40:
        scores[TaskType.DATA_EXTRACTION] += 1.6
    elif evidence.ends_asking and evidence.n_words > 120:
        scores[TaskType.DATA_EXTRACTION] += 1.2


def _add_material(scores: Scores, evidence: Evidence, shape: Shape) -> None:
    labels = frozenset(shape.labels)
    if shape.table >= 2:
        scores[TaskType.DATA_EXTRACTION] += 1.2
    if shape.choices >= 3 and evidence.n_words < 400 and not shape.has_code:
        if shape.formulas or (evidence.has(Sign.COUNT) and evidence.numbers >= 5):
            scores[TaskType.MATHS] += 1.0
        elif scores[TaskType.DATA_EXTRACTION] < 3.0:
            scores[TaskType.REASONING] += 2.6
    if labels & _CHOICES:
        scores[TaskType.REASONING] += 1.2
    if labels >= {"premise", "hypothesis"}:
        scores[TaskType.REASONING] += 2.0
    if len(evidence.material) >= 60 and not shape.has_code and max(scores.values()) < _HINT:
        scores[TaskType.SUMMARISATION] += 1.0
    if labels & _SUMMARIES:
        scores[TaskType.SUMMARISATION] += 1.5


def _add_question(scores: Scores, evidence: Evidence, shape: Shape) -> None:
    if evidence.has(Sign.ADVICE):
        return
    if not _LABELLING.isdisjoint(shape.labels):
        scores[TaskType.DATA_EXTRACTION] += 1.4
    if evidence.statements >= 2 and evidence.questions and evidence.n_words < 160:
        # A situation is told, and something about it is asked.
        scores[TaskType.REASONING] += 1.6
        scores[TaskType.GENERAL] = scores[TaskType.GENERAL] * 0.6 - 0.5


def _add_brevity(scores: Scores, evidence: Evidence, shape: Shape) -> None:
    words = evidence.n_words
    if evidence.has(Sign.GREETING, AT_START) and words <= 8:
        scores[TaskType.QUICK_RESPONSE] += 4.0
    elif words <= 2:
        scores[TaskType.QUICK_RESPONSE] += 1.5
    if words > _LONGER_WORDS:
        scores[TaskType.QUICK_RESPONSE] *= 0.5
        return
    short = words <= _SHORT_WORDS
    if evidence.has(Sign.FACT, AT_START) and evidence.statements <= 1 and shape.choices < 2:
        scores[TaskType.QUICK_RESPONSE] += 2.0 if short else 1.2
    if short and evidence.ends_asking and _asks_yes_or_no(evidence.words):
        scores[TaskType.QUICK_RESPONSE] += 1.4
    if scores[TaskType.GENERAL] >= _HINT or scores[TaskType.MATHS] >= _HINT:
        scores[TaskType.QUICK_RESPONSE] *= 0.7


def _asks_yes_or_no(words: Sequence[str]) -> bool:
    if len(words) < 2:
        return False
    return words[0] in _YES_OR_NO or (words[0] in _CAN and words[1] not in _PERSONS)


def _add_opening(scores: Scores, evidence: Evidence, shape: Shape) -> None:
    """A text that asks for nothing may be the beginning of a story."""
    if "".join(shape.prose[:12].lower().split()).startswith(_STORY_MARKS):
        scores[TaskType.CREATIVE_WRITING] += 5.0
    if evidence.words[:1] and evidence.words[0] not in _TELLING:
        return
    told = evidence.statements and not evidence.questions and not evidence.numbers
    if told and not evidence.has(Sign.ADVICE) and 8 <= evidence.n_words <= 90:
        scores[TaskType.CREATIVE_WRITING] += 1.5 if max(scores.values()) < _HINT else 0.0
