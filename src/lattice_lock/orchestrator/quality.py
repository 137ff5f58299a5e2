"""How good a model's answers are expected to be, where nobody has measured it.

No measurement stands behind these numbers. They follow the place that its maker gives a model among
the others, `models/lines.json`, and what is known of its abilities; so they rank models sensibly
and say nothing of how far apart two of them are. Whoever has measured says so in a file of their
own, whose `quality` counts instead.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from lattice_lock.orchestrator.tasks import Capability, TaskType

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PRIOR", "prior_quality"]

PRIOR = "prior by the model's line, not measured"
"""The `quality_source` of what `prior_quality` says."""

_FILE = Path(__file__).parent / "models" / "lines.json"


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models whose names begin alike.

    Attributes:
        name: expression that names begin with, after makers and regions; first a word.
        level: where its maker places it among all models, from 0 to 1.
        size: the class it belongs to, which bounds how soon it answers.
        code: what is added to the level where code is written or read.
    """

    name: str
    level: Annotated[float, msgspec.Meta(ge=0, le=1)]
    size: Literal["tiny", "small", "medium", "large", "huge"]
    code: float = 0.0


# The higher, the more a task tells good models from others: quality is the level to this power.
_DEMANDS = {
    TaskType.CODE_GENERATION: 1.0,
    TaskType.CODE_REVIEW: 1.1,
    TaskType.DEBUGGING: 1.1,
    TaskType.TESTING: 1.0,
    TaskType.REASONING: 1.2,
    TaskType.MATHS: 1.2,
    TaskType.DATA_EXTRACTION: 0.7,
    TaskType.SUMMARISATION: 0.7,
    TaskType.TRANSLATION: 0.8,
    TaskType.CREATIVE_WRITING: 0.9,
    TaskType.VISION: 1.0,
    TaskType.LONG_CONTEXT: 1.0,
    TaskType.QUICK_RESPONSE: 0.6,
    TaskType.GENERAL: 0.8,
}
_CODE = {TaskType.CODE_GENERATION, TaskType.CODE_REVIEW, TaskType.DEBUGGING, TaskType.TESTING}
_THOUGHT = {TaskType.REASONING, TaskType.MATHS}
_WITHOUT_REASONING = 1.5  # factor on the demand
_SOONNESS = {"tiny": 1.0, "small": 1.0, "medium": 0.9, "large": 0.75, "huge": 0.5}
# By the window from so many tokens on.
_ROOM = ((800_000, 1.0), (350_000, 0.95), (180_000, 0.9), (100_000, 0.8), (30_000, 0.6), (0, 0.3))

_BEFORE = re.compile(r"(?:[a-z-]+[./])*")
_WORD = re.compile(r"[a-z]+")


def prior_quality(
    name: str,
    *,
    can: frozenset[Capability],
    cannot: frozenset[Capability],
    window_tokens: int | None,
) -> Mapping[TaskType, float]:
    """From 0 to 1 for each type of task; empty where the name belongs to no known line.

    Tasks of which nothing can be said are left out: pictures where it is not known whether the
    model sees them, long texts where the window is not known.
    """
    line = _line(_BEFORE.sub("", name.lower(), count=1))
    if line is None:
        return {}
    return _qualities(
        line,
        Capability.REASONING in can,
        None if Capability.VISION not in can | cannot else Capability.VISION in can,
        None
        if window_tokens is None
        else next(factor for tokens, factor in _ROOM if window_tokens >= tokens),
    )


@lru_cache(maxsize=1024)
def _qualities(
    line: _Line,
    reasons: bool,  # noqa: FBT001  # positional for the cache alone
    sees: bool | None,  # noqa: FBT001
    room: float | None,
) -> Mapping[TaskType, float]:
    found = {}
    for task, demand in _DEMANDS.items():
        level = min(1.0, line.level + line.code) if task in _CODE else line.level
        unaided = task in _THOUGHT and not reasons
        quality = level ** (demand * _WITHOUT_REASONING if unaided else demand)
        if task is TaskType.VISION:
            if sees is None:
                continue
            quality *= sees
        elif task is TaskType.LONG_CONTEXT:
            if room is None:
                continue
            quality *= room
        elif task is TaskType.QUICK_RESPONSE:
            quality *= _SOONNESS[line.size]
        found[task] = round(quality, 3)
    return found


def _line(name: str) -> _Line | None:
    word = _WORD.match(name)
    lines = () if word is None else _lines().get(word[0], ())
    return next((line for line in lines if _expression(line.name).match(name)), None)


_expression = cache(re.compile)


@cache
def _lines() -> dict[str, list[_Line]]:
    """The lines by the word they begin with, in their order, of which the first that fits counts.

    Words keep calls that need one model from compiling the expressions of all.
    """
    found: dict[str, list[_Line]] = {}
    for line in msgspec.json.decode(_FILE.read_bytes(), type=list[_Line]):
        if (word := _WORD.match(line.name)) is not None:
            found.setdefault(word[0], []).append(line)
    return found
